"""Masks kept small: COCO's run-length encoding, through pycocotools."""

from __future__ import annotations

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


def runs(rle: RLE) -> npt.NDArray[np.int64]:
    """(n, 3) int64: column, first row and the row past the last of each run of set pixels, by falling order.

    What a mask's pixels are asked for at fewer places than it has, without decoding them all. Source of the
    text's format: `rleFrString` of pycocotools.
    """
    codes = np.frombuffer(rle["counts"].encode("ascii"), np.uint8).astype(np.int64) - 48
    last = np.flatnonzero((codes & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
    length = last - first + 1
    shift = 5 * (np.arange(len(codes)) - np.repeat(first, length))
    counts = np.add.reduceat((codes & 31) << shift, first) if len(last) else codes
    counts -= np.where(codes[last] & 16, np.int64(1) << (5 * length), 0)
    counts[1::2] = np.cumsum(counts[1::2])  # each is written as what it has more than the one before the last
    counts[2::2] = np.cumsum(counts[2::2])
    ends = np.cumsum(counts)
    start, stop = ends[: len(ends) // 2 * 2].reshape(-1, 2).T
    height = rle["size"][0]
    column = start // max(height, 1)
    columns = (stop - 1) // max(height, 1) - column + 1
    which = np.repeat(np.arange(len(start)), columns)
    column = column[which] + np.arange(len(which)) - np.repeat(np.cumsum(columns) - columns, columns)
    top = np.maximum(start[which] - column * height, 0)
    return np.stack([column, top, np.minimum(stop[which] - column * height, height)], axis=1)


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
