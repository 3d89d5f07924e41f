"""Shapes to RLE at the cost of what they cover, not of the picture they lie in."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from shapely.geometry import Polygon

from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import RLE, BoolMask
from labeler_backend.masks.shape import Polygons, Ring, Shape


def rle_of(shape: Shape) -> RLE:
    """The same as `shape.to_rle`, without a mask of the whole picture: 20 µs for a box, 200 µs for a polygon.

    A video of 5,000 frames with 20 objects has 100,000 shapes; a full-HD mask for each takes quarters of an
    hour.
    """
    if not isinstance(shape, Polygons):
        return shape
    edges = _box_edges(shape) if _is_upright_box(shape.rings) else _edges(shape)
    height, width = shape.size
    counts = np.diff(edges, prepend=0, append=height * width)
    coded = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": coded["counts"].decode("ascii")}


def crop_of(shape: Polygons) -> tuple[int, int, BoolMask]:
    """Top, left and the mask of the part of the picture that the polygons lie in."""
    points = np.concatenate(shape.rings)
    left, top = np.clip(np.floor(points.min(axis=0)), 0, shape.size[::-1]).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0)), 0, shape.size[::-1]).astype(int)
    parts = [Polygon(ring - (left, top)) for ring in shape.rings]
    return int(top), int(left), polygons_to_mask(parts, (bottom - top, right - left))


def _is_upright_box(rings: tuple[Ring, ...]) -> bool:
    if len(rings) != 1 or len(rings[0]) != 4:
        return False
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = rings[0].tolist()
    return bool(ay == by and bx == cx and cy == dy and dx == ax) or (
        ax == bx and by == cy and cx == dx and dy == ay
    )


def _box_edges(shape: Polygons) -> npt.NDArray[np.int64]:
    """As `_edges`, for one upright box."""
    height = shape.size[0]
    (ax, ay), _, (cx, cy), _ = shape.rings[0].tolist()
    left, right = (math.ceil(x - 0.5) for x in (min(ax, cx), max(ax, cx)))
    top, bottom = (math.ceil(y - 0.5) for y in (min(ay, cy), max(ay, cy)))
    if top >= bottom or left >= right:
        return np.empty(0, np.int64)
    if bottom - top == height:
        return np.array([left * height, right * height])
    edges: npt.NDArray[np.int64] = np.arange(left, right)[:, None] * height + (top, bottom)
    return edges.ravel()


def _edges(shape: Polygons) -> npt.NDArray[np.int64]:
    """Where, column by column through the picture, the area begins and ends."""
    height = shape.size[0]
    top, left, mask = crop_of(shape)
    framed = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    framed[:, 1:-1] = mask.T
    column, row = np.nonzero(np.diff(framed, axis=1))
    edges = (column + left) * height + row + top
    goes_on = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1  # from the foot of one column to the next
    kept: npt.NDArray[np.int64] = np.delete(edges, np.concatenate([goes_on, goes_on + 1]))
    return kept
