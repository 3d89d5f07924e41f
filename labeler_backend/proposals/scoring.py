"""How much a mask on the patch grid looks like an object, and like *the* figure of the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray, unit_tokens
from labeler_backend.proposals.roles import border

RINGED = 600
"""So many masks by each score are compared with their ring; the others count as having no edge."""
RING = 2
"""Width in patches of the surroundings a mask is compared with."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Measured per mask; all (n,) float32.

    Attributes:
        size: share of the picture's patches.
        contrast: 1 - cosine between its mean token and the rest of the picture's.
        edge: the same against its ring of `RING` patches.
        coherence: mean cosine between its own tokens.
        attention: figure map inside minus outside, in standard deviations of the map.
        inner: share of the picture's border patches it leaves free.
    """

    size: FloatArray
    contrast: FloatArray
    edge: FloatArray
    coherence: FloatArray
    attention: FloatArray
    inner: FloatArray


def measure(masks: npt.NDArray[np.bool_], unit: FloatArray, figure: FloatArray) -> Evidence:
    """Evidence for every mask in a few matrix products.

    Args:
        masks: (n, gh·gw) bool, none empty or full.
        unit: (gh, gw, C) tokens of unit length.
        figure: (gh, gw) from `figure_map`.
    """
    grid = (figure.shape[0], figure.shape[1])
    tokens, inside = unit.reshape(figure.size, -1), masks.astype(np.float32)
    count, patches = inside.sum(axis=1), np.float32(figure.size)
    total = inside @ tokens
    mean, rest = unit_tokens(total), unit_tokens(tokens.sum(axis=0) - total)
    level = figure.ravel() / max(float(figure.std()), 1e-6)
    attended = inside @ level
    edge = border(grid).ravel()
    evidence = Evidence(
        size=count / patches,
        contrast=1 - (mean * rest).sum(axis=1),
        edge=np.ones_like(count),
        coherence=(total**2).sum(axis=1) / count**2,
        attention=attended / count - (level.sum() - attended) / np.maximum(patches - count, 1),
        inner=1 - (inside @ edge.astype(np.float32)) / edge.sum(),
    )
    near = _promising(evidence)
    ring = unit_tokens(_rings(masks[near], grid) @ tokens)
    against = np.zeros_like(count)
    against[near] = 1 - (mean[near] * ring).sum(axis=1)
    return replace(evidence, edge=against)


def _promising(evidence: Evidence) -> npt.NDArray[np.int64]:
    """The masks that are the best by either score if all had the clearest edge; rings are what costs."""
    best = (np.argsort(-score(evidence), kind="stable")[:RINGED] for score in (object_score, figure_score))
    return np.asarray(np.unique(np.concatenate(list(best))), np.int64)


def _rings(masks: npt.NDArray[np.bool_], grid: tuple[int, int], at_once: int = 512) -> FloatArray:
    """(n, gh·gw) float32: what lies within RING patches of each mask. Dilated as channels of one picture."""
    kernel = np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)
    rings = np.empty(masks.shape, np.float32)
    for start in range(0, len(masks), at_once):
        part = masks[start : start + at_once]
        channels = np.ascontiguousarray(part.T).reshape(*grid, len(part)).astype(np.uint8)
        grown = np.asarray(cv2.dilate(channels, kernel)).reshape(-1, len(part)).T
        rings[start : start + at_once] = grown - part
    return rings


def figure_score(evidence: Evidence) -> FloatArray:
    """Is this the picture's one figure? Large, attended to, unlike the rest, away from the border.

    Returns:
        (n,) float32, 0 and up; only the order matters.
    """
    separation = np.sqrt(np.maximum(evidence.contrast, 0) * np.maximum(evidence.edge, 0))
    attended = np.maximum(evidence.attention, 0)
    return np.asarray(separation * attended * np.sqrt(evidence.size) * evidence.inner**2, np.float32)


def object_score(evidence: Evidence) -> FloatArray:
    """Is this one object? Coherent, with an edge; size counts less, so that small ones have a chance.

    Returns:
        (n,) float32 in [0, 1].
    """
    separation = np.clip(evidence.contrast, 0, 1) * np.clip(evidence.edge, 0, 1)
    attended = 1 / (1 + np.exp(-2 * evidence.attention))
    quality = np.sqrt(separation * np.clip(evidence.coherence, 0, 1)) * attended**2
    return np.asarray(np.sqrt(quality * evidence.size**0.35) * evidence.inner, np.float32)
