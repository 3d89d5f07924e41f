"""The normalised cut: what it parts, that it is the published problem's solution, and tiny grids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg

from labeler_backend.backbone.features import FloatArray
from labeler_backend.proposals.spectral import TAU, normalized_cut, segments
from tests.proposals.conftest import Real
from tests.proposals.made import features_of, square, tokens_of

GRID = (10, 14)


def halves(width: int = 5) -> npt.NDArray[np.int_]:
    labels = np.zeros(GRID, int)
    labels[:, :width] = 1
    return labels


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(halves(), id="left-right"),
        pytest.param(halves(1), id="one-column"),
        pytest.param(square(GRID, 3, 4, 4), id="square"),
    ],
)
def test_two_blocks_are_parted(labels: npt.NDArray[np.int_]) -> None:
    spectrum = normalized_cut(tokens_of(labels), vectors=1)
    (vector,) = spectrum.vectors
    inside, outside = vector[labels == 1], vector[labels == 0]
    assert inside.min() > outside.max() or inside.max() < outside.min()
    assert spectrum.values[0] > 0.95  # a clean cut


def test_shapes_and_order() -> None:
    spectrum = normalized_cut(tokens_of(square(GRID, 2, 2, 4), noise=0.6), vectors=5)
    assert spectrum.vectors.shape == (5, *GRID)
    assert spectrum.values.shape == (5,)
    assert (spectrum.vectors.dtype, spectrum.values.dtype) == (np.float32, np.float32)
    assert (np.diff(spectrum.values) <= 0).all()
    assert spectrum.values.max() <= 1 + 1e-5


def dense(tokens: FloatArray, vectors: int) -> npt.NDArray[np.float64]:
    """(vectors, N): (D - A) v = λ D v as Shi and Malik have it, solved whole in double precision."""
    flat = tokens.reshape(-1, tokens.shape[2]).astype(np.float64)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    affinity = np.where(unit @ unit.T > TAU, 1.0, 1e-5)
    degree = np.diag(affinity.sum(axis=1))
    _, found = scipy.linalg.eigh(degree - affinity, degree, subset_by_index=[1, vectors])
    return np.asarray(found.T)


def cosines(found: FloatArray, exact: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    flat = found.reshape(len(found), -1).astype(np.float64)
    lengths = np.linalg.norm(flat, axis=1) * np.linalg.norm(exact, axis=1)
    return np.asarray(np.abs((flat * exact).sum(axis=1)) / lengths)


def test_it_solves_the_published_problem_where_degrees_differ() -> None:
    tokens = tokens_of(square(GRID, 3, 4, 4), noise=0.25)
    assert cosines(normalized_cut(tokens, vectors=1).vectors, dense(tokens, 1)) > 0.9999


@pytest.mark.weights
@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "coins"])
def test_it_solves_the_published_problem(photos: dict[str, Real], name: str) -> None:
    tokens = photos[name].features.tokens
    assert (cosines(normalized_cut(tokens, vectors=2).vectors, dense(tokens, 2)) > 0.999).all()


@pytest.mark.weights
def test_the_same_bits_each_time(photos: dict[str, Real]) -> None:
    tokens = photos["cat"].features.tokens
    first, again = normalized_cut(tokens), normalized_cut(tokens.copy())
    assert first.vectors.tobytes() == again.vectors.tobytes()
    assert first.values.tobytes() == again.values.tobytes()


@pytest.mark.parametrize(
    ("grid", "most"),
    [((1, 1), 0), ((1, 2), 0), ((1, 3), 1), ((2, 2), 2), ((2, 3), 4), ((1, 20), 4)],
    ids=str,
)
@pytest.mark.parametrize("constant", [False, True], ids=["noise", "constant"])
def test_tiny_grids(grid: tuple[int, int], most: int, constant: bool) -> None:
    rng = np.random.default_rng(0)
    tokens = np.ones((*grid, 8), np.float32) if constant else rng.normal(size=(*grid, 8)).astype(np.float32)
    spectrum = normalized_cut(tokens, vectors=4)
    assert len(spectrum.values) == len(spectrum.vectors) <= most
    assert spectrum.vectors.shape[1:] == grid
    assert np.isfinite(spectrum.vectors).all()
    assert np.isfinite(spectrum.values).all()
    found = segments(features_of(tokens))
    assert found.shape == grid
    assert set(np.unique(found)) == set(range(int(found.max()) + 1))


@pytest.mark.parametrize("value", [0.0, 1.0], ids=["zero", "one"])
def test_constant_tokens(value: float) -> None:
    tokens = np.full((*GRID, 8), value, np.float32)
    spectrum = normalized_cut(tokens)
    assert np.isfinite(spectrum.vectors).all()
    assert np.isfinite(segments(features_of(tokens))).all()


def test_tokens_that_share_nothing() -> None:
    tokens = np.eye(30, dtype=np.float32).reshape(5, 6, 30)  # every token alone: nothing is connected
    assert np.isfinite(normalized_cut(tokens).vectors).all()


def test_segments_are_the_regions_by_falling_size() -> None:
    labels = np.zeros(GRID, int)
    labels[:, 8:] = 1  # 6 columns against 8
    labels[6:9, 2:5] = 2
    np.testing.assert_array_equal(segments(features_of(tokens_of(labels, noise=0.05))), labels)


@pytest.mark.weights
@pytest.mark.parametrize("name", ["astronaut", "coins"])
def test_segments_of_photos(photos: dict[str, Real], name: str) -> None:
    features = photos[name].features
    found = segments(features)
    sizes = np.bincount(found.ravel())
    assert found.shape == features.grid
    assert 2 <= len(sizes) <= 8
    assert (sizes > 0).all()  # contiguous
    assert (np.diff(sizes) <= 0).all()
    assert segments(features).tobytes() == found.tobytes()
