from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from labeler_backend.masks.shape import Polygons, to_mask
from labeler_backend.studio.areas import areas, joined
from labeler_backend.studio.regions import region_to_shape
from tests.studio.made import through_json

SIZE = (100, 200)


def area(*corners: tuple[float, float]) -> Any:
    [found] = areas([np.array(corners, float)], SIZE)
    return found


BOX = ((10, 10), (50, 10), (50, 50), (10, 50))
BRIDGED = ((0, 0), (90, 0), (90, 90), (0, 90), (0, 30), (30, 30), (30, 70), (70, 70), (70, 30), (0, 30))


@pytest.mark.parametrize(
    ("corners", "pixels", "note"),
    [
        pytest.param(BOX, 1600, "", id="a box"),
        pytest.param(BOX[::-1], 1600, "", id="the other way round"),
        pytest.param((*BOX, BOX[0]), 1600, "", id="closed by hand"),
        pytest.param((BOX[0], *BOX), 1600, "", id="a corner twice"),
        pytest.param(((-0.4, 0), (50, 0), (50, 50), (-0.4, 50)), 2500, "", id="a hair outside"),
        pytest.param(((-9, 0), (50, 0), (50, 50), (-9, 50)), 2500, "cut off", id="outside"),
        pytest.param(((0, 0), (40, 40), (40, 0), (0, 40)), 800, "crosses itself", id="a bow"),
        pytest.param((*BOX, (30, 5), (30, 60)), None, "crosses itself", id="a loop"),
        pytest.param(BRIDGED, 6500, "", id="a bridge to a hole is no mistake"),
    ],
)
def test_what_a_ring_encloses(corners: Any, pixels: int | None, note: str) -> None:
    found = area(*corners)
    assert bool(found.note) == bool(note)
    assert note in found.note
    mask = to_mask(found.shape)
    assert mask.shape == SIZE
    if pixels is not None:
        assert mask.sum() == pytest.approx(pixels, rel=0.03)


@pytest.mark.parametrize(
    ("corners", "pixels"),
    [
        pytest.param(((10, 10.6), (190, 10.6), (190, 11.4), (10, 11.4)), None, id="long, between two rows"),
        pytest.param(((10, 10.4), (190, 10.4), (190, 11.4), (10, 11.4)), 180, id="long, over one row"),
        pytest.param(((10, 10), (190, 90), (190, 90.1)), 8, id="a needle"),
        pytest.param(((10.1, 10.1), (10.4, 10.1), (10.1, 10.4)), None, id="beside a centre"),
        pytest.param(((10.3, 10.3), (10.9, 10.3), (10.3, 10.9)), 1, id="over one centre"),
    ],
)
def test_thin_rings_count_where_they_have_a_pixel(corners: Any, pixels: int | None) -> None:
    found = area(*corners)
    if pixels is None:
        assert found.shape is None
        assert "no pixel" in found.note
    else:
        np.testing.assert_array_equal(found.shape.rings[0], corners)
        assert to_mask(found.shape).sum() == pytest.approx(pixels, abs=pixels // 4)


@pytest.mark.parametrize(
    ("corners", "note"),
    [
        pytest.param((), "has 0 points", id="none"),
        pytest.param(((1, 1), (2, 2)), "has 2 points", id="two"),
        pytest.param(((1, 1), (2, 2), (3, 3)), "no area", id="a line"),
        pytest.param(((1, 1), (1, 1), (1, 1)), "no area", id="a point"),
        pytest.param(((300, 1), (320, 1), (320, 9)), "no pixel", id="outside"),
        pytest.param(((5.6, 5.6), (6.4, 5.6), (6.4, 6.4)), "no pixel", id="between the pixels"),
    ],
)
def test_what_encloses_nothing_says_why(corners: Any, note: str) -> None:
    found = area(*corners)
    assert found.shape is None
    assert note in found.note


def test_corners_stay_corners_and_holes_become_pixels() -> None:
    assert isinstance(area(*BOX).shape, Polygons)
    assert not isinstance(area(*BRIDGED).shape, Polygons)


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    rings = [
        np.array(c, float)
        for c in (BOX, ((1, 1), (2, 2)), BRIDGED, BOX[::-1], ((300, 1), (320, 1), (320, 9)))
    ]
    together = areas(rings, SIZE)
    for ring, found in zip(rings, together, strict=True):
        [alone] = areas([ring], SIZE)
        assert (found.shape is None, found.note) == (alone.shape is None, alone.note)
        if found.shape is not None and alone.shape is not None:
            np.testing.assert_array_equal(to_mask(found.shape), to_mask(alone.shape))


@given(points=st.lists(st.tuples(st.floats(-30, 230), st.floats(-30, 130)), min_size=3, max_size=12))
@settings(max_examples=150, deadline=None)
def test_shapes_are_valid_and_within_the_frame(points: list[tuple[float, float]]) -> None:
    shape = area(*points).shape
    if isinstance(shape, Polygons):
        polygons = [Polygon(ring) for ring in shape.rings]
        assert all(p.is_valid and p.area > 0 for p in polygons)
        assert all((ring >= 0).all() and (ring <= (SIZE[1], SIZE[0])).all() for ring in shape.rings)


@given(
    corners=st.integers(3, 40),
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(30, 9000), st.integers(30, 9000)),
)
@settings(max_examples=80, deadline=None)
def test_corners_come_back_to_a_billionth(corners: int, seed: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    turn = np.sort(rng.random(corners)) * 0.5 + np.arange(corners)
    ring = 0.5 + rng.uniform(0.2, 0.45, corners)[:, None] * np.column_stack(
        [np.cos(turn * math.tau / corners), np.sin(turn * math.tau / corners)]
    )
    item = {
        "type": "polygon",
        "original_height": size[0],
        "original_width": size[1],
        "value": {"points": (ring * 100).tolist(), "closed": True},
    }
    shape = region_to_shape(through_json(item))
    assert isinstance(shape, Polygons)
    assert shape.size == size
    np.testing.assert_allclose(shape.rings[0], ring * (size[1], size[0]), rtol=1e-9)


@pytest.mark.parametrize(
    ("second", "rings"),
    [
        pytest.param(((60, 10), (90, 10), (90, 50)), 2, id="apart"),
        pytest.param(((50, 10), (90, 10), (90, 50), (50, 50)), 2, id="sharing a border"),
        pytest.param(((30, 10), (90, 10), (90, 50), (30, 50)), 1, id="overlapping"),
    ],
)
def test_parts_are_joined(second: Any, rings: int) -> None:
    parts = [area(*BOX).shape, area(*second).shape]
    shape = joined(parts)
    assert isinstance(shape, Polygons)
    assert len(shape.rings) == rings
    np.testing.assert_array_equal(to_mask(shape), to_mask(parts[0]) | to_mask(parts[1]))


def test_parts_of_which_one_is_painted_become_pixels() -> None:
    parts = [area(*BOX).shape, area(*BRIDGED).shape]
    np.testing.assert_array_equal(to_mask(joined(parts)), to_mask(parts[0]) | to_mask(parts[1]))
