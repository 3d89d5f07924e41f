"""Shapes to COCO's `segmentation`, with the `area` and `bbox` of what it draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from labeler_backend.masks.rle import RLE
from labeler_backend.masks.shape import Polygons, Ring, Shape, to_rle


class Drawing(NamedTuple):
    """An area as COCO holds it.

    Attributes:
        segmentation: as JSON.
        area: pixels set in the mask that pycocotools makes of `segmentation`.
        box: x, y, width, height of that mask in pixels.
    """

    segmentation: str
    area: int
    box: tuple[int, int, int, int]


def draw(shape: Shape, how: Literal["auto", "polygons", "rle"]) -> Drawing | None:
    """A shape in the form asked for (`Options.segmentation`); None where it covers no pixel."""
    if how == "rle" or not isinstance(shape, Polygons):
        return draw_rle(to_rle(shape))
    return draw_rings(shape.rings, shape.size) or draw_rle(to_rle(shape))


def draw_rings(rings: Sequence[Ring], size: tuple[int, int]) -> Drawing | None:
    """Rings (N, 2) in pixels, rounded to two decimals; None where pycocotools draws nothing of them.

    pycocotools moves corners to a grid of a fifth of a pixel and counts pixels along it, so small or thin
    areas differ from `to_mask` at their border.
    """
    flat = [np.round(ring, 2).ravel().tolist() for ring in rings]
    encoded = coco_mask.frPyObjects(flat, *size)
    measured = _measured(encoded[0] if len(encoded) == 1 else coco_mask.merge(encoded))
    if measured is None:
        return None
    text = ", ".join([_template(len(ring)) % tuple(ring) for ring in flat])
    return Drawing(f"[{text.replace('.00', '')}]", *measured)  # two decimals each: .00 only ends a number


def draw_rle(rle: RLE) -> Drawing | None:
    """A mask as it is; None where it is empty."""
    measured = _measured(rle)
    if measured is None:
        return None
    height, width = rle["size"]
    counts = rle["counts"].replace("\\", "\\\\")  # the only character of COCO's alphabet that JSON escapes
    return Drawing(f'{{"size": [{height}, {width}], "counts": "{counts}"}}', *measured)


def _measured(rle: RLE) -> tuple[int, tuple[int, int, int, int]] | None:
    area = int(coco_mask.area(rle))
    if area == 0:
        return None
    x, y, w, h = coco_mask.toBbox(rle).tolist()
    return area, (int(x), int(y), int(w), int(h))


@cache
def _template(numbers: int) -> str:
    """Twice as quick as JSON's encoder, whose floats are the largest part of an export."""
    return "[" + ", ".join(["%.2f"] * numbers) + "]"
