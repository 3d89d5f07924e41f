"""Masks to polygons and back.

The way there: the exact outline along pixel borders (`outline`), the corners worth their points (`simplify`),
moved to where their edges fit best (`fit`). The way back is exact: a pixel is set when its centre lies
inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString, Polygon

from labeler_backend.masks.fit import FloatArray, crossing_corners, fit_corners
from labeler_backend.masks.outline import Ring, corners, trace_rings
from labeler_backend.masks.rle import BoolMask
from labeler_backend.masks.simplify import Simplified, points_used, spend, thin

DEFAULT_MAX_POINTS = 60
HARD_MAX_POINTS = 80  # Label Studio's editor hangs on more
_BACKTRACKS = 8


def mask_to_polygons(
    mask: BoolMask, tolerance: float = 1.0, max_points: int = DEFAULT_MAX_POINTS
) -> list[Polygon]:
    """(H, W) bool → valid polygons with holes, largest first; empty only for an empty mask.

    Args:
        mask: pixel (i, j) covers [j, j+1) × [i, i+1).
        tolerance: in pixels, how far the outline may be from the result before the cap is considered. 0 keeps
            the outline as it is while it stays under the cap. Specks below (2·tolerance)² pixels are left
            out.
        max_points: over all rings, counted as `to_coco` writes them, so a hole counts two more. Where the
            outline needs more, what costs the least area goes first. Between 4 and 80.

    Raises:
        ValueError: `max_points` or `tolerance` out of range.
    """
    if not 4 <= max_points <= HARD_MAX_POINTS:
        raise ValueError(f"max_points must be between 4 and {HARD_MAX_POINTS}, not {max_points}")
    if tolerance < 0:
        raise ValueError(f"tolerance must not be negative, not {tolerance}")
    rings = _worth_drawing(trace_rings(mask), tolerance, max_points)
    if not rings:
        return []
    if tolerance == 0:
        exact = _exact(rings)
        if points_used(exact) <= max_points:
            return [p for p, _ in _assemble(exact, _unmoved(exact))]
    thinned = [thin(r, tolerance) for r in rings]
    budget = min(max_points, points_used(thinned))
    polygons = _fitted(spend(thinned, budget), mask.shape)
    if polygons is None:  # something crosses: start again from the outline and never let it
        polygons = _fitted(spend(_exact(rings), budget, guard=True), mask.shape)
    if polygons is not None:
        return polygons
    # A net that no mask is known to need: something valid is better than an exception deep in a batch.
    x0, y0, x1, y1 = shapely.multipoints(rings[0].points).bounds
    return [shapely.box(x0, y0, x1, y1)]


def polygons_to_mask(polygons: Sequence[Polygon], shape: tuple[int, int]) -> BoolMask:
    """Polygons → (H, W) bool of their union: a pixel is set when its centre (j+0.5, i+0.5) lies inside.

    `cv2.fillPoly` also sets every pixel its border touches, which fattens a mask by half a pixel all round;
    this does not. A centre exactly on a border belongs to the polygon on its right (below, for a horizontal
    border).
    """
    h, w = shape
    turns = np.zeros((h, w + 1), np.int32)
    for polygon in polygons:
        for ring in _loops(polygon):
            _add_crossings(turns, ring)
    filled: BoolMask = turns.cumsum(axis=1)[:, :w] > 0
    return filled


def to_coco(polygons: Sequence[Polygon]) -> list[list[float]]:
    """Polygons → COCO's `segmentation`: flat [x, y, x, y, …] in pixels, two decimals.

    COCO's polygons have no holes. A hole is joined to its exterior by a bridge of no width, walked once each
    way, so that both the shoelace area and what pycocotools draws stay true; it costs two points more.
    """
    return [np.round(bridge_holes(p), 2).reshape(-1).tolist() for p in polygons]


def bridge_holes(polygon: Polygon) -> FloatArray:
    """One ring (N, 2), not closed, around a polygon with holes, each joined by a bridge inside it."""
    oriented = shapely.geometry.polygon.orient(polygon)
    loop = np.asarray(oriented.exterior.coords)[:-1]
    holes = [np.asarray(hole.coords)[:-1] for hole in oriented.interiors]
    bridges: list[LineString] = []
    for hole in sorted(holes, key=lambda ring: float(ring[:, 0].min())):
        at, onto = _bridge(polygon, loop, hole, bridges)
        bridges.append(LineString([loop[at], hole[onto]]))
        detour = np.concatenate([np.roll(hole, -onto, axis=0), hole[onto : onto + 1], loop[at : at + 1]])
        loop = np.concatenate([loop[: at + 1], detour, loop[at + 1 :]])
    return loop


def _worth_drawing(rings: list[Ring], tolerance: float, max_points: int) -> list[Ring]:
    """Largest first, as many as the cap can hold, no specks, no hole without its exterior."""
    specks = (2 * tolerance) ** 2
    largest = max((r.area for r in rings), default=0)
    large = sorted((r for r in rings if abs(r.area) >= min(specks, largest)), key=lambda r: -abs(r.area))
    large = large[: max_points // 3]
    exteriors = {r.component for r in large if r.area > 0}
    return [r for r in large if r.component in exteriors]


def _exact(rings: Sequence[Ring]) -> list[Simplified]:
    return [Simplified(r, corners(r)) for r in rings]


def _unmoved(rings: Sequence[Simplified]) -> list[FloatArray]:
    return [r.ring.points[r.kept].astype(np.float64) for r in rings]


def _fitted(rings: list[Simplified], shape: tuple[int, ...]) -> list[Polygon] | None:
    """Corners moved as far as all polygons stay valid; None if they are not even unmoved."""
    unmoved = _unmoved(rings)
    moved = [np.clip(f, 0, (shape[1], shape[0])) for f in fit_corners(rings)]
    shares = [np.ones((len(loop), 1)) for loop in unmoved]
    for _ in range(_BACKTRACKS):
        loops = [u + s * (m - u) for u, s, m in zip(unmoved, shares, moved, strict=True)]
        polygons = [p for p, _ in _assemble(rings, loops)]
        if all(p.is_valid and p.area > 0 for p in polygons):
            return sorted(polygons, key=lambda p: -p.area)
        crossing = crossing_corners(loops)
        if not any(c.any() for c in crossing):  # they touch: nobody can be named, so all give way
            crossing = [np.ones(len(loop), bool) for loop in loops]
        for share, c in zip(shares, crossing, strict=True):
            share[c] = np.where(share[c] > 0.3, share[c] / 2, 0)
    polygons = [p for p, _ in _assemble(rings, unmoved)]
    return polygons if all(p.is_valid and p.area > 0 for p in polygons) else None


def _assemble(rings: Sequence[Simplified], loops: Sequence[FloatArray]) -> Iterator[tuple[Polygon, int]]:
    """Per component its polygon, holes in place."""
    for component in dict.fromkeys(r.ring.component for r in rings):
        own = [
            (r.ring.area, loop) for r, loop in zip(rings, loops, strict=True) if r.ring.component == component
        ]
        exterior = next(loop for area, loop in own if area > 0)
        yield Polygon(exterior, [loop for area, loop in own if area < 0]), component


def _loops(polygon: Polygon) -> Iterator[FloatArray]:
    """Exterior and holes, turning opposite ways, closed."""
    oriented = shapely.geometry.polygon.orient(polygon)
    for ring in (oriented.exterior, *oriented.interiors):
        yield np.asarray(ring.coords)


def _add_crossings(turns: npt.NDArray[np.int32], ring: FloatArray) -> None:
    """Add to (H, W+1) `turns` ±1 at the first pixel whose centre is right of an edge, in every row."""
    (x0, y0), (x1, y1) = ring[:-1].T, ring[1:].T
    h, w = turns.shape[0], turns.shape[1] - 1
    first = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, h).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, h).astype(np.int64)
    rows = last - first
    edge = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(rows.sum()) - np.repeat(rows.cumsum() - rows, rows) + first[edge]
    x = x0[edge] + (row + 0.5 - y0[edge]) * (x1 - x0)[edge] / (y1 - y0)[edge]
    column = np.clip(np.ceil(x - 0.5), 0, w).astype(np.int64)
    np.add.at(turns, (row, column), np.where(y1 > y0, -1, 1)[edge])


def _bridge(
    polygon: Polygon, loop: FloatArray, hole: FloatArray, bridges: list[LineString]
) -> tuple[int, int]:
    """Indices into loop and hole of the shortest bridge that stays inside and crosses no other."""
    distance = np.hypot(*(loop[:, None] - hole[None]).transpose(2, 0, 1))
    order = np.argsort(distance, axis=None, kind="stable")
    at, onto = np.unravel_index(order, distance.shape)
    lines = shapely.linestrings(np.stack([loop[at], hole[onto]], axis=1))
    shapely.prepare(polygon)
    free = shapely.covers(polygon, lines)
    for other in bridges:
        free &= ~shapely.crosses(lines, other)
    best = int(np.argmax(free))  # the first that is free; the shortest of all should rounding leave none
    return int(at[best]), int(onto[best])
