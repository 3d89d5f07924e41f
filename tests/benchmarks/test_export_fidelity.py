"""The benchmark of exports: its truth is right, and its score notices what is wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from label_studio_sdk.converter.brush import decode_rle
from PIL import Image, ImageOps

from benchmarks.export.drawing import KINDS, draw, fill_finely
from benchmarks.export.outputs import read_coco
from benchmarks.export.project import (
    ORIENTATIONS,
    Picture,
    TrueImage,
    TrueInstance,
    image_tasks,
    page_tasks,
    stored,
)
from benchmarks.export.scoring import Score, score
from benchmarks.export.video import Seen, box_iou, clip_of, score_boxes, true_boxes
from labeler_backend.masks import rle

SIZE = (90, 140)
BoolMask = npt.NDArray[np.bool_]
Json = dict[str, Any]


def disc(cy: float = 45, cx: float = 60, radius: float = 28) -> BoolMask:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    mask: BoolMask = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    return mask


def iou(one: BoolMask, other: BoolMask) -> float:
    return float((one & other).sum() / (one | other).sum())


# --- the truth --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_is_drawn(kind: str) -> None:
    drawn = draw(kind, disc())
    assert drawn is not None
    assert drawn.kind == kind
    assert drawn.area.shape == SIZE
    if kind in ("polygon", "brush", "bitmask", "vector", "ellipse"):
        assert iou(drawn.area, disc()) > 0.95


def test_brush_and_bitmask_hold_the_pixels() -> None:
    holed = draw("brush with a hole", disc())
    bits = draw("bitmask", disc())
    assert holed is not None
    assert bits is not None
    alpha = decode_rle(holed.value["rle"]).reshape(*SIZE, 4)[..., 3]
    np.testing.assert_array_equal(alpha == 255, holed.area)
    assert not holed.area[45, 60]
    png = base64.b64decode(bits.value["imageDataURL"].split(",")[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png)))[..., 3] > 0, disc())


@pytest.mark.parametrize(
    ("points", "area"),
    [
        pytest.param([[10, 20], [30, 20], [30, 50], [10, 50]], np.s_[20:50, 10:30], id="whole-pixels"),
        pytest.param(
            [[10.4, 20.4], [30.4, 20.4], [30.4, 50.4], [10.4, 50.4]], np.s_[20:50, 10:30], id="less-than-half"
        ),
        pytest.param([[0, 0], [140, 0], [140, 90], [0, 90]], np.s_[:, :], id="the-whole-picture"),
    ],
)
def test_polygons_cover_at_least_half_a_pixel(points: list[list[float]], area: Any) -> None:
    expected = np.zeros(SIZE, bool)
    expected[area] = True
    np.testing.assert_array_equal(fill_finely(np.array(points, float), SIZE), expected)


@pytest.mark.parametrize("turned", [pytest.param("", id="upright"), pytest.param(", turned", id="turned")])
def test_boxes_have_their_area(turned: str) -> None:
    box, round_ = draw("rectangle" + turned, disc()), draw("ellipse" + turned, disc())
    assert box is not None
    assert round_ is not None
    sides = box.value["width"] * SIZE[1] * box.value["height"] * SIZE[0] / 1e4
    assert box.area.sum() == pytest.approx(sides, rel=0.02)
    radii = round_.value["radiusX"] * SIZE[1] * round_.value["radiusY"] * SIZE[0] / 1e4
    assert round_.area.sum() == pytest.approx(np.pi * radii, rel=0.02)


@pytest.mark.parametrize("orientation", sorted(set(ORIENTATIONS)))
def test_stored_pictures_are_upright_when_shown(orientation: int) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = 255
    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(stored(pixels, orientation)))))
    assert shown.shape == pixels.shape
    assert np.abs(shown.astype(int) - pixels).max() < 60


def pictures(count: int) -> list[Picture]:
    pixels = np.full((*SIZE, 3), 90, np.uint8)
    return [Picture(f"p{n}.jpg", pixels, [disc(), disc(20, 115, 15)]) for n in range(count)]


def test_tasks_have_all_kinds_and_histories() -> None:
    tasks = list(image_tasks(pictures(22)))
    truth = [image for task in tasks for image in task.truth]
    assert {one.kind for image in truth for one in image.instances} == set(KINDS)
    counts = {(len(t.annotations), len(t.truth)) for t in tasks}
    assert counts == {(0, 0), (1, 0), (1, 1), (2, 1)}
    assert any(not image.instances for image in truth)
    types = {one["type"] for task in tasks for a in task.annotations for one in a.result}
    assert "keypointlabels" in types
    assert not any(
        one["type"] == "keypointlabels"
        for task in image_tasks(pictures(11), key_points=False)
        for a in task.annotations
        for one in a.result
    )


def test_pages() -> None:
    (task,) = page_tasks(pictures(4))
    assert [image.name for image in task.truth] == ["p0.jpg", "p1.jpg", "p2.jpg"]
    assert [one["item_index"] for one in task.annotations[0].result] == [0, 0, 1, 1, 2, 2]


# --- the score --------------------------------------------------------------------------------------------

TRUTH = [
    TrueImage(
        "a.jpg",
        SIZE,
        (TrueInstance("brush", "apple", disc()), TrueInstance("polygon", "pear", disc(20, 115, 15))),
    ),
    TrueImage("b.jpg", SIZE, ()),
]


def perfect() -> Json:
    """A COCO file with all of TRUTH."""
    size = {"height": SIZE[0], "width": SIZE[1]}
    return {
        "images": [
            {"id": 1, "file_name": "images/12345678-a.jpg", **size},
            {"id": 2, "file_name": "b.jpg", **size},
        ],
        "categories": [{"id": 1, "name": "apple"}, {"id": 2, "name": "pear"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": rle.encode(disc())},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": rle.encode(disc(20, 115, 15))},
        ],
    }


def shifted(content: Json) -> None:
    content["annotations"][0]["segmentation"] = rle.encode(np.roll(disc(), 10, axis=1))


def far_away(content: Json) -> None:
    content["annotations"][0]["segmentation"] = rle.encode(disc(80, 10, 8))


def left_out(content: Json) -> None:
    del content["annotations"][0]


def mislabelled(content: Json) -> None:
    content["annotations"][0]["category_id"] = 2


def doubled(content: Json) -> None:
    content["annotations"].append({**content["annotations"][0], "id": 3})


def image_twice(content: Json) -> None:
    content["images"].append({**content["images"][0], "id": 3})
    content["annotations"][0]["image_id"] = 3


def sides_swapped(content: Json) -> None:
    content["images"][1] |= {"height": SIZE[1], "width": SIZE[0]}


def dead_name(content: Json) -> None:
    content["images"][0]["file_name"] = "../somewhere/12345678-a.jpg"


def image_left_out(content: Json) -> None:
    del content["images"][1]


def unknown_image(content: Json) -> None:
    content["images"].append({"id": 3, "file_name": "c.jpg", "height": 5, "width": 5})
    content["annotations"].append({**content["annotations"][0], "id": 3, "image_id": 3})


def only_boxes(content: Json) -> None:
    for one in content["annotations"]:
        y, x = np.nonzero(rle.decode(one["segmentation"]))
        one["bbox"] = [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
        one["segmentation"] = []


def of_another_size(content: Json) -> None:
    content["annotations"][0]["segmentation"] = rle.encode(disc().T)


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        pytest.param(lambda content: None, {}, id="perfect"),
        pytest.param(shifted, {"mean": 0.81}, id="shifted"),
        pytest.param(far_away, {"kept": 1, "mean": 0.5, "surplus": 1}, id="far-away"),
        pytest.param(left_out, {"kept": 1, "mean": 0.5}, id="left-out"),
        pytest.param(mislabelled, {"wrong_labels": 1}, id="wrong-category"),
        pytest.param(doubled, {"surplus": 1}, id="annotation-twice"),
        pytest.param(image_twice, {"twice": 1, "sideways": 2}, id="image-twice"),
        pytest.param(sides_swapped, {"wrong_sizes": 1}, id="sides-swapped"),
        pytest.param(dead_name, {"lost_files": 1}, id="name-leads-nowhere"),
        pytest.param(image_left_out, {"missing": 1}, id="image-left-out"),
        pytest.param(unknown_image, {"surplus": 1}, id="image-that-should-not-be"),
        pytest.param(only_boxes, {"mean": 0.78}, id="boxes-instead-of-masks"),
        pytest.param(of_another_size, {"kept": 1, "mean": 0.5, "surplus": 1}, id="mask-of-another-size"),
    ],
)
def test_score(tmp_path: Any, spoil: Callable[[Json], None], wrong: dict[str, float]) -> None:
    (tmp_path / "images").mkdir()
    for name in ("images/12345678-a.jpg", "images/b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(stored(np.zeros((9, 5, 3), np.uint8), 6 if "a.jpg" in name else 1))
    content = perfect()
    spoil(content)
    assert figures(score(TRUTH, read_coco(content, tmp_path, TRUTH))) == {
        "kept": 2,
        "sideways": 1 - wrong.get("lost_files", 0),
        "mean": pytest.approx(wrong.pop("mean", 1.0), abs=0.03),
        **dict.fromkeys(("wrong_labels", "surplus", "twice", "missing", "wrong_sizes", "lost_files"), 0),
        **wrong,
    }


def figures(result: Score) -> dict[str, float]:
    assert result.all.true == 2
    numbers = result.as_json()
    del numbers["true"], numbers["mean_iou"], numbers["kinds"], numbers["trouble"]
    return numbers | {"mean": result.all.mean}


def test_kinds_are_counted_apart(tmp_path: Any) -> None:
    content = perfect()
    left_out(content)
    kinds = score(TRUTH, read_coco(content, tmp_path, TRUTH)).kinds
    assert {kind: (one.true, one.kept) for kind, one in kinds.items()} == {"brush": (1, 0), "polygon": (1, 1)}


# --- videos -----------------------------------------------------------------------------------------------


def moving_clip() -> Any:
    masks = [disc(45, 40 + n, 15) for n in range(24)]
    blank = Image.new("RGB", (SIZE[1], SIZE[0]))
    return clip_of("v.mp4", [blank] * 24, masks)


def test_true_boxes_move_on_a_line_and_go_away() -> None:
    clip = moving_clip()
    seen = true_boxes(clip, 24)
    whole = {one.frame: one.box for one in seen if one.track == "whole"}
    assert sorted(whole) == list(range(24))
    assert whole[4] == pytest.approx((29, 30, 30, 30), abs=1)
    ends = [key.frame for key in clip.tracks["part"] if not key.alive]
    alive = {one.frame for one in seen if one.track == "part"}
    back = next(key.frame for key in clip.tracks["part"] if key.frame > ends[0])
    assert alive.isdisjoint(range(ends[0], back))
    assert 23 in alive


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            [Seen(0, (0, 0, 10, 10), "x")], {"kept": 1, "mean_iou": 0.5, "surplus": 0}, id="one-missing"
        ),
        pytest.param(
            [Seen(0, (0, 0, 10, 10), "x"), Seen(1, (2, 0, 10, 10), "x"), Seen(3, (0, 0, 1, 1), "y")],
            {"kept": 2, "mean_iou": 1.0, "surplus": 1},
            id="one-too-many",
        ),
        pytest.param([Seen(1, (0, 0, 10, 10), "x")], {"kept": 1, "mean_iou": 0.3333, "surplus": 0}, id="off"),
    ],
)
def test_boxes_score(found: list[Seen], expected: dict[str, float]) -> None:
    truth = [Seen(0, (0, 0, 10, 10), "a"), Seen(1, (2, 0, 10, 10), "a")]
    assert score_boxes(truth, found, set()).items() >= expected.items()


def test_box_iou() -> None:
    assert box_iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 10, 10), (20, 0, 10, 10)) == 0
