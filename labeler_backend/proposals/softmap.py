"""A mask on the patch grid → a soft one: how far each patch at its border belongs to it."""

from __future__ import annotations

import cv2
import numpy as np

from labeler_backend.backbone.features import FloatArray
from labeler_backend.masks.rle import BoolMask

RING = 4
CERTAIN = 0.75
"""What patches well inside are at least."""
_KERNEL = np.ones((3, 3), np.uint8)


def _grown(mask: BoolMask, patches: int) -> BoolMask:
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _KERNEL, iterations=patches), bool)


def _shrunk(mask: BoolMask) -> BoolMask:
    inner = np.asarray(cv2.erode(mask.astype(np.uint8), _KERNEL), bool)
    return inner if inner.any() else mask


def soften(mask: BoolMask, unit: FloatArray) -> FloatArray:
    """Where a patch stands between the object's mean token and its surroundings' mean token.

    A border patch holds some of both, and so does its token: that share is what bilinear upsampling needs to
    put the border between patch centres. Only patches next to the mask can join it.

    Args:
        mask: (gh, gw) bool, not empty.
        unit: (gh, gw, C) tokens of unit length.

    Returns:
        (gh, gw) float32 in [0, 1].
    """
    ring = _grown(mask, RING) & ~mask
    if not ring.any():
        return mask.astype(np.float32)
    core = _shrunk(mask)
    direction = _mean_direction(unit[core]) - _mean_direction(unit[ring])
    lean = unit @ direction
    inside, outside = lean[mask].mean(), lean[ring].mean()
    share = np.clip((lean - outside) / max(float(inside - outside), 1e-6), 0, 1)
    soft = np.where(_grown(mask, 1), share, 0)
    return np.asarray(np.where(core, np.maximum(soft, CERTAIN), soft), np.float32)


def _mean_direction(tokens: FloatArray) -> FloatArray:
    mean = tokens.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6), np.float32)
