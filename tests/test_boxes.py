"""What stands for an object of which only the box is known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.boxes import ellipse_in
from labeler_backend.masks.metrics import iou
from labeler_backend.video.tracks import Box

SIZE = (60, 100)


def test_it_touches_all_four_sides() -> None:
    y, x = np.mgrid[0.5 : SIZE[0], 0.5 : SIZE[1]]
    ellipse = ((x - 35) / 15) ** 2 + ((y - 25) / 15) ** 2 <= 1
    assert iou(ellipse_in((20.0, 10.0, 30.0, 30.0), SIZE), ellipse) > 0.98


@given(
    st.tuples(
        st.floats(-50, 150, width=32),
        st.floats(-50, 100, width=32),
        st.floats(0, 120, width=32),
        st.floats(0, 90, width=32),
    )
)
def test_there_is_always_something_and_nothing_outside(box: Box) -> None:
    found = ellipse_in(box, SIZE)
    assert found.shape == SIZE
    assert found.any()
    x, y, w, h = box
    rows, columns = np.nonzero(found)
    assert rows.min() >= min(np.floor(y), SIZE[0] - 1)
    assert columns.min() >= min(np.floor(x), SIZE[1] - 1)
    assert rows.max() <= max(np.ceil(y + h) - 1, np.floor(y), 0)
    assert columns.max() <= max(np.ceil(x + w) - 1, np.floor(x), 0)
