"""A picture that was never taken: two discs of one kind, their tokens, and what a pool would hold."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks import rle
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.prompts.scene import Scene, prepare_scene
from labeler_backend.proposals.types import Proposal
from tests.proposals.made import PATCH, features_of, tokens_of

GRID = (12, 20)
SIZE = (GRID[0] * PATCH, GRID[1] * PATCH)


def disc(x: float, y: float, radius: float) -> BoolMask:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.asarray(np.hypot(columns - x, rows - y) <= radius)


LEFT, RIGHT = disc(80, 84, 40), disc(200, 84, 40)
CORE = disc(80, 84, 18)
"""A part of the left one."""


def painted(*masks: BoolMask, noise: float = 4) -> RGB:
    """Discs in red on green, with camera noise."""
    inside = np.any(masks, axis=0)
    colours = np.where(inside[..., None], (180, 70, 60), (60, 120, 90))
    noisy = colours + np.random.default_rng(0).normal(0, noise, colours.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def proposal(mask: BoolMask, score: float) -> Proposal:
    return Proposal(rle.encode(mask), score, "made")


BAND = np.zeros(SIZE, bool)
"""Both discs and what is between them."""
BAND[44:124, 30:250] = True
POOL = (proposal(LEFT, 0.5), proposal(RIGHT, 0.5), proposal(BAND, 0.6), proposal(CORE, 0.1))


def scene(pool: Sequence[Proposal] = POOL) -> Scene:
    """Of both discs."""
    inside = (LEFT | RIGHT).astype(np.float32)
    share = cv2.resize(inside, (GRID[1], GRID[0]), interpolation=cv2.INTER_AREA)
    labels: npt.NDArray[np.int_] = (share > 0.5).astype(int)
    return prepare_scene(painted(LEFT, RIGHT), features_of(tokens_of(labels)), pool)
