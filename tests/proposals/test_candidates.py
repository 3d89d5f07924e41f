"""Candidates: DINO's mass rule, and no mask that is empty, the picture, or there twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labeler_backend.backbone.features import FloatArray
from labeler_backend.labeler import Labeler
from labeler_backend.proposals.candidates import FIGURE, MASS, Candidates, from_tree, gather, mass_mask
from labeler_backend.proposals.grouping import parts
from labeler_backend.proposals.roles import HeadRoles, figure_map
from tests.proposals.conftest import Real
from tests.proposals.made import attention_on, features_of, square, tokens_of

ATTENTION = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(2**-10, 1, width=16),
)


@settings(deadline=None)
@given(ATTENTION)
def test_mass_mask_is_the_fewest_patches_that_hold_60_percent(attention: FloatArray) -> None:
    mask = mass_mask(attention)
    total, held = attention.sum(dtype=np.float64), attention[mask].sum(dtype=np.float64)
    assert held >= MASS * total * (1 - 1e-9)
    fewer = np.sort(attention.ravel())[::-1][: mask.sum() - 1].sum(dtype=np.float64)
    assert fewer < MASS * total * (1 + 1e-9)  # even the best set of one fewer does not
    assert attention[mask].min() >= attention[~mask].max(initial=0)


@pytest.mark.parametrize(
    ("attention", "expected"),
    [
        pytest.param([[5, 1], [3, 1]], [[1, 0], [1, 0]], id="two"),
        pytest.param([[9, 1], [1, 1]], [[1, 0], [0, 0]], id="one"),
        pytest.param([[6, 4], [0, 0]], [[1, 0], [0, 0]], id="exactly-60-percent"),
        pytest.param([[1, 1], [1, 1]], [[1, 1], [1, 0]], id="even-first-come"),
        pytest.param([[7]], [[1]], id="one-patch"),
    ],
)
def test_mass_mask(attention: list[list[float]], expected: list[list[int]]) -> None:
    np.testing.assert_array_equal(mass_mask(np.array(attention, np.float32)), np.array(expected, bool))


def check(found: Candidates, patches: int) -> None:
    assert found.masks.shape == (len(found.sources), patches)
    assert found.masks.dtype == bool
    sizes = found.masks.sum(axis=1)
    assert (sizes > 0).all()
    assert (sizes < patches).all()
    assert len(np.unique(found.masks, axis=0)) == len(found.masks)
    assert set(found.sources) <= {"tree", "spectral", "attention", FIGURE}


def candidates(tokens: FloatArray, attention: list[FloatArray] | None = None) -> Candidates:
    features = features_of(tokens, attention)
    roles = HeadRoles((0.5,) * len(features.attention))
    return gather(features, figure_map(features, roles), roles)


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_candidates_of_a_made_picture(noise: float) -> None:
    labels = square((9, 12), 2, 3, 4)
    found = candidates(tokens_of(labels, noise=noise), [attention_on(labels == 1)])
    check(found, labels.size)
    if noise < 1:
        assert (found.masks == (labels.ravel() == 1)).all(axis=1).any()


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 9), (3, 3)], ids=str)
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "noise"])
def test_tiny_grids(grid: tuple[int, int], constant: bool) -> None:
    rng = np.random.default_rng(0)
    tokens = np.ones((*grid, 4), np.float32) if constant else rng.normal(size=(*grid, 4)).astype(np.float32)
    check(candidates(tokens), grid[0] * grid[1])


def test_a_mask_found_twice_is_named_after_the_first_source() -> None:
    labels = square((9, 12), 2, 3, 4)
    found = candidates(tokens_of(labels, noise=0.05), [attention_on(labels == 1, 0.99)])
    (index,) = np.flatnonzero((found.masks == (labels.ravel() == 1)).all(axis=1))
    assert found.sources[index] == "tree"  # attention and the cut found it too


def test_the_tree_gives_every_region_of_two_patches_and_more() -> None:
    masks = list(from_tree(features_of(tokens_of(square((4, 5), 1, 1, 2)))))
    assert len(masks) == 19  # N - 1 merges
    assert min(int(mask.sum()) for mask in masks) == 2


@pytest.mark.weights
@pytest.mark.parametrize("name", ["astronaut", "coins"])
def test_candidates_of_photos(photos: dict[str, Real], labeler: Labeler, name: str) -> None:
    features = photos[name].features
    found = gather(features, figure_map(features, labeler.roles), labeler.roles)
    patches = features.grid[0] * features.grid[1]
    check(found, patches)
    assert len(found.masks) > patches / 2  # the tree alone has about as many
    assert set(found.sources) == {"tree", "spectral", "attention", FIGURE}
    several = [mask for mask, source in zip(found.masks, found.sources, strict=True) if source == FIGURE]
    assert all(len(list(parts(mask.reshape(features.grid), 1))) > 1 for mask in several)
