from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.masks.shape import to_mask
from labeler_backend.studio.areas import areas
from labeler_backend.studio.shapes import (
    FloatArray,
    ShapeError,
    ellipse_outline,
    ellipse_values,
    polygon_outline,
    polygon_values,
    rectangle_outline,
    rectangle_values,
    vector_outline,
)
from tests.studio.made import SIZE, blobs, ellipse, ring, sizes, through_json

SQUARE = (100, 100)  # percent are pixels


def fill(outline: FloatArray, size: tuple[int, int]) -> BoolMask:
    [area] = areas([outline], size)
    assert area.shape is not None, area.note
    return to_mask(area.shape)


def back(values: list[dict[str, Any]], size: tuple[int, ...]) -> BoolMask:
    mask = np.zeros(size, bool)
    for value in through_json(values):
        mask |= fill(polygon_outline(value, (size[0], size[1])), (size[0], size[1]))
    return mask


@given(mask=blobs())
@settings(max_examples=40, deadline=None)
def test_a_smooth_blob_survives_as_polygon(mask: BoolMask) -> None:
    values = polygon_values(mask, 60)
    assert len(values) == 1
    assert iou(back(values, mask.shape), mask) > 0.95


@given(mask=blobs(), share=st.floats(0.3, 0.6), holes=st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_holes_keep_the_area_true(mask: BoolMask, share: float, holes: int) -> None:
    y, x = np.nonzero(mask)
    pierced = mask.copy()
    for n in range(holes):
        at = len(y) * (n + 1) // (holes + 1)
        radius = share * math.sqrt(len(y) / math.pi) / holes / 2
        pierced &= ~ellipse(mask.shape, (float(x[at]), float(y[at])), (radius, radius))
    drawn = back(polygon_values(pierced, 80), mask.shape)
    assert drawn.sum() == pytest.approx(pierced.sum(), rel=0.02, abs=30)
    assert iou(drawn, pierced) > 0.93


def test_a_hole_is_bridged_in_one_ring() -> None:
    values = polygon_values(ring(), 60)
    assert len(values) == 1
    assert len(values[0]["points"]) <= 60
    drawn = back(values, SIZE)
    assert not drawn[45, 60]
    assert iou(drawn, ring()) > 0.96


def test_blobs_become_values_that_share_the_points() -> None:
    two = ellipse(radii=(20, 12)) | ellipse(centre=(120, 70), radii=(12, 12))
    values = polygon_values(two, 20)
    assert len(values) == 2
    assert sum(len(v["points"]) for v in values) <= 20
    assert iou(back(values, SIZE), two) > 0.9


@given(size=sizes(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_an_upright_box_comes_back_exactly(size: tuple[int, int], data: st.DataObject) -> None:
    top, left = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
    bottom, right = data.draw(st.integers(top + 1, size[0])), data.draw(st.integers(left + 1, size[1]))
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    [value] = through_json(rectangle_values(mask))
    assert value["x"] * size[1] / 100 == pytest.approx(left, abs=1e-4)
    assert value["height"] * size[0] / 100 == pytest.approx(bottom - top, abs=1e-4)
    np.testing.assert_array_equal(fill(rectangle_outline(value, size), size), mask)


def test_a_rectangle_turns_about_its_corner_in_pixels() -> None:
    """40 × 20 pixels at (100, 50) of 200 × 100, turned by 90°: the box left below the corner."""
    value = {"x": 50, "y": 50, "width": 20, "height": 20, "rotation": 90}
    outline = rectangle_outline(value, (100, 200))
    np.testing.assert_allclose(outline, [[100, 50], [100, 90], [80, 90], [80, 50]], atol=1e-9)


def test_a_turned_rectangle_keeps_its_area() -> None:
    value = {"x": 40, "y": 20, "width": 20, "height": 40, "rotation": 33}
    assert fill(rectangle_outline(value, (300, 500)), (300, 500)).sum() == pytest.approx(100 * 120, rel=0.01)


@given(
    radii=st.tuples(st.floats(12, 40), st.floats(12, 40)),
    degrees=st.floats(0, 360),
    size=st.sampled_from([(90, 140), (160, 100)]),
)
@settings(max_examples=40, deadline=None)
def test_an_ellipse_comes_back(radii: tuple[float, float], degrees: float, size: tuple[int, int]) -> None:
    mask = ellipse(size, (size[1] / 2, size[0] / 2), radii, degrees)
    if not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()):  # whole
        [value] = through_json(ellipse_values(mask))
        assert iou(fill(ellipse_outline(value, size), size), mask) > 0.97
        assert value["radiusX"] <= 50
        assert value["radiusY"] <= 50


def test_an_ellipse_turns_in_pixels() -> None:
    """Radii of 40 and 10 pixels, turned upright, on 200 × 100."""
    value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 90}
    mask = fill(ellipse_outline(value, (100, 200)), (100, 200))
    np.testing.assert_array_equal(mask, ellipse((100, 200), (100, 50), (10, 40), 0))


@pytest.mark.parametrize(
    ("points", "inside", "outside"),
    [
        pytest.param(
            [[0, 0], [80, 80], [80, 0], [0, 80]], [(40, 10), (40, 70)], [(10, 40), (70, 40)], id="bow tie"
        ),
        pytest.param(
            [[0, 0], [90, 0], [90, 90], [0, 90], [0, 0], [60, 20], [60, 60], [20, 60]],
            [(40, 40), (80, 80)],
            [(95, 95)],
            id="wound around twice",
        ),
        pytest.param(
            [[0, 0], [90, 0], [90, 90], [0, 90], [0, 30], [30, 30], [30, 70], [70, 70], [70, 30], [0, 30]],
            [(10, 10), (50, 10)],
            [(50, 50)],
            id="bridged hole",
        ),
    ],
)
def test_rings_are_filled_as_the_editor_fills_them(
    points: list[list[int]], inside: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    mask = fill(polygon_outline({"points": points}, SQUARE), SQUARE)
    assert [bool(mask[p]) for p in inside] == [True] * len(inside)
    assert [bool(mask[p]) for p in outside] == [False] * len(outside)


def test_what_lies_outside_the_frame_is_cut_off() -> None:
    mask = fill(polygon_outline({"points": [[-50, -50], [50, -50], [50, 50], [-50, 50]]}, SQUARE), SQUARE)
    assert mask.sum() == 2500
    assert mask[:50, :50].all()


def smooth(x: float, y: float, arriving: tuple[float, float], leaving: tuple[float, float]) -> dict[str, Any]:
    ends = [{"x": end[0], "y": end[1]} for end in (arriving, leaving)]
    return {"x": x, "y": y, "isBezier": True, "controlPoint1": ends[0], "controlPoint2": ends[1]}


CURVES = {
    "closed": True,
    "vertices": [
        smooth(10, 50, (10, 72.09), (10, 27.91)),
        smooth(50, 10, (27.91, 10), (72.09, 10)),
        smooth(90, 50, (90, 27.91), (90, 72.09)),
        smooth(50, 90, (72.09, 90), (27.91, 90)),
    ],
}
"""The usual four curves for a circle."""


def test_a_vector_of_curves_is_a_circle() -> None:
    mask = fill(vector_outline(CURVES, SQUARE), SQUARE)
    assert iou(mask, ellipse(SQUARE, (50, 50), (40, 40), 0)) > 0.98


def test_a_vector_of_straight_lines_is_a_polygon() -> None:
    corners = [[10, 10], [90, 20], [50, 80]]
    vertices = [{"x": x, "y": y, "id": str(x), "isBezier": False} for x, y in corners]
    drawn = fill(vector_outline({"closed": True, "vertices": vertices}, SQUARE), SQUARE)
    np.testing.assert_array_equal(drawn, fill(polygon_outline({"points": corners}, SQUARE), SQUARE))


@pytest.mark.parametrize("start", [pytest.param(True, id="leaving"), pytest.param(False, id="arriving")])
def test_a_curve_may_have_one_straight_end(start: bool) -> None:
    bent = {"isBezier": True, "controlPoint2" if start else "controlPoint1": {"x": 50, "y": 0}}
    vertices = [{"x": 10, "y": 50}, {"x": 90, "y": 50}, {"x": 50, "y": 90}]
    vertices[0 if start else 1].update(bent)  # type: ignore[arg-type]
    mask = fill(vector_outline({"closed": True, "vertices": vertices}, SQUARE), SQUARE)
    assert mask[40, 50]
    assert not mask[25, 50]


@pytest.mark.parametrize(
    ("outline", "value", "reason"),
    [
        pytest.param(polygon_outline, {}, "points are not a list", id="no points"),
        pytest.param(polygon_outline, {"points": [[1, 2], [3]]}, "not a pair", id="half a point"),
        pytest.param(polygon_outline, {"points": ["12", "34", "56"]}, "not a pair", id="texts"),
        pytest.param(polygon_outline, {"points": [[1, None]] * 3}, "y is missing or not a number", id="null"),
        pytest.param(polygon_outline, {"points": [[True, 1]] * 3}, "x is missing or not a number", id="bool"),
        pytest.param(polygon_outline, {"points": [[math.nan, 1]] * 3}, "x lies far outside", id="NaN"),
        pytest.param(polygon_outline, {"points": [[math.inf, 1]] * 3}, "x lies far outside", id="infinite"),
        pytest.param(polygon_outline, {"points": [[10**5000, 1]] * 3}, "x lies far outside", id="huge"),
        pytest.param(polygon_outline, {"points": [[1, 1]] * 3, "closed": False}, "not closed", id="open"),
        pytest.param(rectangle_outline, {"x": 1, "y": 2, "width": 3}, "height is missing", id="no height"),
        pytest.param(ellipse_outline, {"x": 1, "y": 2, "radiusX": 3}, "radiusY is missing", id="no radius"),
        pytest.param(vector_outline, {"vertices": [{"x": 1, "y": 1}] * 3}, "open", id="open vector"),
        pytest.param(vector_outline, {"vertices": [1, 2], "closed": True}, "not objects", id="no vertices"),
        pytest.param(vector_outline, {"closed": True}, "vertices are not a list", id="vertices missing"),
    ],
)
def test_a_bad_value_is_a_reason(outline: Any, value: dict[str, Any], reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        outline(value, SIZE)


@pytest.mark.parametrize("points", [pytest.param([], id="none"), pytest.param([[1, 1], [5, 5]], id="two")])
def test_two_points_enclose_nothing(points: list[list[float]]) -> None:
    [area] = areas([polygon_outline({"points": points}, SIZE)], SIZE)
    assert area.shape is None
    assert f"has {len(points)} points" in area.note


def test_an_empty_mask_has_no_values() -> None:
    empty = np.zeros(SIZE, bool)
    assert polygon_values(empty, 60) == rectangle_values(empty) == ellipse_values(empty) == []
