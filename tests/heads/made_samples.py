"""Labelled pictures that were drawn: bright discs on a dark ground, tokens that know it roughly."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.heads.types import CORRECTED, Sample
from labeler_backend.masks import rle
from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal

PATCH = 14
GRID = (8, 10)
SIZE = (GRID[0] * PATCH, GRID[1] * PATCH)
COLOURS = {"red": (220, 60, 50), "blue": (60, 80, 220)}

Disc = tuple[str, int, int, int]
"""Class, y, x, radius in pixels."""


def disc(y: int, x: int, radius: int) -> BoolMask:
    """(h, w) bool."""
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2, bool)


def sample(discs: Sequence[Disc], seed: int = 0, fine: int = 1) -> Sample:
    """A picture of discs, all of them labelled; no proposals but one that is wrong, the picture's left half.

    Args:
        discs: what is in it.
        seed: of the noise, and the sample's key.
        fine: so many times finer than what the model sees are the image and the stored picture.
    """
    rng = np.random.default_rng(seed)
    picture = np.full((*SIZE, 3), 30, np.uint8)
    masks = [disc(y, x, radius) for _, y, x, radius in discs]
    for (label, *_), mask in zip(discs, masks, strict=True):
        picture[mask] = COLOURS[label]
    noisy = np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
    size = (SIZE[0] * fine, SIZE[1] * fine)
    enlarged = np.asarray(cv2.resize(noisy, size[::-1], interpolation=cv2.INTER_NEAREST))
    full = [cv2.resize(m.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) > 0 for m in masks]
    small = cv2.resize(picture, GRID[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    tokens = np.concatenate([small, rng.normal(0, 0.1, (*GRID, 61))], axis=2).astype(np.float32)
    features = Features(tokens, np.full((1, *GRID), 0.01, np.float32), size, SIZE, "made")
    left = np.zeros(size, bool)
    left[:, : size[1] // 2] = True
    return Sample(
        key=str(seed),
        group=str(seed),
        features=features,
        picture=enlarged,
        labels=tuple(label for label, *_ in discs),
        masks=tuple(rle.encode(mask) for mask in full),
        coverage=np.zeros((len(discs), *GRID), np.uint8),
        unknown=np.zeros(GRID, np.uint8),
        trust=CORRECTED,
        proposals=(Proposal(rle.encode(left), 0.9, "spectral"),),
        revision="1",
    )


def class_map(of: Sample, classes: Sequence[str]) -> FloatArray:
    """(K+1, gh, gw): what a good, coarse model would say."""
    maps = np.full((len(classes) + 1, *GRID), 0.02, np.float32)
    for label, mask in zip(of.labels, of.masks, strict=True):
        cover = cv2.resize(rle.decode(mask).astype(np.float32), GRID[::-1], interpolation=cv2.INTER_AREA)
        maps[1 + list(classes).index(label)] += cover
    maps[0] = np.maximum(1 - maps[1:].sum(axis=0), 0.02)
    return np.asarray(maps / maps.sum(axis=0), np.float32)
