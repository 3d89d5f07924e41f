"""Samples → one table of patches: tokens and soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray, HalfArray
from labeler_backend.heads.types import Sample

_Number = TypeVar("_Number", np.float32, np.float16)

MOST = 40_000
"""Patches that one fit sees: more cost time, and teach next to nothing."""


@dataclass(frozen=True, slots=True)
class Patches:
    """Patches of several images.

    Attributes:
        tokens: (n, C) float32, the last block's.
        targets: (n, K+1) float32, rows sum to 1; background first.
        weights: (n,) float32, how much each counts.
        middle: (n, M) float16, what the blocks between gave; None where there is nothing of some image.
    """

    tokens: FloatArray
    targets: FloatArray
    weights: FloatArray
    middle: HalfArray | None = None


def classes_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """All labels, in alphabetical order."""
    return tuple(sorted({label for sample in samples for label in sample.labels}))


def targets_of(sample: Sample, classes: Sequence[str]) -> FloatArray:
    """(K+1, gh, gw) float32: the share of each patch that is background and each class; sums to 1.

    Where instances overlap their shares are scaled down; the class of instances not in `classes` counts as
    background.
    """
    grid = sample.unknown.shape
    shares = np.zeros((len(classes) + 1, *grid), np.float32)
    for label, coverage in zip(sample.labels, sample.coverage, strict=True):
        if label in classes:
            index = 1 + list(classes).index(label)
            shares[index] = np.maximum(shares[index], coverage / np.float32(255))
    shares /= np.maximum(shares.sum(axis=0), 1)
    shares[0] = 1 - shares[1:].sum(axis=0)
    return shares


def table(samples: Sequence[Sample], classes: Sequence[str], seed: int = 0) -> Patches:
    """Patches of every sample; unknown ones have no weight, bulk-accepted ones less.

    Where there are more than MOST, every class keeps what it has, up to an even share, and chance chooses;
    what is left of a class weighs as much as all of it did.
    """
    targets = np.concatenate([targets_of(s, classes).reshape(len(classes) + 1, -1).T for s in samples])
    shares = [s.trust * (1 - s.unknown.ravel() / np.float32(255)) for s in samples]
    weights = np.concatenate(shares).astype(np.float32)
    if len(weights) <= MOST:
        chosen: npt.NDArray[np.bool_] = np.ones(len(weights), bool)
    else:
        chosen, weights = _thinned(targets, weights, seed)
    tokens = _chosen([s.features.tokens for s in samples], chosen)
    middle = [s.features.middle for s in samples if s.features.middle is not None]
    beside = _chosen(middle, chosen) if len(middle) == len(samples) else None
    return Patches(tokens, targets[chosen], weights[chosen], beside)


def alike(samples: Sequence[Sample]) -> list[Sample]:
    """With middle layers all of them, or none: where some image was stored without, nothing else compares."""
    if all(sample.features.middle is not None for sample in samples):
        return list(samples)
    return [replace(sample, features=replace(sample.features, middle=None)) for sample in samples]


def _chosen(grids: Sequence[npt.NDArray[_Number]], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[_Number]:
    """(gh, gw, C) of each image → (n, C) of the patches chosen, image by image: all images at once are the
    largest thing there is."""
    flat = [grid.reshape(-1, grid.shape[-1]) for grid in grids]
    parts = np.split(chosen, np.cumsum([len(each) for each in flat])[:-1])
    return np.concatenate([each[part] for each, part in zip(flat, parts, strict=True)])


def _thinned(targets: FloatArray, weights: FloatArray, seed: int) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """At most MOST patches, all of them of some weight → (n,) which, (n,) what those weigh."""
    random, left = np.random.default_rng(seed), MOST
    owner = np.where(weights > 0, targets.argmax(axis=1), -1)
    numbers, counts = np.unique(owner[owner >= 0], return_counts=True)
    rare_first = numbers[np.argsort(counts, kind="stable")]
    heavier, chosen = weights.copy(), np.zeros(len(owner), bool)
    for done, number in enumerate(rare_first):
        own = np.flatnonzero(owner == number)
        kept = random.choice(own, min(len(own), left // (len(rare_first) - done)), replace=False)
        heavier[kept] *= weights[own].sum() / max(float(heavier[kept].sum()), 1e-9)
        chosen[kept] = True
        left -= len(kept)
    return chosen, heavier
