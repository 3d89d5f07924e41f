"""Runs, and masks encoded from a part, against whole masks through pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labeler_backend.masks import rle

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def from_runs(mask: rle.RLE) -> np.ndarray:
    out = np.zeros(mask["size"], bool)
    for column, top, bottom in rle.runs(mask):
        assert top < bottom
        assert not out[top:bottom, column].any()
        out[top:bottom, column] = True
    return out


@given(MASKS)
def test_runs_are_the_pixels(mask: np.ndarray) -> None:
    coded = rle.encode(mask)
    np.testing.assert_array_equal(from_runs(coded), mask)
    found = rle.runs(coded)
    assert found.tolist() == sorted(found.tolist())


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.zeros((3, 4), bool), id="nothing"),
        pytest.param(np.ones((3000, 2000), bool), id="everything, counts of many characters"),
        pytest.param(np.pad(np.ones((900, 3), bool), ((40, 40), (700, 9))), id="long and far right"),
        pytest.param(np.pad(np.ones((7, 5), bool), ((0, 0), (2, 2))), id="from top to bottom"),
    ],
)
def test_runs_of_extremes(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(from_runs(rle.encode(mask)), mask)


@given(MASKS, st.tuples(*[st.integers(0, 9)] * 4))
def test_a_part_is_encoded_as_the_whole(mask: np.ndarray, margins: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = margins
    whole = np.pad(mask, ((top, bottom), (left, right)))
    assert rle.encode_at(mask, (top, left), (whole.shape[0], whole.shape[1])) == rle.encode(whole)
