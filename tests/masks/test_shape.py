"""Shapes as pixels: the quick ways give what the plain one does."""

import numpy as np
import pytest
from hypothesis import given, settings

from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons, Shape, patch, scaled, to_mask, to_rle, union, upright_box
from tests.exporters.drawn import SIZE, box, disc, shapes
from tests.exporters.made import BLOBS, RING, polygon, square, star_polygons
from tests.exporters.made import SIZE as MADE_SIZE

H, W = SIZE
TRIANGLE = np.array([[3.0, 2.0], [50.0, 5.0], [20.0, 38.0]])


@settings(max_examples=100, deadline=None)
@given(shapes() | star_polygons())
def test_any_shape(shape: Shape) -> None:
    check(shape)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(square(0, 0, 60), id="from the corner, full height"),
        pytest.param(square(20, 0, 60), id="to the corner"),
        pytest.param(square(3, 0, 10), id="at the top"),
        pytest.param(square(3, 50, 10), id="at the bottom"),
        pytest.param(square(70, 50, 10), id="at the right"),
        pytest.param(square(0.6, 0.6, 0.3), id="between the centres"),
        pytest.param(polygon((0, 0), (80, 0), (80, 60), (0, 60)), id="all"),
        pytest.param(Polygons((*square(1, 1, 5).rings, *square(70, 50, 9).rings), MADE_SIZE), id="two"),
        pytest.param(encode(RING), id="RLE with a hole"),
        pytest.param(encode(BLOBS), id="RLE of blobs"),
        pytest.param(encode(np.zeros(MADE_SIZE, bool)), id="empty RLE"),
    ],
)
def test_windows(shape: Shape) -> None:
    check(shape)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(box(0, 0, W, H), id="all of it"),
        pytest.param(box(10, 0, 5, H), id="whole columns"),
        pytest.param(box(0, 3, W, 5), id="whole rows"),
        pytest.param(box(W - 1, H - 1, 1, 1), id="the last pixel"),
        pytest.param(box(3.5, 3.5, 4, 4), id="edges through centres"),
        pytest.param(box(3.6, 3.6, 0.5, 0.5), id="between centres: no pixel"),
        pytest.param(Polygons((box(5, 5, 8, 8).rings[0][::-1],), SIZE), id="turned the other way"),
        pytest.param(
            Polygons((np.roll(box(5, 5, 8, 8).rings[0], 1, axis=0),), SIZE), id="another first corner"
        ),
        pytest.param(Polygons((TRIANGLE,), SIZE), id="triangle"),
        pytest.param(
            Polygons((np.array([[0.0, 0], [20, 0], [20, H], [0, H], [5, 20]]),), SIZE), id="full height"
        ),
        pytest.param(
            Polygons((box(0, 0, 5, 5).rings[0], box(5, 0, 5, 5).rings[0]), SIZE), id="two that touch"
        ),
        pytest.param(encode(disc(20, 20, 9)), id="mask"),
    ],
)
def test_corner_cases(shape: Shape) -> None:
    check(shape)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        pytest.param(box(2, 3, 4, 5), (3, 2, 8, 6), id="upright"),
        pytest.param(Polygons((TRIANGLE,), SIZE), None, id="triangle"),
        pytest.param(Polygons((np.array([[5.0, 0], [10, 5], [5, 10], [0, 5]]),), SIZE), None, id="turned"),
    ],
)
def test_upright_boxes(shape: Polygons, found: tuple[int, int, int, int] | None) -> None:
    assert upright_box(shape) == found


def test_union_and_scaling() -> None:
    shape = union([box(0, 0, 4, 4), encode(disc(20, 20, 9))])
    np.testing.assert_array_equal(to_mask(shape), to_mask(box(0, 0, 4, 4)) | disc(20, 20, 9))
    doubled = scaled(box(1, 2, 4, 4), (2 * H, 2 * W))
    assert to_mask(doubled).sum() == 64
    np.testing.assert_array_equal(to_mask(scaled(shape, (2 * H, 2 * W)))[::2, ::2], to_mask(shape))
    with pytest.raises(ValueError, match="one image"):
        union([shape, scaled(shape, (2 * H, 2 * W))])


def check(shape: Shape) -> None:
    mask = to_mask(shape)
    window, part = patch(shape)
    whole = np.zeros_like(mask)
    if part.size:
        whole[window] = part
    np.testing.assert_array_equal(whole, mask)
    assert (part.size == 0) == (not mask.any())
    assert to_rle(shape) == encode(mask)
