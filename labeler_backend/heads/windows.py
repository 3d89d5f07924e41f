"""A mask as the window in which it lies: what makes hundreds of masks per picture affordable."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from labeler_backend.masks import rle
from labeler_backend.masks.rle import RLE, BoolMask


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a mask of the working picture; outside of it nothing is set.

    Attributes:
        corner: (y, x) of the window.
        mask: (h', w') bool.
    """

    corner: tuple[int, int]
    mask: BoolMask

    @property
    def area(self) -> int:
        """Pixels set."""
        return int(np.count_nonzero(self.mask))

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns on the working picture."""
        (y, x), (height, width) = self.corner, self.mask.shape
        return slice(y, y + height), slice(x, x + width)


def shrunk(mask: RLE, size: tuple[int, int]) -> Window:
    """A full image's mask at the working size (h, w) in pixels: set where the pixel's centre lies in it."""
    full_height, full_width = mask["size"]
    column, top, bottom = rle.runs(mask).T
    if not len(column):
        return Window((0, 0), np.zeros((0, 0), bool))
    rows = _centres(top.min(), bottom.max(), size[0] / full_height, size[0])
    columns = _centres(column[0], column[-1] + 1, size[1] / full_width, size[1])
    if not len(rows) or not len(columns):
        return Window((0, 0), np.zeros((0, 0), bool))
    source_rows = ((rows + 0.5) * full_height / size[0]).astype(int)
    source_columns = ((columns + 0.5) * full_width / size[1]).astype(int)
    used, number = np.unique(source_columns, return_inverse=True)
    place = np.full(full_width, -1)
    place[used] = np.arange(len(used))
    starts, stops = np.searchsorted(source_rows, top), np.searchsorted(source_rows, bottom)
    seen = (place[column] >= 0) & (stops > starts)
    column, starts, stops = place[column[seen]], starts[seen], stops[seen]
    # runs of one column do not touch each other's starts nor stops
    steps = np.zeros((len(used), len(rows) + 1), np.int8)
    steps[column, starts] += 1
    steps[column, stops] -= 1
    inside = np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1].view(bool)
    return Window((int(rows[0]), int(columns[0])), np.ascontiguousarray(inside[number].T))


def _centres(
    start: float, stop: float, scale: float, length: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Working pixels whose centres lie in [start, stop) of the full image."""
    first = max(0, int(np.ceil(start * scale - 0.5)))
    last = min(length, int(np.ceil(stop * scale - 0.5)))
    return np.arange(first, last)


def grown(window: Window, work: tuple[int, int], size: tuple[int, int]) -> RLE:
    """A window of the working picture (h, w) as a mask of the full image (H, W), smooth where it grows."""
    if work == size:
        return rle.encode_at(window.mask, window.corner, size)
    margin = 2
    (y, x), (height, width) = window.corner, window.mask.shape
    padded = np.pad(window.mask.astype(np.float32), margin)
    down, across = size[0] / work[0], size[1] / work[1]
    rows = _centres((y - margin) * down, (y + height + margin) * down, 1.0, size[0])
    columns = _centres((x - margin) * across, (x + width + margin) * across, 1.0, size[1])
    if not len(rows) or not len(columns):
        return rle.encode(np.zeros(size, bool))
    # where each full pixel's centre lies among the padded window's pixel centres
    map_y = ((rows + 0.5) / down - 0.5 - y + margin).astype(np.float32)
    map_x = ((columns + 0.5) / across - 0.5 - x + margin).astype(np.float32)
    grid_x, grid_y = np.meshgrid(map_x, map_y)
    soft = cv2.remap(padded, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return rle.encode_at(soft > 0.5, (int(rows[0]), int(columns[0])), size)
