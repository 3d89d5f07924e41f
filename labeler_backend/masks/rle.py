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


def area(rle: RLE) -> int:
    """Pixels set."""
    return int(coco_mask.area(rle))


def box(rle: RLE) -> tuple[float, float, float, float]:
    """Tight box x, y, width, height in pixels (0, 0, 0, 0 for an empty mask)."""
    x, y, w, h = (float(v) for v in coco_mask.toBbox(rle))
    return x, y, w, h
