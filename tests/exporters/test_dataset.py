"""Records into a data set: sizes, names, pictures, splits, annotators; and the report."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from exporters.categories import Categories
from exporters.coco.dataset import CocoDataset
from exporters.dataset import Edits, Pictures, Summary, write_dataset
from exporters.masks import MaskDataset
from exporters.pictures.folder import PictureFolder
from exporters.report import REPORT, Report
from exporters.splits import Split
from exporters.writer import Options
from exporters.yolo import YoloDataset
from labeler_backend.errors import InputError
from labeler_backend.masks.shape import Polygons
from labeler_backend.records import Instance, Problem, Record


def square(x: float, size: tuple[int, int] = (20, 30), label: str = "a") -> Instance:
    ring = np.array([[x, 2], [x + 5, 2], [x + 5, 7], [x, 7]], float)
    return Instance(Polygons((ring,), size), label)


def image(number: int, *instances: Instance, size: tuple[int, int] | None = (20, 30), **more: Any) -> Record:
    named = {"file_name": f"p{number}.png", "task_id": number, "group": str(number), **more}
    return Record(id=number, size=size, instances=instances, **named)


def picture(path: Path, size: tuple[int, int] = (20, 30), shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), shade, np.uint8))


class Export:
    """What one call wrote and told."""

    def __init__(self, folder: Path, records: Sequence[Record], **more: Any) -> None:
        self.folder = folder
        self.told: list[Problem] = []
        split = more.get("split")
        writer: Any = more.pop("writer", CocoDataset)
        options = Options(splits=split.names if split else ())
        categories = Categories()
        self.summary: Summary = write_dataset(
            records,
            folder,
            lambda f: writer(f, categories, options, self.told.append),
            self.told.append,
            **more,
        )

    def coco(self, name: str = "annotations.json") -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / name).read_text())
        return content

    def names(self) -> list[str]:
        return [row["file_name"] for row in self.coco()["images"]]


def test_without_pictures(tmp_path: Path) -> None:
    seen: list[int] = []
    done = Export(tmp_path, [image(1, square(3)), image(2)], progress=seen.append)
    assert done.summary.counts == {"images": 2, "instances": 1, "categories": 1}
    assert seen == [1, 2]
    assert done.told == []


def test_nothing_at_all_is_a_data_set_too(tmp_path: Path) -> None:
    assert Export(tmp_path, []).coco()["images"] == []


class TestSizes:
    @pytest.mark.parametrize("with_folder", [False, True])
    def test_unknown_to_all(self, tmp_path: Path, with_folder: bool) -> None:
        (tmp_path / "pictures").mkdir()
        (tmp_path / "out").mkdir()
        pictures = Pictures(PictureFolder(tmp_path / "pictures").find) if with_folder else None
        done = Export(tmp_path / "out", [image(1, size=None), image(2, square(3))], pictures=pictures)
        assert done.names() == ["p2.png"]
        (first, *others) = done.told
        assert (first.done, first.task_id) == ("left out", 1)
        assert "--images" in first.reason
        assert [told.done for told in others] == ["kept"] * with_folder

    def test_from_the_picture(self, tmp_path: Path) -> None:
        picture(tmp_path / "in/deep/p1.png", (11, 22))
        (tmp_path / "out").mkdir()
        done = Export(
            tmp_path / "out", [image(1, size=None)], pictures=Pictures(PictureFolder(tmp_path / "in").find)
        )
        (row,) = done.coco()["images"]
        assert (row["height"], row["width"], row["file_name"]) == (11, 22, "deep/p1.png")

    def test_a_picture_twice_as_large_takes_its_labels_with_it(self, tmp_path: Path) -> None:
        picture(tmp_path / "in/p1.png", (40, 60))
        (tmp_path / "out").mkdir()
        find = PictureFolder(tmp_path / "in").find
        done = Export(tmp_path / "out", [image(1, square(3))], pictures=Pictures(find))
        (drawn,) = done.coco()["annotations"]
        assert drawn["bbox"] == [6, 4, 10, 10]
        assert [told.done for told in done.told] == ["mended"]

    def test_a_damaged_picture(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "out").mkdir()
        (tmp_path / "in/p1.png").write_bytes(b"no picture")
        (tmp_path / "in/p2.png").write_bytes(b"no picture")
        find = PictureFolder(tmp_path / "in").find
        records = [image(1, square(3)), image(2, size=None)]
        done = Export(tmp_path / "out", records, pictures=Pictures(find))
        assert done.names() == ["p1.png"]
        assert [told.done for told in done.told] == ["kept", "left out"]


class TestPictures:
    @pytest.mark.parametrize("how", ["copy", "link", "reference"])
    def test_where_they_go(self, tmp_path: Path, how: Any) -> None:
        picture(tmp_path / "in/sub/p1.png")
        (tmp_path / "out").mkdir()
        find = PictureFolder(tmp_path / "in").find
        done = Export(tmp_path / "out", [image(1, square(3))], pictures=Pictures(find, how))
        placed = tmp_path / "out/images/sub/p1.png"
        assert placed.exists() is (how != "reference")
        assert placed.is_symlink() is (how == "link")
        assert done.summary.counts["pictures"] == (how != "reference")
        assert done.names() == ["sub/p1.png"]

    @pytest.mark.parametrize(
        ("how", "every", "size", "asked"),
        [
            pytest.param("reference", True, (20, 30), True, id="to be checked"),
            pytest.param("reference", False, (20, 30), False, id="nothing to gain"),
            pytest.param("reference", False, None, True, id="size unknown"),
            pytest.param("copy", False, (20, 30), True, id="to be copied"),
        ],
    )
    def test_asked_for_only_where_needed(
        self, tmp_path: Path, how: Any, every: bool, size: tuple[int, int] | None, asked: bool
    ) -> None:
        calls: list[int] = []

        def find(item: Any) -> None:
            calls.append(item.id)

        Export(tmp_path, [image(1, size=size)], pictures=Pictures(find, how, every))
        assert bool(calls) is asked

    def test_one_that_cannot_be_had_costs_only_itself(self, tmp_path: Path) -> None:
        def find(item: Any) -> None:
            raise InputError(f"{item.file_name} is gone.")

        done = Export(tmp_path, [image(1, square(3)), image(2, square(3))], pictures=Pictures(find, "copy"))
        assert done.names() == ["p1.png", "p2.png"]
        assert [told.reason for told in done.told] == ["p1.png is gone.", "p2.png is gone."]

    def test_two_tasks_with_one_picture_do_not_share_a_name(self, tmp_path: Path) -> None:
        picture(tmp_path / "in/p.png")
        (tmp_path / "out").mkdir()
        find = PictureFolder(tmp_path / "in").find
        records = [image(1, square(3), file_name="p.png"), image(2, square(9), file_name="p.png")]
        done = Export(tmp_path / "out", records, pictures=Pictures(find, "copy"))
        assert done.names() == ["p.png", "p-2.png"]
        assert all((tmp_path / "out/images" / name).exists() for name in done.names())
        assert [told.done for told in done.told] == ["kept"]

    @pytest.mark.parametrize("how", ["copy", "link", "reference"])
    def test_on_its_side_but_for_exif(self, tmp_path: Path, how: Any) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "out").mkdir()
        exif = Image.Exif()
        exif[0x0112] = 6
        for n in (1, 2):
            Image.new("RGB", (20, 30)).save(tmp_path / f"in/p{n}.jpg", exif=exif)
        records = [image(n, square(3), file_name=f"p{n}.jpg") for n in (1, 2)]
        done = Export(tmp_path / "out", records, pictures=Pictures(PictureFolder(tmp_path / "in").find, how))
        assert [(row["height"], row["width"]) for row in done.coco()["images"]] == [(20, 30)] * 2
        assert done.summary.counts["turned_upright"] == 2 * (how == "copy")
        said = [told.reason for told in done.told]
        assert len(said) == (how != "copy")
        assert all(reason.startswith("2 pictures, such as p1.jpg") for reason in said)

    @pytest.mark.parametrize("writer", [CocoDataset, MaskDataset, YoloDataset])
    def test_names_that_only_a_linux_disk_tells_apart(self, tmp_path: Path, writer: Any) -> None:
        names = [
            "a/P.png",
            "a/p.png",
            "a/p.jpg",
            "a/p.png.png",
            "ü b.png",
            "u\u0308 b.png",
            "x" * 251 + ".png",
        ]
        for shade, name in enumerate(names):
            picture(tmp_path / "in" / name, shade=shade)
        (tmp_path / "out").mkdir()
        folder = PictureFolder(tmp_path / "in")
        records = [image(n, square(3), file_name=name) for n, name in enumerate(names, 1)]
        pictures = Pictures(folder.find, "copy")
        done = Export(tmp_path / "out", records, writer=writer, pictures=pictures)
        assert done.summary.counts["instances"] == done.summary.counts["pictures"] == len(names)
        made = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        folded = {unicodedata.normalize("NFC", str(path)).casefold() for path in made}
        assert len(folded) == len(made)
        shades = [cv2.imread(str(path)).max() for path in made if "images" in path.parts]
        assert sorted(shades) == list(range(len(names)))

    def test_a_second_task_on_a_picture_that_is_only_named(self, tmp_path: Path) -> None:
        named = [(1, "p.png"), (5, "p-2.png"), (2, "p.png")]
        done = Export(tmp_path, [image(n, square(3), file_name=name) for n, name in named])
        assert done.names() == ["p.png", "p-2.png", "p-2-2.png"]
        assert ["a name that no picture has" in told.reason for told in done.told] == [True]

    def test_renaming_for_yolo_goes_by_the_name_on_disk(self, tmp_path: Path) -> None:
        picture(tmp_path / "in/one/a.jpg")
        picture(tmp_path / "in/two/a.png")
        (tmp_path / "out").mkdir()
        records = [image(n, square(3), file_name=name) for n, name in enumerate(["a.jpg", "a.png"], 1)]
        find = PictureFolder(tmp_path / "in").find
        done = Export(tmp_path / "out", records, writer=YoloDataset, pictures=Pictures(find, "copy"))
        assert done.told == []
        assert (tmp_path / "out/images/train/two/a.png").exists()


def test_splits(tmp_path: Path) -> None:
    split = Split.parse("train=0.5,val=0.5")
    records = [image(n, square(3), group=f"g{n % 7}") for n in range(1, 40)]
    done = Export(tmp_path, records, split=split)
    for name in ("train", "val"):
        rows = done.coco(f"annotations-{name}.json")["images"]
        assert rows
        assert all(split.of(f"g{row['id'] % 7}") == name for row in rows)
    assert done.summary.counts["images"] == 39


def test_annotators_get_folders_of_their_own(tmp_path: Path) -> None:
    names = ["ann@example.com", "../..", "a/b", "A_b", "é" * 200]
    records = [image(1, square(n), annotator=name) for n, name in enumerate(names)]
    done = Export(tmp_path, records)
    assert sorted(path.name for path in tmp_path.iterdir()) == done.summary.annotators
    assert len(done.summary.annotators) == 5
    assert done.summary.counts["instances"] == 5
    assert done.told == []
    for name in done.summary.annotators:
        assert (tmp_path / name).parent == tmp_path
        assert len(done.coco(f"{name}/annotations.json")["annotations"]) == 1


@pytest.mark.parametrize(
    ("edits", "boxes"),
    [
        pytest.param(Edits(), [[3, 2, 5, 5], [8, 2, 5, 5]], id="none"),
        pytest.param(Edits(merge_touching=True), [[3, 2, 10, 5]], id="merged"),
    ],
)
def test_edits(tmp_path: Path, edits: Edits, boxes: list[list[int]]) -> None:
    done = Export(tmp_path, [image(1, square(3), square(8))], edits=edits)
    assert [one["bbox"] for one in done.coco()["annotations"]] == boxes


def test_blobs(tmp_path: Path) -> None:
    rings = tuple(one.shape.rings[0] for one in (square(3), square(15)))  # type: ignore[union-attr]
    both = Instance(Polygons(rings, (20, 30)), "a")
    done = Export(tmp_path, [image(1, both)], edits=Edits(split_blobs=True))
    assert len(done.coco()["annotations"]) == 2


class TestReport:
    @pytest.mark.parametrize("count", [0, 1, 25])
    def test_all_are_written_and_the_first_are_kept(self, tmp_path: Path, count: int) -> None:
        with Report() as report:
            for n in range(count):
                report.tell(Problem(f"Nr {n} ü\ud800.", "left out" if n % 2 else "mended", task_id=n))
            report.write(tmp_path, {"source": "x.json"})
        content = json.loads((tmp_path / REPORT).read_text(encoding="utf-8"))
        assert content["source"] == "x.json"
        assert [one["task_id"] for one in content["problems"]] == list(range(count))
        assert sum(content["problems_by_outcome"].values()) == report.total == count
        assert len(report.first) == min(count, 10)
