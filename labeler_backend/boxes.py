"""A box around an object → its mask, from proposals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal
from labeler_backend.video.tracks import Box

__all__ = ["Box", "mask_in_box"]

_AGREES = 0.5
_ALIKE = 0.85


def mask_in_box(proposals: Sequence[Proposal], box: Box, size: tuple[int, int]) -> BoolMask:
    """(H, W) bool, nothing outside the box and something within it.

    Of the proposals, cut off at the box, whose own boxes agree with it nearly as well as the best one's does,
    the likeliest. Where none agrees, as with small objects, the ellipse in the box.

    Args:
        proposals: of the picture; the more, the better.
        box: around one object, at least partly within the picture.
        size: (H, W) of the picture.
    """
    window = _window(box, size)
    best: list[tuple[float, float, BoolMask]] = []
    for proposal in proposals:
        mask = proposal.mask
        inside = mask[window]
        if inside.any():
            share = float(inside.sum()) / float(mask.sum())
            best.append((share * _fill(inside), proposal.score, inside))
    top = max((agreement for agreement, _, _ in best), default=0.0)
    found = np.zeros(size, bool)
    if top >= _AGREES:
        found[window] = max((one for one in best if one[0] >= _ALIKE * top), key=lambda one: one[1])[2]
    else:
        found[window] = _ellipse(found[window].shape)
    return found


def _window(box: Box, size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns that a box touches, at least one of each."""
    x, y, w, h = box
    left = min(max(math.floor(x), 0), size[1] - 1)
    top = min(max(math.floor(y), 0), size[0] - 1)
    right, bottom = min(math.ceil(x + w), size[1]), min(math.ceil(y + h), size[0])
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))


def _fill(inside: BoolMask) -> float:
    """The share of a window that the tight box around its set pixels takes."""
    _, _, w, h = cv2.boundingRect(np.ascontiguousarray(inside).view(np.uint8))
    return float(w * h) / inside.size


def _ellipse(shape: tuple[int, ...]) -> BoolMask:
    """(h, w): the ellipse that touches all four sides; the middle pixel at least."""
    h, w = shape
    y, x = np.mgrid[0.5:h, 0.5:w]
    inside: BoolMask = ((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2) <= 0.25
    inside[h // 2, w // 2] = True
    return inside
