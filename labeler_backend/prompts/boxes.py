"""A box → how likely each working pixel inside belongs to its object."""

from __future__ import annotations

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.looks import sharpened
from labeler_backend.prompts.prior import Region, votes
from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import FloatMap
from labeler_backend.prompts.walk import PRIOR, SEED, walk

TIGHT = 3.0
"""Say of how well a proposal's own box fits the one drawn."""
INSIDE = 1.0
"""Say of the share of a proposal that lies in the box."""
ROUNDS = 4
"""Of sharpening: the box says for certain what is ground, so that colours can be trusted sooner."""
UNLIKE = 2.0
"""Say of how unlike a proposal looks to what is outside the box."""
LOOSE = 0.1
"""Added to the fit: something thin, as a line, may span a box that the object hardly fills."""
ELLIPSE = 1e-6
"""Weight of the ellipse in the box, for where no proposal fits."""


def boxed(scene: Scene, box: tuple[int, int, int, int]) -> FloatMap:
    """(h, w) in [0, 1], 0 outside.

    Args:
        scene: the picture.
        box: y0, x0, y1, x1 in pixels of it.
    """
    (height, width), (h, w) = scene.size, scene.work
    y0, x0 = box[0] * h // height, box[1] * w // width
    y1, x1 = max(y0 + 1, -(-box[2] * h // height)), max(x0 + 1, -(-box[3] * w // width))
    inside = np.zeros((h, w), bool)
    inside[y0:y1, x0:x1] = True
    ellipse = np.zeros((h, w), np.uint8)
    centre, axes = ((x0 + x1) // 2, (y0 + y1) // 2), (max(1, (x1 - x0) // 2), max(1, (y1 - y0) // 2))
    cv2.ellipse(ellipse, centre, axes, 0, 0, 360, 1, -1)
    found = [Region((ellipse > 0) & inside, float(np.log(ELLIPSE)))]
    ground = _look(scene, ~inside)
    for mask, score in zip(scene.pool.masks, scene.pool.score.tolist(), strict=True):
        within = mask & inside
        if within.any():
            value = np.log(score + 1e-3) + TIGHT * np.log(_fit(within, (y0, x0, y1, x1)) + LOOSE)
            value += INSIDE * np.log(within.sum() / mask.sum() + 1e-3)
            unlike = float(((_look(scene, within) - ground) ** 2).sum()) / 2
            value += UNLIKE * np.log(unlike + 0.02)
            found.append(Region(within, float(value)))
    prior = votes(found)
    for _ in range(ROUNDS):
        prior = np.where(inside, sharpened(scene, prior, inside), np.float32(0))
    weight = np.where(inside, np.float32(PRIOR), np.float32(SEED))
    return np.where(inside, walk(scene, prior, weight), np.float32(0))


def _look(scene: Scene, mask: BoolMask) -> FloatMap:
    """Mean token of what is set; of unit tokens, half the squared distance of two is about 1 - cosine."""
    gh, gw = scene.canvas.grid
    share = cv2.resize(mask.astype(np.float32), (gw, gh), interpolation=cv2.INTER_AREA)
    total = share.ravel() @ scene.tokens.reshape(share.size, -1)
    return np.asarray(total / max(float(share.sum()), 1e-6), np.float32)


def _fit(mask: BoolMask, box: tuple[int, int, int, int]) -> float:
    """IoU of a mask's own box, which lies inside, with the one drawn."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    own = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return float(own / ((box[2] - box[0]) * (box[3] - box[1])))
