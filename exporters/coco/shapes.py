"""COCO's `segmentation` and `bbox` to shapes, whatever stands in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pycocotools import mask as coco_mask

from labeler_backend.masks.rle import RLE
from labeler_backend.masks.shape import Polygons, Ring, Shape

Size = tuple[int, int]

_SLACK = 0.5  # pixels beyond the frame that are rounding; more is drawn there
_FAR = 10  # times the picture's sides: further out is damage, which pycocotools would walk pixel by pixel
_DIGITS = 7  # of one run's length: 35 bits


class ShapeError(ValueError):
    """Why an annotation holds no shape: the middle of a sentence, which the caller completes."""


def read_shape(row: Mapping[str, Any], size: Size) -> tuple[Shape, str]:
    """An annotation of an image of `size` (H, W) → its shape, and what had to be mended, else an empty text.

    Polygons stay polygons where they are valid, apart from each other and inside the frame; all else becomes
    the mask that pycocotools makes of it. Without a segmentation the box becomes a polygon of four corners.

    Raises:
        ShapeError: there is none, or it is damaged or empty.
    """
    found = row.get("segmentation")
    if isinstance(found, Mapping):
        return _rle(found, size), ""
    if isinstance(found, list) and found:
        return _polygons(found if isinstance(found[0], list) else [found], size)
    return _box(row.get("bbox"), size)


def size_in(row: Mapping[str, Any]) -> Size | None:
    """The (H, W) that an annotation's RLE says its image has."""
    found = row.get("segmentation")
    sides = found.get("size") if isinstance(found, Mapping) else None
    if isinstance(sides, list) and len(sides) == 2 and all(type(s) is int and s > 0 for s in sides):
        return sides[0], sides[1]
    return None


def run_lengths(counts: str) -> npt.NDArray[np.int64]:
    """The text of a compressed RLE → the lengths of its runs, which nobody has checked.

    pycocotools decodes a damaged text to whatever lies in memory. Five bits a character, the lowest first;
    the sixth says that more follow. From the fourth on, a length is the difference to the one two before it.

    Raises:
        ShapeError: not such a text.
    """
    codes = np.frombuffer(counts.encode("utf-8"), np.uint8).astype(np.int64) - 48
    if codes.size == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ShapeError("its RLE is damaged")
    ends = np.flatnonzero(codes < 32)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    if digits.max() > _DIGITS:
        raise ShapeError("its RLE is damaged")
    places = np.arange(codes.size) - np.repeat(starts, digits)
    values = np.add.reduceat((codes & 31) << (5 * places), starts)
    values[codes[ends] & 16 > 0] -= 1 << (5 * digits[codes[ends] & 16 > 0])
    values[1::2] = values[1::2].cumsum()
    values[2::2] = values[2::2].cumsum()
    return values


def _rle(found: Mapping[str, Any], size: Size) -> RLE:
    if size_in({"segmentation": found}) != size:
        raise ShapeError(f"its RLE is not of the image's size, {size[1]}×{size[0]} pixels")
    counts = found.get("counts")
    if isinstance(counts, str):
        lengths = run_lengths(counts)
    elif isinstance(counts, list) and all(type(n) is int and 0 <= n < 2**32 for n in counts):
        lengths = np.array(counts, np.int64)
    else:
        raise ShapeError("its RLE has no counts")
    if lengths.size == 0 or lengths.min() < 0 or lengths.sum() != size[0] * size[1]:
        raise ShapeError("its RLE is damaged")
    if not lengths[1::2].any():
        raise ShapeError("its mask is empty")
    if isinstance(counts, str):
        return {"size": list(size), "counts": counts}
    coded = coco_mask.frPyObjects({"size": list(size), "counts": counts}, *size)
    return {"size": list(size), "counts": coded["counts"].decode("ascii")}


def _polygons(found: Sequence[Any], size: Size) -> tuple[Shape, str]:
    rings = [ring for ring in (_ring(flat, size) for flat in found) if ring is not None]
    if not rings:
        raise ShapeError("none of its polygons has three points near the image")
    mended = "some of its polygons have fewer than three points" if len(rings) < len(found) else ""
    frame = size[::-1]
    points = rings[0] if len(rings) == 1 else np.concatenate(rings)
    if points.min() < -_SLACK or (points.max(axis=0) > np.add(frame, _SLACK)).any():
        return _drawn(rings, size), "it reaches beyond the image"
    if points.min() < 0 or (points.max(axis=0) > frame).any():
        rings = [ring.clip(0, frame) for ring in rings]
    areas = shapely.polygons([shapely.linearrings(ring) for ring in rings])
    if not shapely.is_valid(areas).all() or not shapely.area(areas).all():
        return _drawn(rings, size), "it crosses or touches itself"
    if len(rings) > 1 and not math.isclose(
        shapely.union_all(areas).area, shapely.area(areas).sum(), rel_tol=1e-9
    ):
        return _drawn(rings, size), "its polygons overlap"
    return Polygons(tuple(rings), size), mended


def _ring(flat: Any, size: Size) -> Ring | None:
    """(N, 2) without a repeated end; None where there are not three points, or one is far away."""
    try:
        points = np.array(flat, np.float64)
    except (TypeError, ValueError):
        return None
    if points.ndim != 1 or points.size < 6 or points.size % 2:
        return None
    if not np.abs(points).max() <= _FAR * max(size):  # nor is NaN
        return None
    ring: Ring = points.reshape(-1, 2)
    if (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    return ring if len(ring) >= 3 else None


def _drawn(rings: Sequence[Ring], size: Size) -> RLE:
    """The mask that pycocotools makes of polygons."""
    merged = coco_mask.merge(coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], *size))
    if not coco_mask.area(merged):
        raise ShapeError("its polygons cover no pixel")
    return {"size": list(size), "counts": merged["counts"].decode("ascii")}


def _box(found: Any, size: Size) -> tuple[Shape, str]:
    if not isinstance(found, list) or len(found) != 4:
        raise ShapeError("it has neither a segmentation nor a bbox")
    if not all(type(v) in (int, float) and abs(v) <= _FAR * max(size) for v in found):
        raise ShapeError("its bbox is not four numbers near the image")
    x, y, w, h = found
    corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64)
    inside = corners.clip(0, size[::-1])
    if (np.ptp(inside, axis=0) <= 0).any() or w < 0 or h < 0:
        raise ShapeError("its bbox covers nothing of the image")
    beyond = np.abs(inside - corners).max() > _SLACK
    return Polygons((inside,), size), "it reaches beyond the image" if beyond else ""
