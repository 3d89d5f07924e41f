"""Pieces of an object, and specks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from labeler_backend.video.pieces import crumbs, object_box, without_specks

Rectangle = tuple[int, int, int, int]  # x, y, width, height
BODY = (100, 60, 40, 50)


@pytest.mark.parametrize(
    ("pieces", "box"),
    [
        pytest.param([BODY], BODY, id="one piece"),
        pytest.param([BODY, (0, 0, 4, 4), (250, 150, 6, 6)], BODY, id="specks far away"),
        pytest.param([BODY, (141, 70, 8, 10)], (100, 60, 49, 50), id="a bit beside it"),
        pytest.param([BODY, (141, 70, 4, 4)], BODY, id="a speck beside it"),
        pytest.param([BODY, (160, 70, 8, 10)], BODY, id="a bit that is not near"),
        pytest.param([BODY, (160, 70, 20, 20)], (100, 60, 80, 50), id="a piece, wherever it is"),
        pytest.param([BODY, (60, 0, 12, 20)], (60, 0, 80, 110), id="a piece, above to the left"),
        pytest.param([(7, 9, 1, 1)], (7, 9, 1, 1), id="one pixel"),
        pytest.param([], None, id="nothing"),
    ],
)
def test_box(pieces: Sequence[Rectangle], box: Rectangle | None) -> None:
    mask = np.zeros((180, 320), bool)
    for x, y, w, h in pieces:
        mask[y : y + h, x : x + w] = True
    assert object_box(mask) == box
    assert object_box(mask[::, ::]) == object_box(np.asfortranarray(mask)) == box


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    assert object_box(np.eye(6, dtype=bool)) == (0, 0, 6, 6)


def test_specks_go_and_pieces_stay() -> None:
    mask = np.zeros((180, 320), bool)
    mask[60:110, 100:140] = True
    mask[70:90, 160:180] = True
    clean = mask.copy()
    mask[:4, :4] = True
    np.testing.assert_array_equal(without_specks(mask), clean)
    np.testing.assert_array_equal(without_specks(clean), clean)


@pytest.mark.parametrize(
    ("area", "confidence", "gone"),
    [
        pytest.param(100, 0.1, True, id="hardly anything, and unsure"),
        pytest.param(100, 0.3, False, id="small, but sure: it may have gone far away"),
        pytest.param(300, 0.1, False, id="unsure, but not small"),
    ],
)
def test_crumbs(area: int, confidence: float, gone: bool) -> None:
    labels = np.zeros((100, 100), np.uint16)
    labels.ravel()[:area] = 7
    labels[50:] = 3
    found = crumbs(labels, {3: 0.1, 7: confidence, 9: 0.0}, {3: 5000, 7: 10_000, 9: 10_000})
    np.testing.assert_array_equal(found, (labels == 7) & gone)
