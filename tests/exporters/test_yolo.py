"""Records to YOLO-seg, read back as Ultralytics does."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from shapely.geometry import Polygon

from exporters.categories import Categories
from exporters.writer import Options
from exporters.yolo import YoloDataset
from labeler_backend.errors import LabelerError
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import BoolMask
from labeler_backend.masks.shape import Polygons, to_mask
from labeler_backend.records import Instance, Problem, Record, VideoRecord
from tests.exporters.made import BLOBS, RING, SIZE, VIDEO, disc, painted, record, square, star_polygons, told


def export(
    folder: Path,
    records: Sequence[Record | VideoRecord],
    categories: Categories | None = None,
    splits: tuple[str, ...] = (),
    split: str | None = None,
) -> tuple[dict[str, int], list[Problem]]:
    problems, tell = told()
    options = Options(splits=splits, description="two\nlines")
    writer = YoloDataset(folder, categories or Categories(), options, tell)
    for one in records:
        writer.add(one, split)
    counts = writer.finish()
    writer.close()
    return counts, problems


def rows(path: Path, size: tuple[int, int] = SIZE) -> list[tuple[int, BoolMask]]:
    """Class and mask of every line; the ring filled by the even-odd rule, as it is there."""
    found = []
    for line in path.read_text().splitlines():
        label, *numbers = line.split()
        ring = np.array(numbers, float).reshape(-1, 2)
        assert ring.min() >= 0
        assert ring.max() <= 1
        mask = polygons_to_mask([Polygon(ring * (size[1], size[0]))], size)
        found.append((int(label), mask))
    return found


def label_path(picture: str) -> str:
    """Ultralytics' rule."""
    return (
        f"{os.sep}labels{os.sep}".join(picture.rsplit(f"{os.sep}images{os.sep}", 1)).rsplit(".", 1)[0]
        + ".txt"
    )


def config(folder: Path) -> Any:
    return yaml.safe_load((folder / "data.yaml").read_text("utf-8"))


def test_a_whole_data_set(tmp_path: Path) -> None:
    two = Polygons((square(0, 0, 22).rings[0], square(50, 30, 22).rings[0][::-1]), SIZE)
    instances = (painted(RING, "ring"), painted(BLOBS, "a: 'b' \"c\""), Instance(two, "ring"))
    counts, problems = export(
        tmp_path, [record(*instances, name="x/a.b.jpg"), record(number=2, name="none.png")]
    )
    assert (counts, problems) == ({"images": 2, "instances": 3, "categories": 2}, [])
    found = rows(tmp_path / "labels/train/x/a.b.txt")
    assert [label for label, _ in found] == [0, 1, 0]
    for (_, mask), instance in zip(found, instances, strict=True):
        assert iou(mask, to_mask(instance.shape)) > 0.97
    assert (tmp_path / "labels/train/none.txt").read_bytes() == b""
    assert (tmp_path / "images/train").is_dir()
    assert config(tmp_path) == {
        "train": "images/train",
        "val": "images/train",
        "names": {0: "ring", 1: "a: 'b' \"c\""},
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(star_polygons())
def test_polygons_come_back(tmp_path_factory: pytest.TempPathFactory, shape: Polygons) -> None:
    folder = tmp_path_factory.mktemp("yolo")
    export(folder, [record(Instance(shape, "a"), size=shape.size)])
    ((_, mask),) = rows(folder / "labels/train/a.txt", shape.size)
    truth = to_mask(shape)
    if truth.sum() >= 400:  # below, a few centres exactly on the border count for much
        assert iou(mask, truth) >= 0.97
    numbers = (folder / "labels/train/a.txt").read_text().split()[1:]
    ring = np.array(numbers, float).reshape(-1, 2) * shape.size[::-1]
    np.testing.assert_allclose(ring, shape.rings[0], atol=2e-4)


@pytest.mark.parametrize("mask", [RING, BLOBS, disc(40, 30, 25), RING | disc(10, 10, 5)])
@pytest.mark.parametrize("scale", [1, 7])
def test_painted_masks_come_back(tmp_path: Path, mask: BoolMask, scale: int) -> None:
    large = np.kron(mask, np.ones((scale, scale), bool))
    export(tmp_path, [record(painted(large), size=large.shape)])
    ((_, found),) = rows(tmp_path / "labels/train/a.txt", large.shape)
    assert iou(found, large) >= 0.97


@pytest.mark.parametrize(
    "name", ["a.jpg", "x/a.jpg", "images/a.jpg", "x/images/y/images/a.b.png", "images/images/a.tif"]
)
@pytest.mark.parametrize("split", [None, "train", "images"])
def test_labels_are_where_ultralytics_looks(tmp_path: Path, name: str, split: str | None) -> None:
    problems, tell = told()
    writer = YoloDataset(tmp_path, Categories(), Options(splits=(split,) if split else ()), tell)
    one = record(painted(RING), name=name)
    writer.add(one, split)
    picture = writer.picture_path(one, split)
    assert picture is not None
    assert Path(label_path(str(tmp_path / picture))).read_text().startswith("0 ")
    assert problems == []


@pytest.mark.parametrize("asked_before", [False, True])
def test_pictures_that_differ_in_their_ending_only(tmp_path: Path, asked_before: bool) -> None:
    problems, tell = told()
    writer = YoloDataset(tmp_path, Categories(), Options(), tell)
    names = ["a.jpg", "a.png", "a-2.png", "x/a.jpg"]
    records = [record(*[painted(RING)] * n, number=n, name=name) for n, name in enumerate(names, 1)]
    pictures = []
    for one in records:
        if asked_before:
            assert writer.picture_path(one, None)
        writer.add(one, None)
        pictures.append(writer.picture_path(one, None))
    assert [str(p) for p in pictures] == [
        "images/train/a.jpg",
        "images/train/a-2.png",
        "images/train/a-2-2.png",
        "images/train/x/a.jpg",
    ]
    for n, picture in enumerate(pictures, 1):
        assert len(rows(Path(label_path(str(tmp_path / str(picture)))))) == n
    assert [(p.done, p.file_name) for p in problems] == [("mended", "a.png"), ("mended", "a-2.png")]


@pytest.mark.parametrize(
    ("splits", "roles"),
    [
        pytest.param(("train", "val", "test"), {"train": "train", "val": "val", "test": "test"}, id="usual"),
        pytest.param(("training", "valid"), {"train": "training", "val": "valid"}, id="others"),
        pytest.param(("test", "train"), {"train": "train", "val": "test"}, id="no val"),
        pytest.param(("a", "b", "c"), {"train": "a", "val": "b", "c": "c"}, id="any"),
        pytest.param(("only",), {"train": "only", "val": "only"}, id="one"),
    ],
)
def test_splits(tmp_path: Path, splits: tuple[str, ...], roles: dict[str, str]) -> None:
    export(tmp_path, [record(painted(RING))], splits=splits, split=splits[-1])
    written = config(tmp_path)
    assert written.pop("names") == {0: "car"}
    assert written == {role: f"images/{split}" for role, split in roles.items()}
    assert all((tmp_path / folder).is_dir() for folder in written.values())
    assert (tmp_path / "labels" / splits[-1] / "a.txt").exists()


@pytest.mark.parametrize(
    ("records", "said"),
    [
        pytest.param([VIDEO], "youtube-vis", id="a video"),
        pytest.param([record(), record(number=3)], "comes twice", id="a file twice"),
        pytest.param([record(painted(RING, crowd=True))], "crowd", id="crowd"),
        pytest.param([record(Instance(square(0, 0, 9, (9, 9)), "a"))], "9×9 pixels", id="of another image"),
        pytest.param([record(painted(np.zeros(SIZE, bool)))], "no pixel", id="empty"),
    ],
)
def test_left_out(tmp_path: Path, records: list[Record | VideoRecord], said: str) -> None:
    counts, (problem,) = export(tmp_path, records)
    assert said in problem.reason
    assert problem.done == "left out"
    assert counts["instances"] == 0


def test_gaps_in_the_ids_keep_the_numbers(tmp_path: Path) -> None:
    export(tmp_path, [record(painted(RING, "b"))], Categories({"a\n\x07": 1, "b": 4}))
    assert config(tmp_path)["names"] == {0: "a\n\x07", 1: "unused 2", 2: "unused 3", 3: "b"}
    assert [label for label, _ in rows(tmp_path / "labels/train/a.txt")] == [3]


def test_ids_far_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelerError, match="go up to 1000000 for 1 classes"):
        export(tmp_path, [], Categories({"a": 1_000_000}))


def test_no_records(tmp_path: Path) -> None:
    assert export(tmp_path, [])[0] == {"images": 0, "instances": 0, "categories": 0}
    assert config(tmp_path)["names"] == {}
