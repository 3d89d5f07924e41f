import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from scipy import ndimage
from shapely.geometry import Point, Polygon, box
from skimage import data

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.polygons import bridge_holes, mask_to_polygons, polygons_to_mask, to_coco

noise = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.booleans())
caps = st.integers(4, 80)
tolerances = st.sampled_from([0.0, 0.5, 1.0, 3.0])


def disk(side: int, radius: float, hole: float = 0) -> np.ndarray:
    y, x = np.ogrid[:side, :side]
    r = np.hypot(y - side / 2 + 0.5, x - side / 2 + 0.5)
    return (r <= radius) & (r >= hole)


def points_of(polygons: list[Polygon]) -> int:
    return sum(len(ring) // 2 for ring in to_coco(polygons))


def shoelace(ring: np.ndarray) -> float:
    x, y = ring.T
    return abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))) / 2


def photo_masks() -> list[np.ndarray]:
    """Real outlines: coins, and the cameraman with his tripod (thin legs, holes, specks)."""
    coins, _ = ndimage.label(ndimage.gaussian_filter(data.coins(), 2) > 120)
    big = [n for n, size in enumerate(np.bincount(coins.ravel())) if n and size > 1000]
    return [coins == n for n in big] + [data.camera() < 60]


def blobs(seed: int) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).random((120, 160)), 3)
    return field > np.quantile(field, 0.6)


@settings(deadline=None)
@given(noise, caps, tolerances)
def test_valid_within_cap_and_never_empty(mask: np.ndarray, cap: int, tolerance: float) -> None:
    polygons = mask_to_polygons(mask, tolerance, cap)
    assert bool(polygons) == mask.any()
    assert all(p.is_valid and p.area > 0 for p in polygons)
    assert points_of(polygons) <= cap
    h, w = mask.shape
    assert all(box(0, 0, w, h).covers(p) for p in polygons)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("cap", [8, 20, 60])
def test_valid_within_cap_where_many_rings_compete(seed: int, cap: int) -> None:
    mask = blobs(seed)
    polygons = mask_to_polygons(mask, max_points=cap)
    assert polygons
    assert all(p.is_valid for p in polygons)
    assert points_of(polygons) <= cap


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.booleans()))
def test_exact_where_tolerance_is_zero_and_the_cap_allows(mask: np.ndarray) -> None:
    polygons = mask_to_polygons(mask, tolerance=0, max_points=80)
    np.testing.assert_array_equal(polygons_to_mask(polygons, mask.shape), mask)
    assert sum(p.area for p in polygons) == mask.sum()


def test_real_outlines_survive() -> None:
    ious = []
    for mask in photo_masks()[:-1]:
        polygons = mask_to_polygons(mask)
        assert points_of(polygons) <= 60
        ious.append(iou(polygons_to_mask(polygons, mask.shape), mask))
    assert len(ious) > 10
    assert np.mean(ious) > 0.97


def test_hard_outline_stays_valid_under_every_cap() -> None:
    mask = photo_masks()[-1]
    quality = []
    for cap in (10, 30, 60, 80):
        polygons = mask_to_polygons(mask, max_points=cap)
        assert all(p.is_valid for p in polygons)
        assert points_of(polygons) <= cap
        quality.append(iou(polygons_to_mask(polygons, mask.shape), mask))
    assert quality == sorted(quality)


def test_fit_beats_corners_on_the_outline() -> None:
    """At 12 points a circle's best polygon has its area; one with its corners on the circle loses 4.5 %."""
    mask = disk(400, 180)
    (polygon,) = mask_to_polygons(mask, max_points=12)
    assert polygon.area == pytest.approx(mask.sum(), rel=0.01)
    assert iou(polygons_to_mask([polygon], mask.shape), mask) > 0.975


def test_ring_keeps_its_hole() -> None:
    mask = disk(200, 90, hole=40)
    (polygon,) = mask_to_polygons(mask)
    assert len(polygon.interiors) == 1
    assert not polygon.contains(Point(100, 100))


def test_specks_are_left_out_unless_nothing_else_is_there() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    mask[2, 2] = True
    assert len(mask_to_polygons(mask)) == 1
    assert len(mask_to_polygons(mask, tolerance=0)) == 2
    alone = np.zeros((9, 9), bool)
    alone[4, 4] = True
    (polygon,) = mask_to_polygons(alone)
    assert polygon.contains(Point(4.5, 4.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"max_points": 3}, "between 4 and 80", id="too few points"),
        pytest.param({"max_points": 81}, "between 4 and 80", id="more than the editor bears"),
        pytest.param({"tolerance": -1}, "negative", id="negative tolerance"),
    ],
)
def test_bad_arguments(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mask_to_polygons(np.ones((4, 4), bool), **arguments)


@given(st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 25)), min_size=3, max_size=8).map(Polygon))
def test_rasterises_by_pixel_centres(polygon: Polygon) -> None:
    polygon = polygon.buffer(0)
    parts = [p for p in getattr(polygon, "geoms", [polygon]) if not p.is_empty]
    mask = polygons_to_mask(parts, (18, 20))
    for i in range(18):
        for j in range(20):
            centre = Point(j + 0.5, i + 0.5)
            if polygon.boundary.distance(centre) > 1e-9:
                assert mask[i, j] == polygon.contains(centre)


def test_overlapping_polygons_unite() -> None:
    holed = Polygon(box(0, 0, 10, 10).exterior, [box(2, 2, 8, 8).exterior])
    mask = polygons_to_mask([holed, box(4, 4, 12, 6)], (12, 12))
    assert mask[5, 5]
    assert not mask[3, 3]
    assert mask[5, 11]


@pytest.mark.parametrize(
    "polygon",
    [
        pytest.param(box(1, 1, 7, 9), id="no hole"),
        pytest.param(Polygon(box(0, 0, 30, 30).exterior, [box(9, 9, 20, 20).exterior]), id="one hole"),
        pytest.param(
            Polygon(
                box(0, 0, 40, 40).exterior,
                [box(x, y, x + 5, y + 5).exterior for x in (3, 12, 21, 30) for y in (5, 15, 25)],
            ),
            id="a dozen holes",
        ),
        pytest.param(
            Polygon(box(0, 0, 30, 10).exterior, [box(2, 2, 4, 8).exterior, box(5, 2, 28, 8).exterior]),
            id="nearest corner behind another hole",
        ),
    ],
)
def test_bridged_polygon_keeps_its_area_in_pycocotools(polygon: Polygon) -> None:
    ring = bridge_holes(polygon)
    expected = len(polygon.exterior.coords) - 1 + sum(len(h.coords) + 1 for h in polygon.interiors)
    assert len(ring) == expected
    assert shoelace(ring) == pytest.approx(polygon.area)
    drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(to_coco([polygon]), 50, 50))).astype(bool)
    assert iou(drawn, polygons_to_mask([polygon], (50, 50))) > 0.9  # pycocotools rounds by its own habit


@pytest.mark.parametrize("seed", range(10))
def test_bridges_of_real_polygons_keep_the_area(seed: int) -> None:
    for polygon in mask_to_polygons(~blobs(seed) | disk(160, 50)[:120], max_points=80):
        assert shoelace(bridge_holes(polygon)) == pytest.approx(polygon.area)
