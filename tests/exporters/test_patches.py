import numpy as np
import pytest
from hypothesis import given, settings

from exporters.patches import encoded, patch
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons, Shape, to_mask, to_rle
from tests.exporters.made import BLOBS, RING, SIZE, polygon, square, star_polygons


@settings(max_examples=100, deadline=None)
@given(star_polygons())
def test_polygons_are_as_in_the_whole_image(shape: Polygons) -> None:
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
        pytest.param(Polygons((*square(1, 1, 5).rings, *square(70, 50, 9).rings), SIZE), id="two"),
        pytest.param(encode(RING), id="RLE with a hole"),
        pytest.param(encode(BLOBS), id="RLE of blobs"),
        pytest.param(encode(np.zeros(SIZE, bool)), id="empty RLE"),
    ],
)
def test_shapes(shape: Shape) -> None:
    check(shape)


def check(shape: Shape) -> None:
    mask = to_mask(shape)
    window, part = patch(shape)
    whole = np.zeros_like(mask)
    if part.size:
        whole[window] = part
    np.testing.assert_array_equal(whole, mask)
    assert (part.size == 0) == (not mask.any())
    assert encoded(shape) == to_rle(shape)
