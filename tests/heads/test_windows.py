"""Masks as windows, there and back."""

import numpy as np
import pytest

from labeler_backend.heads.windows import Window, all_shrunk, counted, grown, shrunk
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou


def box_mask(size: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = True
    return mask


@pytest.mark.parametrize(
    ("size", "work"),
    [
        pytest.param((60, 80), (60, 80), id="same size"),
        pytest.param((60, 80), (30, 40), id="half"),
        pytest.param((60, 80), (40, 56), id="no whole ratio"),
        pytest.param((30, 40), (64, 80), id="finer than the image"),
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        pytest.param((5, 6, 12, 18), id="inside"),
        pytest.param((0, 0, 14, 10), id="in the corner"),
        pytest.param((16, 24, 14, 16), id="at the far side of the small one"),
    ],
)
def test_a_mask_survives_the_working_size(size, work, place) -> None:
    mask = box_mask(size, *place)
    window = shrunk(rle.encode(mask), work)
    back = rle.decode(grown(window, work, size))
    assert back.shape == size
    assert iou(back, mask) > (0.99 if size == work else 0.75)


def test_a_window_is_tight_and_in_its_place() -> None:
    window = shrunk(rle.encode(box_mask((40, 40), 8, 12, 4, 6)), (20, 20))
    assert (window.corner, window.mask.shape, window.area) == ((4, 6), (2, 3), 6)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.zeros((50, 50), bool), id="empty"),
        pytest.param(box_mask((50, 50), 21, 21, 1, 1), id="between the centres of the working pixels"),
    ],
)
def test_what_is_too_small_becomes_an_empty_window(mask) -> None:
    window = shrunk(rle.encode(mask), (10, 10))
    assert window.area == 0
    assert not rle.decode(grown(window, (10, 10), (50, 50))).any()


def test_a_grown_window_keeps_its_middle() -> None:
    back = rle.decode(grown(Window((2, 4), np.ones((3, 2), bool)), (10, 10), (30, 30)))
    rows, columns = np.nonzero(back)
    assert abs(rows.mean() + 0.5 - 10.5) < 0.01
    assert abs(columns.mean() + 0.5 - 15) < 0.01


@pytest.mark.parametrize("work", [pytest.param((23, 31), id="smaller"), pytest.param((90, 130), id="finer")])
def test_many_at_once_are_the_pixels_at_the_centres(work: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    size = (60, 80)
    masks = [random.random(size) < share for share in (0.5, 0.01, 0.0, 1.0)]
    masks.append(box_mask(size, 3, 70, 57, 10))
    rows = ((np.arange(work[0]) + 0.5) * size[0] / work[0]).astype(int)
    columns = ((np.arange(work[1]) + 0.5) * size[1] / work[1]).astype(int)
    for window, mask in zip(all_shrunk([rle.encode(m) for m in masks], work), masks, strict=True):
        found = np.zeros(work, bool)
        found[window.place] = window.mask
        np.testing.assert_array_equal(found, mask[np.ix_(rows, columns)])
    assert all_shrunk([], work) == []


def test_cells_count_their_pixels() -> None:
    mask = np.random.default_rng(0).random((13, 9)) < 0.5
    cells, (top, left) = counted(Window((6, 7), mask), 4)
    whole = np.zeros((24, 24), int)
    whole[6:19, 7:16] = mask
    expected = whole.reshape(6, 4, 6, 4).sum(axis=(1, 3))
    assert (top, left) == (1, 1)
    np.testing.assert_array_equal(cells, expected[1:5, 1:4])


def test_a_window_without_pixels_counts_as_nothing() -> None:
    """An object too small for the working picture must not end a batch."""
    cells, first = counted(shrunk(rle.encode(np.zeros((40, 60), bool)), (20, 30)), 4)
    assert cells.shape == (1, 1)
    assert not cells.any()
    assert first == (0, 0)
