from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labeler_backend.backbone.features import unit_tokens
from labeler_backend.proposals.grouping import parts, spherical_kmeans
from tests.proposals.made import tokens_of


def test_unit_tokens() -> None:
    tokens = np.array([[[3, 4], [0, 0]], [[-1, 0], [1e3, 1e3]]], np.float32)
    unit = unit_tokens(tokens)
    expected = [[[0.6, 0.8], [0, 0]], [[-1, 0], [0.5**0.5, 0.5**0.5]]]
    np.testing.assert_allclose(unit, expected, atol=1e-6)  # and a zero token stays zero
    assert unit.dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "smallest", "sizes"),
    [
        pytest.param(["....", "...."], 1, [], id="empty"),
        pytest.param(["####", "####"], 2, [8], id="full"),
        pytest.param(["##..", "..##"], 1, [2, 2], id="corners-do-not-connect"),
        pytest.param(["##.#", "#..."], 2, [3], id="too-small-left-out"),
        pytest.param(["##.#", "#..."], 1, [1, 3], id="single-patches"),
    ],
)
def test_parts(rows: list[str], smallest: int, sizes: list[int]) -> None:
    mask = np.array([[cell == "#" for cell in row] for row in rows])
    found = list(parts(mask, smallest))
    assert sorted(int(part.sum()) for part in found) == sizes
    assert all(part.dtype == bool and part.shape == mask.shape for part in found)


@settings(deadline=None)
@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_parts_make_up_the_mask(mask: npt.NDArray[np.bool_]) -> None:
    found = list(parts(mask, 1))
    np.testing.assert_array_equal(np.sum([mask & False, *found], axis=0), mask)  # together it, and disjoint
    assert all(cv2.connectedComponents(p.astype(np.uint8), connectivity=4)[0] == 2 for p in found)


def test_kmeans_finds_the_groups() -> None:
    truth = np.repeat([0, 1, 2], [40, 25, 10])
    tokens = tokens_of(truth[None])[0]  # of very unequal lengths: only directions count
    labels, centres = spherical_kmeans(tokens, 3)
    groups = [set(labels[truth == k].tolist()) for k in range(3)]
    assert sorted(next(iter(g)) for g in groups if len(g) == 1) == [0, 1, 2]
    assert centres.shape == (3, tokens.shape[1])
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)
    assert labels.dtype == np.int32


def test_kmeans_gives_the_same_bits() -> None:
    tokens = tokens_of(np.arange(60)[None] % 4, noise=0.8)[0]
    (labels, centres), (labels2, centres2) = spherical_kmeans(tokens, 4), spherical_kmeans(tokens.copy(), 4)
    assert labels.tobytes() == labels2.tobytes()
    assert centres.tobytes() == centres2.tobytes()


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("value", [0.0, 1.0], ids=["zero", "constant"])
def test_kmeans_of_equal_vectors(groups: int, value: float) -> None:
    labels, centres = spherical_kmeans(np.full((6, 3), value, np.float32), groups)
    assert len(set(labels.tolist())) == 1
    assert np.isfinite(centres).all()


def test_kmeans_with_as_many_groups_as_vectors() -> None:
    labels, _ = spherical_kmeans(np.eye(5, dtype=np.float32), 5)
    assert sorted(labels) == [0, 1, 2, 3, 4]
