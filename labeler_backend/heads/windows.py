"""A mask as the window in which it lies: what makes hundreds of masks per picture affordable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks import rle
from labeler_backend.masks.rle import RLE, BoolMask


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a mask of the working picture; outside of it nothing is set.

    Attributes:
        corner: (y, x) of the window.
        mask: (h', w') bool.
        cell: pixels of the working picture along each side of one of the mask's; `corner` counts in them too.
    """

    corner: tuple[int, int]
    mask: BoolMask
    cell: int = 1

    @property
    def area(self) -> int:
        """Pixels set, of the working picture."""
        return int(np.count_nonzero(self.mask)) * self.cell**2

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns."""
        (y, x), (height, width) = self.corner, self.mask.shape
        return slice(y, y + height), slice(x, x + width)


def shrunk(mask: RLE, size: tuple[int, int]) -> Window:
    """A full image's mask at the working size (h, w) in pixels: set where the pixel's centre lies in it."""
    return all_shrunk([mask], size)[0]


def all_shrunk(masks: Sequence[RLE], size: tuple[int, int]) -> list[Window]:
    """`shrunk` of all masks of one image."""
    if not masks:
        return []
    height, width = masks[0]["size"]
    number, column, top, bottom = rle.runs(masks)
    rows, columns = _firsts(height, size[0]), _firsts(width, size[1])
    top, bottom, left, right = rows[top], rows[bottom], columns[column], columns[column + 1]
    seen = np.flatnonzero((bottom > top) & (right > left))
    number, top, bottom, left, right = (v[seen] for v in (number, top, bottom, left, right))
    found = [Window((0, 0), np.zeros((0, 0), bool))] * len(masks)
    starts = np.flatnonzero(np.diff(number, prepend=-1))
    if not len(starts):
        return found
    y0, y1 = np.minimum.reduceat(top, starts), np.maximum.reduceat(bottom, starts)
    x0, x1 = left[starts], np.maximum.reduceat(right, starts)
    high, wide = y1 - y0 + 1, x1 - x0
    begins = np.cumsum(high * wide) - high * wide
    each = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(number)))
    # finer than the image, a run stands in several columns
    again = right - left
    run = np.repeat(np.arange(len(number)), again)
    left = left[run] + np.arange(len(run)) - np.repeat(np.cumsum(again) - again, again)
    each, top, bottom = each[run], top[run], bottom[run]
    # all windows one after the other, column by column: +1 where a run starts, -1 where it stops
    base = begins[each] + (left - x0[each]) * high[each] - y0[each]
    steps = np.zeros(int(high @ wide), np.int8)
    steps[base + top] += 1
    steps[base + bottom] -= 1
    inside = np.cumsum(steps, dtype=np.int8).view(bool)
    for index, owner in enumerate(number[starts]):
        part = inside[begins[index] : begins[index] + high[index] * wide[index]]
        mask = np.ascontiguousarray(part.reshape(wide[index], high[index])[:, :-1].T)
        found[owner] = Window((int(y0[index]), int(x0[index])), mask)
    return found


def _firsts(full: int, work: int) -> npt.NDArray[np.int64]:
    """(full + 1,): how many of the working pixels' centres lie before each edge of the full pixels."""
    return np.searchsorted(((np.arange(work) + 0.5) * full / work).astype(np.int64), np.arange(full + 1))


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


def counted(window: Window, cell: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    """(h', w') uint8, how many pixels are set of each cell, and the (y, x) of the first cell.

    A window without pixels, as an object too small for the working picture leaves, is one cell of nothing.

    Args:
        window: on the working picture.
        cell: its pixels each way, at most 15.
    """
    (y, x), (height, width) = window.corner, window.mask.shape
    top, left = y // cell, x // cell
    rows = max(1, -(-(y + height) // cell) - top)
    columns = max(1, -(-(x + width) // cell) - left)
    padded = np.zeros((rows * cell, columns * cell), np.uint8)
    y, x = y - top * cell, x - left * cell
    padded[y : y + height, x : x + width] = window.mask
    # the mean of so many times the mask is the sum
    padded *= cell**2
    return np.asarray(cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8), (
        top,
        left,
    )
