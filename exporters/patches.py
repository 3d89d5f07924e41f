"""Shapes as pixels, no more of them than needed: an image is often a hundred times as large as an object."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from shapely.geometry import Polygon

from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import RLE, BoolMask, box, decode
from labeler_backend.masks.shape import Polygons, Shape


class Patch(NamedTuple):
    """A part of a mask that holds all its set pixels.

    Attributes:
        window: rows and columns of the image.
        mask: what is in them; nothing is set outside. Without rows where nothing is set at all.
    """

    window: tuple[slice, slice]
    mask: BoolMask


def patch(shape: Shape) -> Patch:
    """What `to_mask` gives, cut out."""
    if isinstance(shape, Polygons):
        x0, y0 = np.floor(np.min([ring.min(axis=0) for ring in shape.rings], axis=0)).astype(int).tolist()
        x1, y1 = np.ceil(np.max([ring.max(axis=0) for ring in shape.rings], axis=0)).astype(int).tolist()
        mask = polygons_to_mask([Polygon(ring - (x0, y0)) for ring in shape.rings], (y1 - y0, x1 - x0))
        return Patch((slice(y0, y1), slice(x0, x1)), mask if mask.any() else mask[:0])
    x, y, w, h = (int(side) for side in box(shape))
    window = slice(y, y + h), slice(x, x + w)
    return Patch(window, decode(shape)[window])


def encoded(shape: Shape) -> RLE:
    """What `to_rle` gives; of polygons, without drawing the whole image."""
    if not isinstance(shape, Polygons):
        return shape
    (rows, columns), mask = patch(shape)
    height, width = shape.size
    if mask.size == 0:
        return _compressed([height * width], shape.size)
    strip = np.zeros((columns.stop - columns.start, height), bool)  # RLE goes down the columns
    strip[:, rows] = mask.T
    flat = strip.ravel()
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    offset = columns.start * height
    ends = [*(turns + offset).tolist(), height * width]
    if flat[0]:
        ends.insert(0, offset)
    if flat[-1] and columns.stop < width:
        ends.insert(-1, columns.stop * height)
    return _compressed(np.diff(ends, prepend=0).tolist(), shape.size)


def _compressed(counts: list[int], size: tuple[int, int]) -> RLE:
    """Lengths of runs, the first of unset pixels, as COCO packs them."""
    packed = coco_mask.frPyObjects({"counts": counts, "size": list(size)}, *size)
    return {"size": list(size), "counts": packed["counts"].decode("ascii")}
