from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.boxes import mask_in_box
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal
from labeler_backend.video.tracks import Box

SIZE = (60, 100)


def rectangle(x: int, y: int, w: int, h: int) -> BoolMask:
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    return mask


def proposal(mask: BoolMask, score: float = 0.5) -> Proposal:
    return Proposal(rle.encode(mask), score, "made")


def triangle(x: int, y: int, side: int) -> BoolMask:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (rows >= y) & (rows < y + side) & (columns >= x) & (columns - x <= rows - y)


OBJECT = triangle(20, 10, 30)
BOX = (20.0, 10.0, 30.0, 30.0)
CORNER, ROOM, BESIDE = rectangle(20, 10, 10, 10), rectangle(0, 0, 100, 60), rectangle(50, 35, 20, 5)
COMB = OBJECT & (np.arange(SIZE[1]) % 2 == 0)


@pytest.mark.parametrize(
    ("proposals", "expected"),
    [
        pytest.param([proposal(OBJECT), proposal(CORNER, 0.9)], OBJECT, id="the one it fits"),
        pytest.param([proposal(OBJECT, 0.2), proposal(ROOM, 0.9)], OBJECT, id="not the room"),
        pytest.param(
            [proposal(OBJECT), proposal(COMB, 0.3)], OBJECT, id="the likelier of two that fit alike"
        ),
        pytest.param([proposal(OBJECT | BESIDE)], OBJECT, id="cut off at the box"),
    ],
)
def test_the_proposal_that_a_box_means(proposals: list[Proposal], expected: BoolMask) -> None:
    np.testing.assert_array_equal(mask_in_box(proposals, BOX, SIZE), expected)


@pytest.mark.parametrize(
    "proposals",
    [
        pytest.param([], id="no proposal"),
        pytest.param([proposal(rectangle(60, 40, 20, 10), 0.9)], id="none there"),
        pytest.param([proposal(rectangle(22, 12, 5, 5), 0.9)], id="only a part of it"),
        pytest.param([proposal(rectangle(0, 0, 100, 60), 0.9)], id="only all of the picture"),
    ],
)
def test_where_none_fits_an_ellipse_stands_for_it(proposals: list[Proposal]) -> None:
    y, x = np.mgrid[0.5 : SIZE[0], 0.5 : SIZE[1]]
    ellipse = ((x - 35) / 15) ** 2 + ((y - 25) / 15) ** 2 <= 1
    assert iou(mask_in_box(proposals, BOX, SIZE), ellipse) > 0.98


@given(
    st.tuples(
        st.floats(-50, 150, width=32),
        st.floats(-50, 100, width=32),
        st.floats(0, 120, width=32),
        st.floats(0, 90, width=32),
    ),
    st.booleans(),
)
def test_there_is_always_something_and_nothing_outside(box: Box, proposed: bool) -> None:
    found = mask_in_box([proposal(OBJECT)] if proposed else [], box, SIZE)
    assert found.shape == SIZE
    assert found.any()
    x, y, w, h = box
    rows, columns = np.nonzero(found)
    assert rows.min() >= min(np.floor(y), SIZE[0] - 1)
    assert columns.min() >= min(np.floor(x), SIZE[1] - 1)
    assert rows.max() <= max(np.ceil(y + h) - 1, np.floor(y), 0)
    assert columns.max() <= max(np.ceil(x + w) - 1, np.floor(x), 0)
