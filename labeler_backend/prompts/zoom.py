"""Small objects are looked at a second time, enlarged: which part of the picture that is."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from labeler_backend.masks.guided import Window
from labeler_backend.masks.rle import BoolMask

MARGIN = 0.5
"""Around the object, of its longer side."""
SMALLEST = 160
"""Side of a window in pixels: an enlarged blur shows nothing new."""
LARGEST = 0.8
"""Of the picture's longer side: past it there is little to win."""
STEP = 1.4
"""Between the sides that windows have. Few sides at few places, so that click after click looks at the same
window, which is kept."""


def zoom_window(mask: BoolMask) -> Window | None:
    """A square around what is set, or None where that is too large, or nothing is set.

    Args:
        mask: (H, W) bool, the object as far as it is known.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)).astype(np.int64) for axis in (1, 0))
    if not len(rows):
        return None
    longer = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) + 1
    steps = math.ceil(math.log(max(1.0, longer * (1 + 2 * MARGIN) / SMALLEST), STEP) - 1e-9)
    side = SMALLEST * STEP**steps
    if side > LARGEST * max(mask.shape):
        return None
    return _placed(rows, side, mask.shape[0]), _placed(columns, side, mask.shape[1])


def _placed(lines: npt.NDArray[np.int64], side: float, length: int) -> slice:
    """Around the middle, on a lattice of sixths of the side, inside the picture."""
    middle = (int(lines[0]) + int(lines[-1]) + 1) / 2
    lattice = side / 6
    start = round((middle - side / 2) / lattice) * lattice
    first = int(min(max(0.0, start), max(0.0, length - side)))
    return slice(first, min(length, first + int(side)))
