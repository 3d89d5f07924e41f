"""Shapes to RLE at the cost of what they cover, not of the picture they lie in."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from shapely.geometry import Polygon

from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import RLE, BoolMask, decode
from labeler_backend.masks.shape import Polygons, Shape


def rle_of(shape: Shape) -> RLE:
    """The same as `shape.to_rle`, without a mask of the whole picture.

    A video of 5,000 frames with 20 boxes has 100,000 shapes; a full-HD mask for each takes half an hour, this
    two seconds.
    """
    if not isinstance(shape, Polygons):
        return shape
    box = upright_box(shape)
    edges = _edges(shape) if box is None else _box_edges(box, shape.size[0])
    height, width = shape.size
    counts = np.diff(edges, prepend=0, append=height * width)
    if edges.size and not counts[-1]:
        counts = counts[:-1]  # pycocotools, too, ends with a run that has a length
    coded = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": coded["counts"].decode("ascii")}


def paint(canvas: npt.NDArray[np.uint8], shape: Shape, value: int) -> None:
    """Sets the pixels of the shape in an (H, W) picture."""
    if not isinstance(shape, Polygons):
        canvas[decode(shape)] = value
        return
    box = upright_box(shape)
    if box is not None:
        top, left, bottom, right = box
        canvas[top:bottom, left:right] = value
        return
    top, left, mask = _crop(shape)
    canvas[top : top + mask.shape[0], left : left + mask.shape[1]][mask] = value


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


def _crop(shape: Polygons) -> tuple[int, int, BoolMask]:
    """Top, left and the mask of the part of the picture that the polygons lie in."""
    points = np.concatenate(shape.rings)
    left, top = np.clip(np.floor(points.min(axis=0)), 0, shape.size[::-1]).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0)), 0, shape.size[::-1]).astype(int)
    parts = [Polygon(ring - (left, top)) for ring in shape.rings]
    return int(top), int(left), polygons_to_mask(parts, (bottom - top, right - left))


def _box_edges(box: tuple[int, int, int, int], height: int) -> npt.NDArray[np.int64]:
    """As `_edges`, for an upright box."""
    top, left, bottom, right = box
    if top >= bottom or left >= right:
        return np.empty(0, np.int64)
    if bottom - top == height:
        return np.array([left * height, right * height])
    edges: npt.NDArray[np.int64] = np.arange(left, right)[:, None] * height + (top, bottom)
    return edges.ravel()


def _edges(shape: Polygons) -> npt.NDArray[np.int64]:
    """Where, column by column through the picture, the area begins and ends."""
    height = shape.size[0]
    top, left, mask = _crop(shape)
    framed = np.zeros((mask.shape[1], mask.shape[0] + 2), np.int8)
    framed[:, 1:-1] = mask.T
    column, row = np.nonzero(np.diff(framed, axis=1))
    edges = (column + left) * height + row + top
    goes_on = np.flatnonzero(edges[1:-1:2] == edges[2::2]) * 2 + 1  # from the foot of one column to the next
    kept: npt.NDArray[np.int64] = np.delete(edges, np.concatenate([goes_on, goes_on + 1]))
    return kept
