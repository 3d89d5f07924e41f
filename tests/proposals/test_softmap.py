"""The soft map: certain inside, nothing far away, and a border patch as far in as its token says."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.backbone.features import unit_tokens
from labeler_backend.proposals.softmap import CERTAIN, soften
from tests.proposals.conftest import Real
from tests.proposals.made import square, tokens_of

GRID = (12, 14)
MASK = square(GRID, 4, 4, 5) == 1


def test_inside_and_far_away() -> None:
    soft = soften(MASK, unit_tokens(tokens_of(MASK.astype(int))))
    assert soft.shape == GRID
    assert soft.dtype == np.float32
    assert ((soft >= 0) & (soft <= 1)).all()
    assert soft[5:8, 5:8].min() >= CERTAIN
    assert soft[MASK].min() > 0.7
    assert soft[~MASK].max() < 0.3
    near = square(GRID, 3, 3, 7) == 1
    assert (soft[~near] == 0).all()  # only patches next to the mask can join it


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_border_patch_is_as_far_in_as_its_token_says(share: float) -> None:
    tokens = np.eye(2, dtype=np.float32)[MASK.astype(int)]
    tokens[3, 6] = (1 - share) * tokens[0, 0] + share * tokens[6, 6]  # half seen: a mixture, just outside
    length = np.linalg.norm(tokens[3, 6])
    lean = (2 * share - 1) / length  # along the line from ground to object, from -1 to 1
    soft = soften(MASK, unit_tokens(tokens))
    assert soft[3, 6] == pytest.approx((lean + 1) / 2, abs=0.06)


def test_what_is_well_inside_stays_inside_whatever_its_token_says() -> None:
    labels = MASK.astype(int)
    labels[6, 6] = 0  # looks like the ground
    assert soften(MASK, unit_tokens(tokens_of(labels)))[6, 6] == pytest.approx(CERTAIN)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(np.ones(GRID, bool), id="full"),
        pytest.param(square(GRID, 0, 0, 1) == 1, id="one-patch-in-a-corner"),
        pytest.param(np.ones((1, 1), bool), id="one-patch-picture"),
        pytest.param(np.array([[True, False]]), id="two-patch-picture"),
    ],
)
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "noise"])
def test_it_is_finite(mask: np.ndarray, constant: bool) -> None:
    tokens = tokens_of(0 * mask.astype(int), noise=0 if constant else 1)
    soft = soften(mask, unit_tokens(tokens))
    assert soft.shape == mask.shape
    assert ((soft >= 0) & (soft <= 1)).all()  # false for NaN too
    if mask.all():
        assert (soft == 1).all()


@pytest.mark.weights
def test_softening_keeps_the_object_of_a_photo(photos: dict[str, Real]) -> None:
    cat = photos["cat"]
    mask = np.zeros(cat.features.grid, bool)
    mask[8:18, 8:28] = True
    soft = soften(mask, cat.unit)
    assert soft[9:17, 9:27].min() >= CERTAIN
    outside = soft.copy()
    outside[7:19, 7:29] = 0
    assert not outside.any()
