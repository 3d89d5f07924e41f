"""Masks kept small: COCO's run-length encoding, through pycocotools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

BoolMask = npt.NDArray[np.bool_]


class RLE(TypedDict):
    """COCO's compressed RLE with `counts` as text, so that it goes into JSON as it is."""

    size: list[int]
    counts: str


def encode(mask: BoolMask) -> RLE:
    """(H, W) bool → RLE."""
    columns = cv2.transpose(
        np.ascontiguousarray(mask).view(np.uint8)
    ).T  # asfortranarray takes thrice as long
    coded = coco_mask.encode(columns)
    return {"size": [int(s) for s in coded["size"]], "counts": coded["counts"].decode("ascii")}


def decode(rle: RLE) -> BoolMask:
    """RLE → (H, W) bool."""
    out: BoolMask = coco_mask.decode(rle).view(bool)
    return out


def runs(masks: Sequence[RLE]) -> npt.NDArray[np.int64]:
    """(4, n) int64: mask, column, first row, row past the last of each run of set pixels, in that order.

    What many masks' pixels are asked for at fewer places than they have, without decoding them all. Source of
    the text's format: `rleFrString` of pycocotools.

    Args:
        masks: of images of one height.
    """
    texts = [mask["counts"].encode("ascii") for mask in masks]
    codes = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64) - 48
    if not len(codes):
        return np.zeros((4, 0), np.int64)
    last = np.flatnonzero((codes & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    counts = np.add.reduceat((codes & 31) << (5 * (np.arange(len(codes)) - np.repeat(first, length))), first)
    counts -= np.where(codes[last] & 16, np.int64(1) << (5 * length), 0)
    begins = np.searchsorted(first, np.cumsum([0, *map(len, texts)]))
    number = np.repeat(np.arange(len(masks)), np.diff(begins))
    place = np.arange(len(counts)) - begins[number]
    # each is written as what it has more than the one before the last, but for the first three
    for parity in (0, 1):
        chosen = np.flatnonzero((place % 2 == parity) & (place > 0))
        counts[chosen] = _added(counts[chosen], number[chosen])
    ends = _added(counts, number)
    stop = np.flatnonzero(place % 2)
    return _by_column(number[stop], ends[stop - 1], ends[stop], masks[0]["size"][0])


def _added(values: npt.NDArray[np.int64], group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Running sums, each group's from its own start."""
    total = np.cumsum(values)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    before = (total - values)[starts]
    return total - np.repeat(before, np.diff(starts, append=len(values)))


def _by_column(
    number: npt.NDArray[np.int64], start: npt.NDArray[np.int64], stop: npt.NDArray[np.int64], height: int
) -> npt.NDArray[np.int64]:
    """Runs of flat places down the columns, cut where a column ends."""
    column = start // height
    columns = (stop - 1) // height - column + 1
    if (columns != 1).any():
        which = np.repeat(np.arange(len(start)), columns)
        column = column[which] + np.arange(len(which)) - np.repeat(np.cumsum(columns) - columns, columns)
        number, start, stop = number[which], start[which], stop[which]
    top, bottom = np.maximum(start - column * height, 0), np.minimum(stop - column * height, height)
    return np.stack([number, column, top, bottom])


def encode_at(mask: BoolMask, corner: tuple[int, int], size: tuple[int, int]) -> RLE:
    """As `encode` of a mask of `size` (H, W) in which `mask` (h, w) lies with its first pixel at (y, x).

    A small part of a large mask takes the time of the part.
    """
    framed = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    framed[:, 1:-1] = mask.T
    column, row = np.nonzero(framed[:, 1:] != framed[:, :-1])
    ends = (column + corner[1]) * size[0] + row + corner[0]
    # a run to the bottom goes on at the top of the next column
    joined = np.flatnonzero(ends[1:] == ends[:-1])
    ends = np.delete(ends, np.concatenate([joined, joined + 1]))
    counts = np.diff(ends, prepend=0, append=size[0] * size[1])
    if counts[-1] == 0 and len(counts) > 1:
        counts = counts[:-1]
    coded = coco_mask.frPyObjects({"size": list(size), "counts": counts.tolist()}, *size)
    return {"size": [int(s) for s in coded["size"]], "counts": coded["counts"].decode("ascii")}


def area(rle: RLE) -> int:
    """Pixels set."""
    return int(coco_mask.area(rle))


def box(rle: RLE) -> tuple[float, float, float, float]:
    """Tight box x, y, width, height in pixels (0, 0, 0, 0 for an empty mask)."""
    x, y, w, h = (float(v) for v in coco_mask.toBbox(rle))
    return x, y, w, h
