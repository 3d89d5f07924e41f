"""Scores: what is an object stands above what is none, and no number leaves its range."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_backend.backbone.features import FloatArray, unit_tokens
from labeler_backend.labeler import Labeler
from labeler_backend.proposals.candidates import gather
from labeler_backend.proposals.roles import figure_map
from labeler_backend.proposals.scoring import Evidence, figure_score, measure, object_score
from tests.proposals.conftest import Real
from tests.proposals.made import square, tokens_of

GRID = (14, 18)
OBJECT = square(GRID, 4, 5, 6) == 1
UNIT = unit_tokens(tokens_of(OBJECT.astype(int), noise=0.15))
FIGURE = np.where(OBJECT, 1, -1).astype(np.float32)


def scores(masks: list[npt.NDArray[np.bool_]], figure: FloatArray = FIGURE) -> tuple[FloatArray, FloatArray]:
    """Of objects and of figures."""
    evidence = measure(np.stack([mask.ravel() for mask in masks]), UNIT, figure)
    return object_score(evidence), figure_score(evidence)


HALF = OBJECT.copy()
HALF[:7] = False
GROWN = square(GRID, 2, 3, 10) == 1
ELSEWHERE = square(GRID, 4, 12, 6) == 1
NOISE = np.random.default_rng(0).random(GRID) < OBJECT.mean()


@pytest.mark.parametrize("even", [False, True], ids=["attended", "without-attention"])
@pytest.mark.parametrize(
    "other",
    [
        pytest.param(HALF, id="half-of-it"),
        pytest.param(GROWN, id="with-surroundings"),
        pytest.param(ELSEWHERE, id="beside-it"),
        pytest.param(NOISE, id="noise"),
        pytest.param(~OBJECT, id="the-ground"),
    ],
)
def test_the_object_scores_highest(other: npt.NDArray[np.bool_], even: bool) -> None:
    figure = np.zeros(GRID, np.float32) if even else FIGURE
    objects, figures = scores([OBJECT, other], figure)
    assert objects[0] > objects[1]
    assert figures[0] > figures[1] or even


def test_an_attended_object_scores_higher() -> None:
    with_attention, _ = scores([OBJECT])
    against_attention, _ = scores([OBJECT], -FIGURE)
    assert with_attention[0] > against_attention[0] > 0


def test_evidence_of_a_known_mask() -> None:
    tokens = np.zeros((4, 5, 2), np.float32)
    tokens[...] = [1, 0]
    tokens[:2, :2] = [0, 1]
    mask = np.zeros((1, 20), bool)
    mask.reshape(4, 5)[:2, :2] = True
    figure = np.arange(20, dtype=np.float32).reshape(4, 5)
    evidence = measure(mask, tokens, figure)
    inside, outside = figure[:2, :2].mean(), (figure.sum() - figure[:2, :2].sum()) / 16
    assert evidence.size[0] == pytest.approx(0.2)
    assert evidence.contrast[0] == pytest.approx(1)  # at a right angle to the rest
    assert evidence.edge[0] == pytest.approx(1)
    assert evidence.coherence[0] == pytest.approx(1)
    assert evidence.inner[0] == pytest.approx(1 - 3 / 14)  # three of fourteen border patches
    assert evidence.attention[0] == pytest.approx((inside - outside) / figure.std(), rel=1e-4)


def check(evidence: Evidence) -> None:
    for values in astuple(evidence):
        assert np.isfinite(values).all()
    assert ((evidence.size > 0) & (evidence.size < 1)).all()
    assert ((evidence.inner >= -1e-6) & (evidence.inner <= 1)).all()
    assert ((evidence.contrast >= -1e-5) & (evidence.contrast <= 2 + 1e-5)).all()
    objects, figures = object_score(evidence), figure_score(evidence)
    assert np.isfinite(figures).all()
    assert ((objects >= 0) & (objects <= 1)).all()
    assert (figures >= 0).all()


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 7), st.integers(2, 7)),
    st.sampled_from(["noise", "constant", "opposite"]),
    st.sampled_from(["noise", "constant", "huge"]),
    st.integers(0, 2**32 - 1),
)
def test_scores_stay_in_their_range(grid: tuple[int, int], tokens: str, attention: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    patches = grid[0] * grid[1]
    noise = rng.normal(size=(*grid, 6))
    made = {"noise": noise, "constant": np.ones_like(noise), "opposite": np.sign(noise[..., :1]) + 0 * noise}
    unit = unit_tokens(made[tokens].astype(np.float32))
    maps = {
        "noise": rng.normal(size=grid),
        "constant": np.full(grid, -3.0),
        "huge": 50 * rng.normal(size=grid),
    }
    masks = rng.random((12, patches)) < rng.random((12, 1))
    masks[:, 0], masks[:, 1] = True, False  # neither empty nor full
    check(measure(masks, unit, maps[attention].astype(np.float32)))


@pytest.mark.weights
@pytest.mark.parametrize("name", ["astronaut", "coins"])
def test_scores_of_all_candidates_of_a_photo(photos: dict[str, Real], labeler: Labeler, name: str) -> None:
    features = photos[name].features
    figure = figure_map(features, labeler.roles)
    check(measure(gather(features, figure, labeler.roles).masks, photos[name].unit, figure))
