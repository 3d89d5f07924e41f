"""Boxes around objects."""

from __future__ import annotations

import math

import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.video.tracks import Box

__all__ = ["Box", "ellipse_in"]


def ellipse_in(box: Box, size: tuple[int, int]) -> BoolMask:
    """(H, W) bool: the ellipse that touches a box's four sides, where nothing is known of the object in it.

    Nothing is set outside the pixels that the box touches, and at least one of them is; of a box that lies
    outside the picture, the nearest.

    Args:
        box: x, y, width, height in pixels.
        size: (H, W) of the picture.
    """
    found = np.zeros(size, bool)
    window = _window(box, size)
    h, w = found[window].shape
    y, x = np.mgrid[0.5:h, 0.5:w]
    inside: BoolMask = ((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2) <= 0.25
    inside[h // 2, w // 2] = True
    found[window] = inside
    return found


def _window(box: Box, size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns that a box touches, at least one of each."""
    x, y, w, h = box
    left = min(max(math.floor(x), 0), size[1] - 1)
    top = min(max(math.floor(y), 0), size[0] - 1)
    right, bottom = min(math.ceil(x + w), size[1]), min(math.ceil(y + h), size[0])
    return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
