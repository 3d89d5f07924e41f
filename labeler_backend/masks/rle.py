"""Masks kept small: COCO's run-length encoding, through pycocotools."""

from __future__ import annotations

from typing import TypedDict

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
    coded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(s) for s in coded["size"]], "counts": coded["counts"].decode("ascii")}


def decode(rle: RLE) -> BoolMask:
    """RLE → (H, W) bool."""
    out: BoolMask = coco_mask.decode(rle).astype(bool)
    return out


def area(rle: RLE) -> int:
    """Pixels set."""
    return int(coco_mask.area(rle))


def box(rle: RLE) -> tuple[float, float, float, float]:
    """Tight box x, y, width, height in pixels (0, 0, 0, 0 for an empty mask)."""
    x, y, w, h = (float(v) for v in coco_mask.toBbox(rle))
    return x, y, w, h
