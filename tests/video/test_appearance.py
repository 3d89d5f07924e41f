"""The appearance model: what it learns, and that sums stand for frames."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.video.appearance import LATER, aged, mean_sums, shares, solve, sums

RNG = np.random.default_rng(0)


def frame(shift: float = 0.0, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Patches of two kinds, apart along the first component; a fifth of them the object."""
    kind = np.arange(count) % 5 == 0
    values = RNG.normal(0, 0.3, (count, 4)).astype(np.float32)
    values[:, 0] += np.where(kind, 1 + shift, -1 + shift)
    labels = np.stack([~kind, kind], axis=1).astype(np.float32)
    return np.concatenate([values, np.ones((count, 1), np.float32)], axis=1), labels


def right(weights: np.ndarray, shift: float = 0.0) -> float:
    evidence, labels = frame(shift)
    return float((shares(weights, evidence).argmax(1) == labels.argmax(1)).mean())


def test_it_tells_the_object_from_the_rest() -> None:
    weights = solve(sums(*frame()), None)
    assert right(weights) > 0.99
    np.testing.assert_allclose(shares(weights, frame()[0]).sum(axis=1), 1, atol=1e-5)


def test_it_follows_an_object_that_changes() -> None:
    known = sums(*frame())
    later = None
    for _ in range(60):
        later = aged(later, sums(*frame(0.9)))
    assert right(solve(known, later), 0.9) > right(solve(known, None), 0.9) + 0.1


def test_patches_that_are_not_trusted_teach_nothing() -> None:
    evidence, labels = frame()
    wrong = labels.copy()
    wrong[:100] = wrong[:100, ::-1]
    trust = np.ones(len(labels), np.float32)
    trust[:100] = 0
    assert right(solve(sums(evidence, wrong, trust), None)) > 0.99
    assert right(solve(sums(evidence, wrong), None)) < 0.9


def test_later_frames_never_get_more_than_their_say() -> None:
    known, later = sums(*frame()), None
    for _ in range(500):
        later = aged(later, sums(*frame(3.0)))
    assert later is not None
    assert later.weight == pytest.approx(1, abs=1e-3)
    half = mean_sums([known, later])
    assert LATER == 0.5
    np.testing.assert_allclose(solve(known, later), solve(half, None), rtol=1e-3, atol=1e-4)


def test_given_frames_count_alike() -> None:
    one, other = sums(*frame(count=50)), sums(*frame(1.0, count=500))
    np.testing.assert_allclose(
        mean_sums([one, other]).tokens, (one.tokens + other.tokens) / 2, rtol=1e-5, atol=1e-6
    )
