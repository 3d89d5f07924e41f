"""The area of one object, as it was drawn: as polygons or pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from shapely.geometry import Polygon

from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import RLE, BoolMask, decode, encode

Ring = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Polygons:
    """An area drawn with corners.

    Attributes:
        rings: (N, 2) x, y in pixels each, not closed; valid (no ring crosses itself), without holes, and
            disjoint but for borders they share. The area is all that they enclose.
        size: (H, W) of the image; all corners lie within it.
    """

    rings: tuple[Ring, ...]
    size: tuple[int, int]


Shape = Polygons | RLE


def size_of(shape: Shape) -> tuple[int, int]:
    """(H, W) of the image it lies in."""
    if isinstance(shape, Polygons):
        return shape.size
    height, width = shape["size"]
    return height, width


def to_mask(shape: Shape) -> BoolMask:
    """(H, W) bool: the pixels whose centres it encloses."""
    if isinstance(shape, Polygons):
        return polygons_to_mask([Polygon(ring) for ring in shape.rings], shape.size)
    return decode(shape)


def to_rle(shape: Shape) -> RLE:
    """The same as `to_mask`, encoded."""
    return encode(to_mask(shape)) if isinstance(shape, Polygons) else shape


def union(shapes: Iterable[Shape]) -> RLE:
    """All of them as one.

    Raises:
        ValueError: there is none, or they are of different sizes.
    """
    encoded = [to_rle(shape) for shape in shapes]
    if len({tuple(one["size"]) for one in encoded}) != 1:
        raise ValueError("a union needs shapes of one image")
    if len(encoded) == 1:
        return encoded[0]
    merged = coco_mask.merge(encoded)
    return {"size": [int(side) for side in merged["size"]], "counts": merged["counts"].decode("ascii")}


def scaled(shape: Shape, size: tuple[int, int]) -> Shape:
    """The same share of an image of another size (H, W)."""
    old_height, old_width = size_of(shape)
    if (old_height, old_width) == size:
        return shape
    if isinstance(shape, Polygons):
        factors = size[1] / old_width, size[0] / old_height
        return Polygons(tuple(ring * factors for ring in shape.rings), size)
    mask = np.ascontiguousarray(decode(shape)).view(np.uint8)
    return encode(cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_NEAREST).view(bool))
