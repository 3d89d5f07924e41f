import numpy as np
import pytest
from hypothesis import given

from exporters.encoding import paint, rle_of, upright_box
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons, Shape, to_mask, to_rle
from tests.exporters.drawn import SIZE, box, disc, shapes

H, W = SIZE
TRIANGLE = np.array([[3.0, 2.0], [50.0, 5.0], [20.0, 38.0]])


@given(shapes())
def test_same_as_through_the_whole_picture(shape: Shape) -> None:
    assert rle_of(shape) == to_rle(shape)
    canvas = np.zeros(SIZE, np.uint8)
    paint(canvas, shape, 7)
    np.testing.assert_array_equal(canvas == 7, to_mask(shape))


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
    assert rle_of(shape) == to_rle(shape)


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
