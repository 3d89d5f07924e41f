import time

import numpy as np
import pytest
from hypothesis import given, settings
from pycocotools import mask as coco_mask
from shapely.geometry import Polygon

from exporters.rings import joined, outlines
from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import BoolMask, encode
from labeler_backend.masks.shape import Ring
from tests.exporters.made import BLOBS, RING, SIZE, disc, noisy_masks


def drawn(rings: list[Ring], shape: tuple[int, ...]) -> BoolMask:
    height, width = shape
    coded = coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], height, width)
    mask: BoolMask = coco_mask.decode(coco_mask.merge(coded)).astype(bool)
    return mask


def shoelace(ring: Ring) -> float:
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


@settings(max_examples=200, deadline=None)
@given(noisy_masks())
def test_the_exact_outline_is_drawn_to_the_pixel(mask: BoolMask) -> None:
    rings = outlines(encode(mask), 0)
    np.testing.assert_array_equal(drawn(rings, mask.shape), mask)
    assert sum(map(shoelace, rings)) == mask.sum()
    one = joined(rings)
    np.testing.assert_array_equal(drawn([one], mask.shape), mask)
    assert shoelace(one) == pytest.approx(mask.sum())


def test_one_ring_per_blob_and_few_corners() -> None:
    rings = outlines(encode(RING | disc(5, 5, 4)), 1.0)
    assert len(rings) == 2
    assert sum(map(len, rings)) < 60
    assert not drawn(rings, RING.shape)[30, 40]  # the hole


def test_blobs_of_either_turn_are_joined() -> None:
    a, b = outlines(encode(BLOBS), 0)
    for rings in ([a, b], [b, a[::-1]], [a[::-1], b[::-1]]):
        one = joined(rings)
        assert abs(shoelace(one)) == pytest.approx(BLOBS.sum())
        np.testing.assert_array_equal(drawn([one], BLOBS.shape), BLOBS)


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(encode(np.zeros((4, 5), bool)), 1.0) == []


def test_bridges_do_not_show_in_our_own_drawing() -> None:
    (one,) = outlines(encode(RING), 0)
    np.testing.assert_array_equal(polygons_to_mask([Polygon(one)], SIZE), RING)


@pytest.mark.parametrize("share", [pytest.param(0.3, id="blobs"), pytest.param(0.95, id="holes")])
def test_a_noisy_brush_does_not_hang(share: float) -> None:
    mask = np.random.default_rng(0).random((200, 300)) < share
    began = time.process_time()
    rings = outlines(encode(mask), 0)
    one = joined(rings)
    assert time.process_time() - began < 5  # tens of seconds where each looks at all others
    assert abs(shoelace(one)) == pytest.approx(mask.sum())
    np.testing.assert_array_equal(drawn([one], mask.shape), mask)


def test_rings_in_one_line_are_joined_all_the_same() -> None:
    flat = [np.array([[x, 1.0], [x + 1, 1.0], [x + 2, 1.0]]) for x in (0.0, 5.0, 10.0)]
    assert set(map(tuple, joined(flat))) == {tuple(corner) for ring in flat for corner in ring}
