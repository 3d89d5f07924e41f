"""The exact outline of a mask: closed rings along pixel borders.

`cv2.findContours` walks through pixel *centres*, which shrinks every mask by half a pixel, and joins pixels
that touch at a corner only, which gives rings that cross themselves. Here a ring runs along the borders
between set and unset pixels, so that the area it encloses is the number of pixels to the digit.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks.rle import BoolMask

IntArray = npt.NDArray[np.int64]

# Headings in the order of right turns (y points down): east, south, west, north.
_STEP_X = np.array([1, 0, -1, 0])
_STEP_Y = np.array([0, 1, 0, -1])


class Ring(NamedTuple):
    """A closed ring of unit steps.

    Attributes:
        points: (N, 2) int64, x and y of every pixel corner passed, one step apart, the first not repeated.
            The mask is on the right hand (y down): exteriors have positive `area`, holes negative.
        component: which 4-connected component of the mask it borders, from 1.
        area: signed area in pixels.
    """

    points: IntArray
    component: int
    area: int


def trace_rings(mask: BoolMask) -> list[Ring]:
    """(H, W) bool → all rings of its outline, each simple (it visits no corner twice).

    Pixels are connected through edges (4-connected), so every component has exactly one exterior. Where a
    component touches itself at a corner, the ring is cut there: the result is a hole that touches its
    exterior (or another hole) at a point, which the OGC model allows, not a ring that touches itself, which
    it forbids.
    """
    top, left, crop = _crop(mask)
    if crop.size == 0:
        return []
    starts, headings, pixels = _border_steps(crop)
    width = crop.shape[1] + 1
    cycles = _cycles(_successors(starts, headings, width))
    component_of = _components(crop, pixels[[cycle[0] for cycle in cycles]])
    rings = []
    for cycle, component in zip(cycles, component_of, strict=True):
        for part in _cut_at_repeats(starts[cycle]):
            y, x = np.divmod(part, width)
            area = int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) // 2
            rings.append(Ring(np.column_stack([x + left, y + top]), component, area))
    return rings


def corners(ring: Ring) -> IntArray:
    """Indices into `ring.points` where the ring turns."""
    step = np.roll(ring.points, -1, axis=0) - ring.points
    return np.flatnonzero((step != np.roll(step, 1, axis=0)).any(axis=1))


def _crop(mask: BoolMask) -> tuple[int, int, BoolMask]:
    """Top, left and the tight part of the mask that holds all set pixels."""
    x, y, w, h = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return y, x, np.ascontiguousarray(mask[y : y + h, x : x + w])


def _components(mask: BoolMask, pixels: IntArray) -> list[int]:
    """Which 4-connected component each of the pixels (flat indices) belongs to, from 1."""
    if len(pixels) == 1:
        return [1]
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    found: list[int] = labels.reshape(-1)[pixels].tolist()
    return found


def _border_steps(mask: BoolMask) -> tuple[IntArray, IntArray, IntArray]:
    """Every border between set and unset as a unit step with the set pixel on its right.

    Returns: start corner (y·(W+1) + x), heading (0–3) and flat index of the set pixel, all sorted by (start,
        heading).
    """
    h, w = mask.shape
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    starts, headings, pixels = [], [], []
    # The neighbour that must be unset, and where the step along that side starts, from the pixel's top left
    # corner.
    for heading, (dy, dx), (sy, sx) in (
        (0, (-1, 0), (0, 0)),  # top side, walked east
        (1, (0, 1), (0, 1)),  # right side, walked south
        (2, (1, 0), (1, 1)),  # bottom side, walked west
        (3, (0, -1), (1, 0)),  # left side, walked north
    ):
        side = inner & ~padded[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
        flat = np.flatnonzero(side)
        y, x = np.divmod(flat, w)
        starts.append((y + sy) * (w + 1) + x + sx)
        headings.append(np.full(len(flat), heading))
        pixels.append(flat)
    start, heading_of, pixel = (np.concatenate(a) for a in (starts, headings, pixels))
    order = np.argsort(start * 4 + heading_of, kind="stable")
    return start[order], heading_of[order], pixel[order]


def _successors(starts: IntArray, headings: IntArray, width: int) -> IntArray:
    """Index of the step that follows each step.

    Two steps leave a corner only where two pixels touch diagonally; the right turn stays with the same pixel.
    """
    keys = starts * 4 + headings
    ends = starts + _STEP_X[headings] + _STEP_Y[headings] * width
    right = ends * 4 + (headings + 1) % 4
    found = np.searchsorted(keys, right)
    is_right = keys[np.minimum(found, len(keys) - 1)] == right
    return np.where(is_right, found, np.searchsorted(starts, ends))


def _cycles(following: IntArray) -> list[list[int]]:
    """The cycles of a permutation."""
    step_after = following.tolist()
    seen = bytearray(len(step_after))
    cycles = []
    for first in range(len(step_after)):
        if seen[first]:
            continue
        cycle = []
        at = first
        while not seen[at]:
            seen[at] = 1
            cycle.append(at)
            at = step_after[at]
        cycles.append(cycle)
    return cycles


def _cut_at_repeats(ring: IntArray) -> list[IntArray]:
    """(N,) corner ids → rings that visit no corner twice."""
    if len(np.unique(ring)) == len(ring):
        return [ring]
    parts: list[IntArray] = []
    path: list[int] = []
    position: dict[int, int] = {}
    for corner in ring.tolist():
        if corner in position:
            begin = position[corner]
            parts.append(np.array(path[begin:]))
            for gone in path[begin:]:
                del position[gone]
            del path[begin:]
        position[corner] = len(path)
        path.append(corner)
    return [*parts, np.array(path)]
