"""Many windows at once: means of maps inside them, and how they overlap each other.

Small windows count pixel by pixel; large ones on cells of COARSE pixels: a hundred of them stay affordable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.windows import Window, counted

COARSE = 4
LARGE = 1000
"""Pixels from which a window is large."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Windows of one working picture as rows of two sparse matrices.

    Attributes:
        size: (h, w) of the working picture, multiples of COARSE.
        parts: n windows as they are counted: large ones by cells.
        areas: (n,) in pixels; of large ones, of the cells they stand for.
        large: (n,) bool.
        fine: (n, h·w), 1 where a small window is set; rows of large ones are empty.
        coarse: (n, h·w / COARSE²), pixels set per cell; large windows have all of a cell or nothing.
    """

    size: tuple[int, int]
    parts: tuple[Window, ...]
    areas: FloatArray
    large: npt.NDArray[np.bool_]
    fine: sparse.csr_matrix
    coarse: sparse.csr_matrix

    def means(self, maps: Sequence[FloatArray]) -> FloatArray:
        """C maps of (h, w) → (n, C): mean of each inside each window."""
        fine = np.stack([self.fine @ one.ravel() for one in maps], axis=1)
        rough = self.rough_means([shrunk_map(one) for one in maps])
        total = np.where(self.large[:, None], rough * self.areas[:, None], fine)
        return np.asarray(total / np.maximum(self.areas, 1)[:, None], np.float32)

    def rough_means(self, maps: Sequence[FloatArray]) -> FloatArray:
        """C maps of (h / COARSE, w / COARSE) → (n, C): mean of each inside each window."""
        total = np.stack([self.coarse @ one.ravel() for one in maps], axis=1)
        return np.asarray(total / np.maximum(self.areas, 1)[:, None], np.float32)

    def shared(self, other: Stack) -> FloatArray:
        """(n, m): pixels that a window here and one there have in common."""
        both = (self.fine @ other.fine.T).toarray()
        rough = (self.coarse @ other.coarse.T).toarray() / np.float32(COARSE**2)
        return np.asarray(np.where(self.large[:, None] | other.large[None], rough, both), np.float32)

    def chosen(self, indices: npt.NDArray[np.int64]) -> Stack:
        """Some of the windows, in that order."""
        parts = tuple(self.parts[i] for i in indices)
        rows = self.areas[indices], self.large[indices], self.fine[indices], self.coarse[indices]
        return Stack(self.size, parts, *rows)


def stack(windows: Sequence[Window], size: tuple[int, int]) -> Stack:
    """`Stack` of windows of a picture of `size` (h, w)."""
    parts = tuple(_as_counted(window) for window in windows)
    large = np.array([part.cell == COARSE for part in parts], bool)
    fine: list[npt.NDArray[np.int32]] = [_NOTHING] * len(parts)
    coarse, counts = list(fine), list[FloatArray]()
    for index, part in enumerate(parts):
        if large[index]:
            coarse[index] = _places(part.mask, part.corner, size[1] // COARSE)
            counts.append(np.full(len(coarse[index]), COARSE**2, np.float32))
        else:
            fine[index] = _places(part.mask, part.corner, size[1])
            cells, corner = counted(part, COARSE)
            coarse[index] = _places(cells, corner, size[1] // COARSE)
            counts.append(cells[cells > 0].astype(np.float32))
    ones = [np.ones(len(one), np.float32) for one in fine]
    cells = _matrix(coarse, counts, size[0] * size[1] // COARSE**2)
    areas = np.asarray(cells.sum(axis=1), np.float32).ravel()
    return Stack(size, parts, areas, large, _matrix(fine, ones, size[0] * size[1]), cells)


def shrunk_map(values: FloatArray) -> FloatArray:
    """(h, w) → (h / COARSE, w / COARSE), means."""
    size = (values.shape[1] // COARSE, values.shape[0] // COARSE)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _as_counted(window: Window) -> Window:
    """A large one by the cells that are mostly set, each in full: so a window's IoU with itself is 1."""
    if window.cell == COARSE or window.area < LARGE:
        return window
    cells, corner = counted(window, COARSE)
    return Window(corner, cells >= COARSE**2 / 2, COARSE)


_NOTHING: npt.NDArray[np.int32] = np.zeros(0, np.int32)


def _places(
    mask: npt.NDArray[np.bool_] | npt.NDArray[np.uint8], corner: tuple[int, int], width: int
) -> npt.NDArray[np.int32]:
    """Flat places of what is set, on a picture so wide, rising."""
    places = np.flatnonzero(mask).astype(np.int32)
    places += (places // np.int32(max(mask.shape[1], 1))) * np.int32(width - mask.shape[1])
    places += np.int32(corner[0] * width + corner[1])
    return places


def _matrix(
    places: Sequence[npt.NDArray[np.int32]], values: Sequence[FloatArray], columns: int
) -> sparse.csr_matrix:
    ends = np.cumsum([0, *map(len, places)])
    parts = np.concatenate([*values, np.zeros(0, np.float32)]), np.concatenate([*places, _NOTHING]), ends
    return sparse.csr_matrix(parts, shape=(len(places), columns))
