"""One ring for what formats without holes, or without blobs, have to hold.

Holes and blobs are joined by bridges of no width, walked once each way, so that both the area by the shoelace
formula and what is drawn stay true.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import shapely
from scipy.spatial import cKDTree

from labeler_backend.masks.outline import Ring as Traced
from labeler_backend.masks.outline import corners, trace_rings
from labeler_backend.masks.rle import RLE, decode
from labeler_backend.masks.shape import Ring

_CHANGE = 0.1


def outlines(rle: RLE, tolerance: float) -> list[Ring]:
    """The outline of a mask: (N, 2) x, y in pixels per blob, holes joined to it.

    Args:
        rle: the mask.
        tolerance: in pixels, how far the line through the middles of the outline's steps may be from the
            result; 0 = the exact outline, along pixel borders.
    """
    components: dict[int, tuple[list[Ring], list[Ring]]] = {}
    for traced in trace_rings(decode(rle)):
        ring = _smooth(traced, tolerance) if tolerance > 0 else _exact(traced)
        exteriors, holes = components.setdefault(traced.component, ([], []))
        (exteriors if traced.area > 0 else holes).append(ring)
    return [bridged(exteriors[0], holes) for exteriors, holes in components.values()]


def bridged(exterior: Ring, holes: Sequence[Ring]) -> Ring:
    """One ring around an area with holes, each joined at its leftmost corner to what lies left of it.

    Level bridges, since rasterisers that go by rows or columns draw those the same both ways. Holes are taken
    from left to right, as D. Eberly does to triangulate ("Triangulation by Ear Clipping"), so that what a
    bridge meets is already part of the ring.
    """
    loop = exterior
    for hole in sorted(holes, key=lambda ring: tuple(ring[_leftmost(ring)])):
        first = _leftmost(hole)
        edge, anchor = _left_of(loop, hole[first])
        detour = [anchor[None], np.roll(hole, -first, axis=0), hole[first][None], anchor[None]]
        loop = np.concatenate([loop[: edge + 1], *detour, loop[edge + 1 :]])
    return loop


def joined(rings: Sequence[Ring]) -> Ring:
    """One ring around disjoint areas: from left to right, each joined to the nearest corner so far."""
    ordered = sorted((_same_turn(ring) for ring in rings), key=lambda ring: tuple(ring[_leftmost(ring)]))
    loop = ordered[0]
    for ring in ordered[1:]:
        distance, nearest = cKDTree(loop, balanced_tree=False, compact_nodes=False).query(ring)
        onto = int(np.argmin(distance))
        at = int(nearest[onto])
        detour = [np.roll(ring, -onto, axis=0), ring[onto][None], loop[at][None]]
        loop = np.concatenate([loop[: at + 1], *detour, loop[at + 1 :]])
    return loop


def _exact(traced: Traced) -> Ring:
    return traced.points[corners(traced)].astype(np.float64)


def _smooth(traced: Traced, tolerance: float) -> Ring:
    """Few corners for the same area; exact where that would change it by more than a tenth.

    Douglas–Peucker on the middles of the steps: those of a slanting border lie on both sides of it, its
    corners on one only, which would make the mask grow or shrink.
    """
    doubled = (traced.points + np.roll(traced.points, -1, axis=0)).astype(np.int32)
    kept = cv2.approxPolyDP(doubled[:, None], 2 * tolerance, True)
    if abs(cv2.contourArea(kept, True) / 4 - traced.area) > _CHANGE * abs(traced.area):
        return _exact(traced)
    return np.asarray(kept[:, 0], np.float64) / 2


def _leftmost(ring: Ring) -> int:
    return int(np.lexsort((ring[:, 1], ring[:, 0]))[0])


def _left_of(loop: Ring, point: Ring) -> tuple[int, Ring]:
    """The edge that a ray from `point` to the left meets first, by its first corner, and where."""
    (x0, y0), (x1, y1) = loop.T, np.roll(loop, -1, axis=0).T
    x, y = point
    met = (np.minimum(y0, y1) <= y) & (y <= np.maximum(y0, y1)) & (y0 != y1)
    meeting = x0 + (y - y0) * (x1 - x0) / np.where(met, y1 - y0, 1)
    meeting[~met | (meeting > x + 1e-9)] = -np.inf
    edge = int(np.argmax(meeting))
    if np.isfinite(meeting[edge]):
        return edge, np.array([meeting[edge], y])
    edge = int(np.argmin(np.hypot(x0 - x, y0 - y)))  # thinned so far that the hole sticks out
    return edge, loop[edge]


def _same_turn(ring: Ring) -> Ring:
    """All of the same turn, so that no area counts against another."""
    return ring if shapely.is_ccw(shapely.linearrings(ring)) else ring[::-1]
