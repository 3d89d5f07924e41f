import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from shapely.geometry import Polygon

from labeler_backend.masks.outline import corners, trace_rings

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.booleans())


def parse(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


@pytest.mark.parametrize(
    ("mask", "areas"),
    [
        pytest.param(parse("...", "..."), [], id="empty"),
        pytest.param(parse("#"), [1], id="one pixel"),
        pytest.param(parse("##", "##"), [4], id="full"),
        pytest.param(parse("#.", ".#"), [1, 1], id="diagonal pixels are two"),
        pytest.param(parse("###", "#.#", "###"), [9, -1], id="hole"),
        pytest.param(parse("####", "#.##", "##.#", "####"), [16, -1, -1], id="holes that touch"),
        pytest.param(parse("##.", "#.#", "###"), [8, -1], id="hole that touches its exterior"),
        pytest.param(parse("#####", "#...#", "#.#.#", "#...#", "#####"), [25, 1, -9], id="island in a hole"),
    ],
)
def test_areas_of_rings(mask: np.ndarray, areas: list[int]) -> None:
    assert sorted(r.area for r in trace_rings(mask)) == sorted(areas)


def test_outline_runs_along_pixel_borders() -> None:
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:5] = True
    (ring,) = trace_rings(mask)
    turns = ring.points[corners(ring)]
    assert sorted(map(tuple, turns.tolist())) == [(2, 1), (2, 3), (5, 1), (5, 3)]


@given(masks)
def test_rings_make_valid_polygons_of_exact_area(mask: np.ndarray) -> None:
    rings = trace_rings(mask)
    assert sum(r.area for r in rings) == mask.sum()
    for component in {r.component for r in rings}:
        own = [r for r in rings if r.component == component]
        (exterior,) = [r for r in own if r.area > 0]
        polygon = Polygon(exterior.points, [r.points for r in own if r.area < 0])
        assert polygon.is_valid
        assert polygon.area == sum(r.area for r in own)
