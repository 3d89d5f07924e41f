"""What each object of one video looks like, against everything else in it.

Correspondence alone follows a patch to whatever is most like it, and once it has slipped it stays there. The
appearance model is least squares on all tokens of the given frames, and of later ones where correspondence
and appearance agree (compare Robinson et al. 2020, "Learning Fast and Robust Target Models for VOS"). It is
kept as sums, so that it costs the same however many frames it has seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeler_backend.backbone.features import FloatArray

RIDGE = 0.01
"""Regularisation, of the mean variance."""
SHARPNESS = 6.0
"""Turns least-squares scores, about 0 and 1, into log odds."""
DECAY = 0.95
"""By how much a later frame's say shrinks with every frame after it."""
LATER = 0.5
"""Say of all later frames together; the given ones have the rest."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Weighted second moments of tokens, and of tokens with labels: what least squares needs.

    Attributes:
        tokens: (E, E).
        labels: (E, K + 1).
        weight: how much went into them; the moments themselves are means.
    """

    tokens: FloatArray
    labels: FloatArray
    weight: float


def sums(evidence: FloatArray, labels: FloatArray, trust: FloatArray | None = None) -> Sums:
    """Of one frame.

    Args:
        evidence: (n, E), from `Tokens`.
        labels: (n, K + 1) shares, background first.
        trust: (n,) in [0, 1], how sure each label is; None = all are.
    """
    sure = np.ones(len(labels), np.float32) if trust is None else trust + 1e-6
    # small objects count more than their area, by its root: with equal shares they come out too fat
    rarity = 1 / np.sqrt(sure @ labels + 1e-3)
    weights = sure * (labels @ rarity)
    weighed = evidence * (weights / weights.sum())[:, None]
    return Sums(weighed.T @ evidence, weighed.T @ labels, 1.0)


def mean_sums(given: list[Sums]) -> Sums:
    """Of several given frames, which count alike."""
    share = 1 / len(given)
    tokens = sum((share * one.tokens for one in given), np.zeros_like(given[0].tokens))
    labels = sum((share * one.labels for one in given), np.zeros_like(given[0].labels))
    return Sums(tokens, labels, 1.0)


def aged(past: Sums | None, new: Sums) -> Sums:
    """Later frames so far, and one more, older ones fading."""
    if past is None:
        return Sums(new.tokens, new.labels, 1 - DECAY)
    total = DECAY * past.weight + (1 - DECAY)
    old = DECAY * past.weight / total
    return Sums(old * past.tokens + (1 - old) * new.tokens, old * past.labels + (1 - old) * new.labels, total)


def solve(given: Sums, later: Sums | None) -> FloatArray:
    """Weights (E, K + 1) by ridge regression; the constant, last in the evidence, is hardly regularised."""
    tokens, labels = given.tokens, given.labels
    if later is not None:
        share = LATER * min(1.0, 1.5 * later.weight)
        tokens = (1 - share) * tokens + share * later.tokens
        labels = (1 - share) * labels + share * later.labels
    ridge = np.full(len(tokens), RIDGE * np.trace(tokens) / len(tokens))
    ridge[-1] *= 0.01
    return np.asarray(np.linalg.solve(tokens + np.diag(ridge), labels), np.float32)


def shares(weights: FloatArray, evidence: FloatArray) -> FloatArray:
    """(n, E) → (n, K + 1) how likely each patch is what, by its looks alone."""
    scores = SHARPNESS * (evidence @ weights)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)
