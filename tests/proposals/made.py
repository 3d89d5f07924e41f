"""Features of pictures that were never taken: regions whose tokens point in directions of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray

PATCH = 14


def tokens_of(
    labels: npt.NDArray[np.int_], *, noise: float = 0.1, channels: int = 16, seed: int = 0
) -> FloatArray:
    """(gh, gw) region numbers → (gh, gw, C) tokens: an axis per region, with noise, of unequal lengths."""
    rng = np.random.default_rng(seed)
    tokens = np.eye(channels)[labels] + rng.normal(0, noise, (*labels.shape, channels))
    return (tokens * rng.uniform(2, 5, (*labels.shape, 1))).astype(np.float32)


def features_of(tokens: FloatArray, attention: Sequence[FloatArray] | None = None) -> Features:
    """Features of the picture these tokens would come from; attention even where none is given."""
    height, width = tokens.shape[:2]
    even = np.full((1, height, width), 0.9 / (height * width), np.float32)
    heads = even if attention is None else np.stack(attention).astype(np.float32)
    size = (height * PATCH, width * PATCH)
    return Features(tokens, heads, size, size, "made")


def square(grid: tuple[int, int], top: int, left: int, side: int) -> npt.NDArray[np.int_]:
    """(gh, gw) int: 1 inside a square of patches, 0 around it."""
    labels = np.zeros(grid, int)
    labels[top : top + side, left : left + side] = 1
    return labels


def attention_on(region: npt.NDArray[np.bool_], share: float = 0.8) -> FloatArray:
    """(gh, gw) float32 summing to 0.9: `share` of it evenly on the region, the rest evenly elsewhere."""
    inside, outside = region.sum(), (~region).sum()
    return np.where(region, 0.9 * share / inside, 0.9 * (1 - share) / outside).astype(np.float32)
