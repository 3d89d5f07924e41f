"""Records to PNG masks, read back through OpenCV and Pillow."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from exporters.categories import Categories
from exporters.masks import MaskDataset
from exporters.palette import colour
from exporters.writer import Options
from labeler_backend.errors import LabelerError
from labeler_backend.masks.shape import Polygons, to_mask
from labeler_backend.records import Instance, Problem, Record, VideoRecord
from tests.exporters.made import RING, SIZE, VIDEO, disc, painted, record, square, star_polygons, told


def export(
    folder: Path, records: Sequence[Record | VideoRecord], categories: Categories | None = None
) -> tuple[dict[str, int], list[Problem]]:
    problems, tell = told()
    writer = MaskDataset(folder, categories or Categories(), Options(), tell)
    for one in records:
        writer.add(one, None)
    counts = writer.finish()
    writer.close()
    return counts, problems


def read(path: Path) -> Any:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def numbers(folder: Path, name: str = "a.jpg") -> Any:
    return read(folder / "instances" / f"{name}.png")


def semantic(folder: Path, name: str = "a.jpg") -> Any:
    return np.asarray(Image.open(folder / "semantic" / f"{name}.png"))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "instances.jsonl").read_text("utf-8").splitlines()]


def test_a_whole_data_set(tmp_path: Path) -> None:
    instances = (
        painted(RING, "ring", region_id="r1", annotation_id=3, track_id="t"),
        Instance(square(30, 20, 20), "Straße"),
        Instance(square(0, 0, 10), None),
    )
    counts, problems = export(
        tmp_path, [record(*instances, name="sub/ä.jpg"), record(number=2, name="none.png")]
    )
    assert problems == []
    assert counts == {"images": 2, "instances": 3, "categories": 3}
    expected = np.zeros(SIZE, int)
    for n in (1, 2, 3):  # the square (400 pixels) is smaller than the ring and lies above it
        expected[to_mask(instances[n - 1].shape)] = n
    ids = numbers(tmp_path, "sub/ä.jpg")
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, expected)
    picture = Image.open(tmp_path / "semantic" / "sub" / "ä.jpg.png")
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), expected)
    assert np.asarray(picture.convert("RGB"))[5, 5].tolist() == list(colour(3))
    first, second = lines(tmp_path)
    assert (first["file_name"], first["width"], first["height"], first["task_id"]) == ("sub/ä.jpg", 80, 60, 1)
    assert first["legend"][0] == {
        "id": 1,
        "category_id": 1,
        "category": "ring",
        "pixels": int((expected == 1).sum()),
        "region_id": "r1",
        "annotation_id": 3,
        "track_id": "t",
    }
    assert first["legend"][2]["category"] == "object"
    assert second["legend"] == []
    assert not semantic(tmp_path, "none.png").any()
    legend = json.loads((tmp_path / "legend.json").read_text("utf-8"))
    assert legend["categories"][1] == {"id": 2, "name": "Straße", "color": "#3cb44b"}
    assert legend["images"] == ["instances.jsonl"]
    assert read(tmp_path / "legend.png").ndim == 3


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        pytest.param(["0-4", "0-8"], [1] * 4 + [2] * 4, id="smaller above, drawn first"),
        pytest.param(["0-8", "0-4"], [2] * 4 + [1] * 4, id="smaller above, drawn last"),
        pytest.param(["0-6", "2-8"], [1] * 6 + [2] * 2, id="of equal ones the first"),
        pytest.param(["c0-2", "0-8"], [2] * 8, id="crowds below, even small ones"),
        pytest.param(["c0-8", "0-4", "c0-2"], [2] * 4 + [1] * 4, id="crowds below, drawn first"),
    ],
)
def test_overlaps(tmp_path: Path, instances: list[str], expected: list[int]) -> None:
    made = []
    for text in instances:
        start, end = map(int, text.lstrip("c").split("-"))
        mask = np.zeros((4, 8), bool)
        mask[:, start:end] = True
        made.append(painted(mask, crowd=text.startswith("c")))
    _, problems = export(tmp_path, [record(*made, size=(4, 8))])
    np.testing.assert_array_equal(numbers(tmp_path), np.tile(expected, (4, 1)))
    hidden = len(made) - len(set(expected))
    assert ["wholly below" in problem.reason for problem in problems] == [True] * hidden
    assert len(lines(tmp_path)[0]["legend"]) == len(made)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(star_polygons())
def test_polygons_are_painted_as_everywhere(tmp_path: Path, shape: Polygons) -> None:
    for path in tmp_path.iterdir():
        if path.is_file():
            path.unlink()
    export(tmp_path, [record(Instance(shape, "a"), size=shape.size)])
    np.testing.assert_array_equal(numbers(tmp_path), to_mask(shape))


def test_large_ids_need_16_bits(tmp_path: Path) -> None:
    categories = Categories({"a": 255, "b": 256, "c": 65536})
    export(
        tmp_path,
        [
            record(painted(RING, "a"), name="a.png"),
            record(painted(RING, "a"), painted(disc(40, 30, 3), "b"), number=2, name="b.png"),
        ],
        categories,
    )
    assert semantic(tmp_path, "a.png").dtype == np.uint8
    assert read(tmp_path / "semantic" / "b.png.png").dtype == np.uint16
    assert set(np.unique(semantic(tmp_path, "b.png"))) == {0, 255, 256}
    with pytest.raises(LabelerError, match="65536 is too large"):
        export(tmp_path, [record(painted(RING, "c"))], categories)


def test_more_instances_than_16_bits_hold(tmp_path: Path) -> None:
    one = np.zeros((1, 1), bool)
    one[0, 0] = True
    instance = painted(one, "a")
    counts, problems = export(tmp_path, [record(*[instance] * 65_537, size=(1, 1))])
    assert counts["instances"] == 1
    assert sum("65535 regions" in p.reason for p in problems) == 2
    assert sum("wholly below" in p.reason for p in problems) == 65_534
    assert numbers(tmp_path).tolist() == [[1]]


@pytest.mark.parametrize(
    ("records", "said"),
    [
        pytest.param([VIDEO], "davis", id="a video"),
        pytest.param([record(), record(number=3)], "comes twice", id="a file twice"),
        pytest.param([record(Instance(square(0, 0, 9, (9, 9)), "a"))], "9×9 pixels", id="of another image"),
        pytest.param([record(painted(np.zeros(SIZE, bool)))], "no pixel", id="empty"),
        pytest.param([record(Instance(square(0.6, 0.6, 0.3), "a"))], "no pixel", id="between centres"),
    ],
)
def test_left_out(tmp_path: Path, records: list[Record | VideoRecord], said: str) -> None:
    counts, (problem,) = export(tmp_path, records)
    assert said in problem.reason
    assert problem.done == "left out"
    assert counts["instances"] == 0


def test_a_folder_per_split(tmp_path: Path) -> None:
    _, tell = told()
    writer = MaskDataset(tmp_path, Categories(), Options(splits=("train", "val")), tell)
    writer.add(record(painted(RING)), "val")
    assert writer.picture_path(record(), "val") == Path("val/images/a.jpg")
    assert writer.finish()["images"] == 1
    writer.close()
    assert (tmp_path / "train" / "instances.jsonl").read_bytes() == b""
    assert (numbers(tmp_path / "val") == RING).all()
    assert json.loads((tmp_path / "legend.json").read_text())["images"] == [
        "train/instances.jsonl",
        "val/instances.jsonl",
    ]
