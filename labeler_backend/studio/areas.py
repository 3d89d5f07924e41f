"""Outlines → areas: what a ring encloses within the frame, and what had to be mended for it.

Most outlines are simple rings within the frame. All of a result are checked at once, in a few vectorised
calls; only the rest is looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import Polygon

from labeler_backend.masks.polygons import polygons_to_mask
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons, Ring, Shape, size_of, union
from labeler_backend.studio.shapes import FloatArray

SLACK = 0.5
"""Pixels by which an outline may leave the frame without a word: the editor rounds."""

_HALF_DIAGONAL = 0.7072  # pixels: a disc of this radius holds the centre of a pixel
_SAME_AREA = 1e-6  # relative
_NOTHING = 1e-6  # square pixels: a line, but for rounding


@dataclass(slots=True)  # frozen ones take thrice as long to make, and there are many
class Area:
    """What an outline encloses.

    Attributes:
        shape: None where it encloses nothing in the frame.
        note: the middle of a sentence: why there is none, or what was mended; empty where all is well.
    """

    shape: Shape | None
    note: str = ""


def areas(outlines: Sequence[FloatArray], size: tuple[int, int]) -> list[Area]:
    """Rings (N, 2) in pixels of an image of `size` (H, W) → what each encloses within its frame.

    Filled as Label Studio's editor fills them: where a ring crosses itself, all it winds around is inside
    (nonzero rule); a bridge to a hole, walked both ways, encloses nothing.
    """
    enough = [n for n, outline in enumerate(outlines) if len(outline) >= 3]
    if len(enough) < len(outlines):
        rest = iter(areas([outlines[n] for n in enough], size))
        few = "its outline has {} points, and an area needs 3"
        return [next(rest) if len(o) >= 3 else Area(None, few.format(len(o))) for o in outlines]
    if not outlines:
        return []
    rings, simple = _checked(outlines, size)
    return [
        Area(Polygons((ring,), size)) if good else _mended(outline, size)
        for outline, ring, good in zip(outlines, rings, simple.tolist(), strict=True)
    ]


def _checked(
    outlines: Sequence[FloatArray], size: tuple[int, int]
) -> tuple[list[Ring], npt.NDArray[np.bool_]]:
    """The rings, moved into the frame by at most `SLACK`; and which of them can be taken as they are."""
    corners = np.concatenate(outlines)
    counts = np.array([len(outline) for outline in outlines])
    ends = counts.cumsum()
    frame = size[1], size[0]
    framed = np.minimum(np.maximum(corners, 0), frame)  # np.clip takes thrice as long
    near: npt.NDArray[np.bool_] = np.ones(len(counts), bool)
    if not np.array_equal(framed, corners):
        near = np.maximum.reduceat(np.abs(framed - corners).max(axis=1), ends - counts) <= SLACK
    polygons = shapely.polygons(
        shapely.linearrings(framed, indices=np.repeat(np.arange(len(counts)), counts))
    )
    bounds = [0, *ends.tolist()]
    rings = [framed[start:end] for start, end in pairwise(bounds)]
    simple = near & shapely.is_valid(polygons)
    for n in np.flatnonzero(simple & ~_is_thick(polygons)).tolist():
        simple[n] = _has_pixel(rings[n], size)
    return rings, simple


def _mended(outline: FloatArray, size: tuple[int, int]) -> Area:
    """Of a ring that crosses or touches itself, leaves the frame, or encloses no pixel."""
    polygon = Polygon(outline)
    whole: shapely.Geometry = polygon
    if not polygon.is_valid:
        try:
            whole = shapely.make_valid(polygon, method="structure", keep_collapsed=False)
        except shapely.errors.GEOSException:
            return Area(None, "its outline crosses itself beyond repair")
    if whole.area < _NOTHING:
        return Area(None, "it encloses no area")
    notes = []
    if abs(whole.area - _shoelace(outline)) > _SAME_AREA * whole.area:  # a bridge to a hole costs no area
        notes.append("it crosses itself, and all that it winds around was taken")
    height, width = size
    inside = shapely.intersection(whole, shapely.box(0, 0, width, height))
    if _overshoot(outline, size) > SLACK:
        notes.append("it leaves the picture, and was cut off there")
    parts = _polygons(inside)
    shape = _shape(parts, size)
    if shape is None:
        return Area(None, "it encloses no pixel of the picture")
    return Area(shape, "; ".join(notes))


def _shape(parts: Sequence[Polygon], size: tuple[int, int]) -> Shape | None:
    """Corners, or pixels where there are holes, which corners cannot hold; None if no pixel is inside."""
    if any(part.interiors for part in parts):
        mask = polygons_to_mask(parts, size)
        return encode(mask) if mask.any() else None
    frame = size[1], size[0]
    rings = tuple(np.clip(np.asarray(part.exterior.coords)[:-1, :2], 0, frame) for part in parts)
    if not _is_thick(parts).any() and not any(_has_pixel(ring, size) for ring in rings):
        return None
    return Polygons(rings, size) if rings else None


def _is_thick(polygons: Sequence[Polygon] | npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    """Which of them surely enclose the centre of a pixel.

    The largest disc in a polygon without holes has a radius of at least its area through its perimeter
    (Bonnesen). Thin ones may miss every centre, however long they are.
    """
    thick: npt.NDArray[np.bool_] = shapely.area(polygons) > _HALF_DIAGONAL * shapely.length(polygons)
    return thick


def _has_pixel(ring: Ring, size: tuple[int, int]) -> bool:
    """Whether a small ring encloses the centre of a pixel."""
    low = np.floor(ring.min(axis=0))
    width, height = (np.ceil(ring.max(axis=0)) - low).astype(int).tolist()
    corner = shapely.box(*(-low), size[1] - low[0], size[0] - low[1])
    moved = shapely.intersection(Polygon(ring - low), corner)
    return bool(polygons_to_mask(_polygons(moved), (height, width)).any())


def _polygons(geometry: shapely.Geometry) -> list[Polygon]:
    """The parts of a geometry that enclose something; lines and points are no areas."""
    flat = shapely.get_parts(shapely.get_parts(geometry))
    return [part for part in flat if isinstance(part, Polygon) and part.area > 0]


def _overshoot(outline: FloatArray, size: tuple[int, int]) -> float:
    return float(np.abs(outline - np.clip(outline, 0, (size[1], size[0]))).max())


def _shoelace(outline: FloatArray) -> float:
    x, y = (outline - outline[0]).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def joined(shapes: Sequence[Shape]) -> Shape:
    """Several areas of one image as one: corners where all are, and leave no hole."""
    rings = [ring for shape in shapes if isinstance(shape, Polygons) for ring in shape.rings]
    if not all(isinstance(shape, Polygons) for shape in shapes):
        return union(shapes)
    size = size_of(shapes[0])
    polygons = [Polygon(ring) for ring in rings]
    whole = shapely.union_all(polygons)
    if whole.area >= (1 - _SAME_AREA) * sum(polygon.area for polygon in polygons):  # none lies on another
        return Polygons(tuple(rings), size)
    return _shape(_polygons(whole), size) or union(shapes)
