"""Runs, and masks encoded from a part, against whole masks through pycocotools."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labeler_backend.masks import rle

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def from_runs(masks: list[rle.RLE]) -> np.ndarray:
    out = np.zeros((len(masks), *masks[0]["size"]), bool)
    for number, column, top, bottom in rle.runs(masks).T:
        assert top < bottom
        assert not out[number, top:bottom, column].any()
        out[number, top:bottom, column] = True
    return out


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=30)))
def test_runs_are_the_pixels(masks: np.ndarray) -> None:
    coded = [rle.encode(mask) for mask in masks]
    np.testing.assert_array_equal(from_runs(coded), masks)
    found = rle.runs(coded).T.tolist()
    assert found == sorted(found)


def test_no_masks_have_no_runs() -> None:
    assert rle.runs([]).shape == (4, 0)


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
    np.testing.assert_array_equal(from_runs([rle.encode(mask)])[0], mask)


@given(MASKS, st.tuples(*[st.integers(0, 9)] * 4))
def test_a_part_is_encoded_as_the_whole(mask: np.ndarray, margins: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = margins
    whole = np.pad(mask, ((top, bottom), (left, right)))
    assert rle.encode_at(mask, (top, left), (whole.shape[0], whole.shape[1])) == rle.encode(whole)
