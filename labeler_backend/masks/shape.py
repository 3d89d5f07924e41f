"""The area of one object, as it was drawn: as polygons or pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from shapely.geometry import Polygon

from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import RLE, BoolMask, area, box, decode, encode

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


class Patch(NamedTuple):
    """A part of a mask that holds all its set pixels.

    Attributes:
        window: rows and columns of the image.
        mask: what is in them; nothing is set outside. Without rows where nothing is set at all.
    """

    window: tuple[slice, slice]
    mask: BoolMask


def size_of(shape: Shape) -> tuple[int, int]:
    """(H, W) of the image it lies in."""
    if isinstance(shape, Polygons):
        return shape.size
    height, width = shape["size"]
    return height, width


def area_of(shape: Shape) -> float:
    """In pixels; of polygons what their corners enclose, which is quicker than to draw them."""
    if isinstance(shape, Polygons):
        return float(sum(Polygon(ring).area for ring in shape.rings))
    return float(area(shape))


def same(first: Shape, second: Shape) -> bool:
    """Whether both are the same corners, or the same pixels."""
    if isinstance(first, Polygons) and isinstance(second, Polygons):
        rings = zip(first.rings, second.rings, strict=False)
        return len(first.rings) == len(second.rings) and all(np.array_equal(a, b) for a, b in rings)
    return not isinstance(first, Polygons) and not isinstance(second, Polygons) and first == second


def to_mask(shape: Shape) -> BoolMask:
    """(H, W) bool: the pixels whose centres it encloses."""
    if isinstance(shape, Polygons):
        return polygons_to_mask([Polygon(ring) for ring in shape.rings], shape.size)
    return decode(shape)


def to_rle(shape: Shape) -> RLE:
    """The same as `to_mask`, encoded; of polygons, without drawing the whole image."""
    if not isinstance(shape, Polygons):
        return shape
    height, width = shape.size
    upright = upright_box(shape)
    edges = _edges(shape) if upright is None else _box_edges(upright, height)
    counts = np.diff(edges, prepend=0, append=height * width)
    if edges.size and not counts[-1]:
        counts = counts[:-1]  # pycocotools, too, ends with a run that has a length
    packed = coco_mask.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def patch(shape: Shape) -> Patch:
    """What `to_mask` gives, cut out."""
    if isinstance(shape, Polygons):
        if not shape.rings:
            return Patch((slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool))
        x0, y0 = np.floor(np.min([ring.min(axis=0) for ring in shape.rings], axis=0)).astype(int).tolist()
        x1, y1 = np.ceil(np.max([ring.max(axis=0) for ring in shape.rings], axis=0)).astype(int).tolist()
        mask = polygons_to_mask([Polygon(ring - (x0, y0)) for ring in shape.rings], (y1 - y0, x1 - x0))
        return Patch((slice(y0, y1), slice(x0, x1)), mask if mask.any() else mask[:0])
    x, y, w, h = (int(side) for side in box(shape))
    window = slice(y, y + h), slice(x, x + w)
    return Patch(window, decode(shape)[window])


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


def same_aspect(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether one image can be a copy of the other, up to one pixel of the smaller one; (H, W) each."""
    small, large = sorted((a, b), key=max)
    scale = max(large) / max(small)
    return all(abs(big / scale - little) < 1 for little, big in zip(small, large, strict=True))


def upright_box(shape: Polygons) -> tuple[int, int, int, int] | None:
    """Top, left, bottom, right of the pixels of one upright box, the last two excluded; None for all else."""
    if len(shape.rings) != 1 or len(shape.rings[0]) != 4:
        return None
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = shape.rings[0].tolist()
    flat_first = ay == by and bx == cx and cy == dy and dx == ax
    if not flat_first and not (ax == bx and by == cy and cx == dx and dy == ay):
        return None
    left, right = (math.ceil(x - 0.5) for x in (min(ax, cx), max(ax, cx)))
    top, bottom = (math.ceil(y - 0.5) for y in (min(ay, cy), max(ay, cy)))
    return max(top, 0), max(left, 0), min(bottom, shape.size[0]), min(right, shape.size[1])


def _edges(shape: Polygons) -> npt.NDArray[np.int64]:
    """Where, column by column through the image, it begins and ends."""
    (rows, columns), mask = patch(shape)
    height = shape.size[0]
    if not mask.size:
        return np.empty(0, np.int64)
    strip = np.zeros((columns.stop - columns.start, height), np.int8)
    strip[:, rows] = mask.T
    found: npt.NDArray[np.int64] = np.flatnonzero(np.diff(strip.ravel(), prepend=0, append=0))
    found += columns.start * height
    return found


def _box_edges(box: tuple[int, int, int, int], height: int) -> npt.NDArray[np.int64]:
    """Where, column by column through the picture, a box begins and ends."""
    top, left, bottom, right = box
    if top >= bottom or left >= right:
        return np.empty(0, np.int64)
    if bottom - top == height:
        return np.array([left * height, right * height], np.int64)
    edges: npt.NDArray[np.int64] = np.arange(left, right)[:, None] * height + (top, bottom)
    return edges.ravel()
