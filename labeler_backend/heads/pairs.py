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
from labeler_backend.heads.windows import Window

COARSE = 4
LARGE = 3000
"""Pixels from which a window is large."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Windows of one working picture as rows of two sparse matrices.

    Attributes:
        size: (h, w) of the working picture, multiples of COARSE.
        areas: (n,) in pixels; of large ones, of the cells they stand for.
        large: (n,) bool.
        fine: (n, h·w), 1 where a small window is set; rows of large ones are empty.
        coarse: (n, h·w / COARSE²), pixels set per cell; large windows have all of a cell or nothing.
    """

    size: tuple[int, int]
    areas: FloatArray
    large: npt.NDArray[np.bool_]
    fine: sparse.csr_matrix
    coarse: sparse.csr_matrix

    def means(self, maps: FloatArray) -> FloatArray:
        """(C, h, w) → (n, C): mean of each map inside each window."""
        channels, (height, width) = maps.shape[0], self.size
        fine = self.fine @ maps.reshape(channels, -1).T
        cells = maps.reshape(channels, height // COARSE, COARSE, width // COARSE, COARSE).mean(axis=(2, 4))
        coarse = self.coarse @ cells.reshape(channels, -1).T
        total = np.where(self.large[:, None], coarse, fine)
        return np.asarray(total / np.maximum(self.areas, 1)[:, None], np.float32)

    def shared(self, other: Stack) -> FloatArray:
        """(n, m): pixels that a window here and one there have in common."""
        both = np.asarray((self.fine @ other.fine.T).todense(), np.float32)
        rough = np.asarray((self.coarse @ other.coarse.T).todense(), np.float32) / COARSE**2
        return np.asarray(np.where(self.large[:, None] | other.large[None], rough, both), np.float32)


def stack(windows: Sequence[Window], size: tuple[int, int]) -> Stack:
    """`Stack` of windows of a picture of `size` (h, w)."""
    fine, coarse = _Rows(size[0] * size[1]), _Rows(size[0] * size[1] // COARSE**2)
    large: list[bool] = []
    for window in windows:
        large.append(window.area >= LARGE)
        if large[-1]:
            fine.add(np.zeros(0, np.int64), np.zeros(0, np.float32))
            coarse.add(*_cells(window, size))
            continue
        rows, columns = np.nonzero(window.mask)
        rows, columns = rows + window.corner[0], columns + window.corner[1]
        ones = np.ones(len(rows), np.float32)
        fine.add(rows * size[1] + columns, ones)
        coarse.add((rows // COARSE) * (size[1] // COARSE) + columns // COARSE, ones)
    cells = coarse.matrix()
    areas = np.asarray(cells.sum(axis=1), np.float32).ravel()
    return Stack(size, areas, np.array(large, bool), fine.matrix(), cells)


class _Rows:
    """Rows of a sparse matrix, collected."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.indices: list[npt.NDArray[np.int64]] = []
        self.values: list[FloatArray] = []
        self.ends = [0]

    def add(self, indices: npt.NDArray[np.integer], values: FloatArray) -> None:
        self.indices.append(np.asarray(indices, np.int64))
        self.values.append(values)
        self.ends.append(self.ends[-1] + len(indices))

    def matrix(self) -> sparse.csr_matrix:
        indices = np.concatenate([*self.indices, np.zeros(0, np.int64)])
        values = np.concatenate([*self.values, np.zeros(0, np.float32)])
        shape = (len(self.ends) - 1, self.columns)
        found = sparse.csr_matrix((values, indices, np.array(self.ends)), shape=shape)
        found.sum_duplicates()
        return found


def _cells(window: Window, size: tuple[int, int]) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Indices of the cells that are mostly set, each counted in full: so a window's IoU with itself is 1."""
    cover, (top, left) = coarse_cover(window)
    rows, columns = np.nonzero(cover >= 0.5)
    cells = (rows + top) * (size[1] // COARSE) + columns + left
    return cells, np.full(len(cells), COARSE**2, np.float32)


def coarse_cover(window: Window) -> tuple[FloatArray, tuple[int, int]]:
    """(h', w') float32, the share of each cell that is set, and the (y, x) of the first cell."""
    (y, x), (height, width) = window.corner, window.mask.shape
    top, left = y // COARSE, x // COARSE
    rows, columns = -(-(y + height) // COARSE) - top, -(-(x + width) // COARSE) - left
    padded = np.zeros((rows * COARSE, columns * COARSE), np.float32)
    y, x = y - top * COARSE, x - left * COARSE
    padded[y : y + height, x : x + width] = window.mask
    cover = cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cover, np.float32), (top, left)
