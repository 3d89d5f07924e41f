"""One ring for what formats without holes, or without blobs, have to hold.

Holes and blobs are joined by bridges of no width, walked once each way, so that both the area by the shoelace
formula and what is drawn stay true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import Delaunay, QhullError

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
    if not holes:
        return exterior
    rings = [exterior, *sorted(holes, key=lambda ring: tuple(ring[_leftmost(ring)]))]
    edges = _Edges(rings)
    bridges = []
    for child in range(1, len(rings)):
        onto = _leftmost(rings[child])
        bridges.append(_Bridge(*edges.left_of(rings[child][onto], child), child, onto))
    return _walked(rings, bridges)


def joined(rings: Sequence[Ring]) -> Ring:
    """One ring around disjoint areas, joined from corner to corner by bridges as short as can be in all."""
    turned = [_same_turn(ring) for ring in rings]
    return _walked(turned, _shortest(turned)) if len(turned) > 1 else turned[0]


class _Bridge(NamedTuple):
    """From `anchor`, on a ring's edge after the corner `at`, to the corner `onto` of the ring `child`."""

    ring: int
    at: int
    anchor: Ring  # (2,)
    child: int
    onto: int


def _walked(rings: Sequence[Ring], bridges: Sequence[_Bridge]) -> Ring:
    """The walk around the first ring and, over bridges that make a tree, all others."""
    leaving: list[list[_Bridge]] = [[] for _ in rings]
    entry = [0] * len(rings)
    for bridge in bridges:
        leaving[bridge.ring].append(bridge)
        entry[bridge.child] = bridge.onto
    parts: list[Ring] = []
    waiting: list[Ring | int] = [0]  # a piece of the walk, or a ring yet to be walked around
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, int):
            waiting += reversed(_pieces(rings[piece], entry[piece], leaving[piece]))
        else:
            parts.append(piece)
    loop = np.concatenate(parts)
    once: Ring = loop[(loop != np.roll(loop, 1, axis=0)).any(axis=1)]
    return once


def _pieces(ring: Ring, entry: int, leaving: Sequence[_Bridge]) -> list[Ring | int]:
    """A ring from its entry back to it, with what is beyond its bridges in between."""
    closed = np.concatenate([ring[entry:], ring[: entry + 1]])
    ways = [((bridge.at - entry) % len(ring), bridge) for bridge in leaving]
    ways.sort(key=lambda way: (way[0], *np.abs(way[1].anchor - closed[way[0]])))
    pieces: list[Ring | int] = []
    start = 0
    for at, bridge in ways:
        pieces += [closed[start : at + 1], bridge.anchor[None], bridge.child, bridge.anchor[None]]
        start = at + 1
    return [*pieces, closed[start:]]


class _Edges:
    """The edges of rings, to be found by the rows that they cross."""

    def __init__(self, rings: Sequence[Ring]) -> None:
        self._from = np.concatenate(rings)
        self._to = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
        self._ring = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
        self._first = np.searchsorted(self._ring, np.arange(len(rings)))
        rows = np.floor(np.sort([self._from[:, 1], self._to[:, 1]], axis=0)).astype(np.int64)
        tall = np.where(self._from[:, 1] == self._to[:, 1], 0, rows[1] - rows[0] + 1)
        edges = np.repeat(np.arange(len(tall)), tall)
        crossed = np.arange(len(edges)) - np.repeat(tall.cumsum() - tall, tall) + rows[0][edges]
        order = np.argsort(crossed, kind="stable")
        self._edges, self._crossed = edges[order], crossed[order]

    def left_of(self, point: Ring, before: int) -> tuple[int, int, Ring]:
        """The edge of the rings `before` that a ray from `point` to the left meets first, and where."""
        x, y = point
        start, end = np.searchsorted(self._crossed, [np.floor(y), np.floor(y) + 1])
        near = self._edges[start:end]
        near = near[self._ring[near] < before]
        (x0, y0), (x1, y1) = self._from[near].T, self._to[near].T
        meeting = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
        met = (np.minimum(y0, y1) <= y) & (y <= np.maximum(y0, y1)) & (meeting <= x + 1e-9)
        if met.any():
            best = int(np.argmax(np.where(met, meeting, -np.inf)))
            edge, anchor = int(near[best]), np.array([meeting[best], y])
        else:  # thinned so far that the hole sticks out
            earlier = self._from[: self._first[before]]
            edge = int(np.argmin(np.hypot(*(earlier - point).T)))
            anchor = earlier[edge]
        ring = int(self._ring[edge])
        return ring, edge - int(self._first[ring]), anchor


def _shortest(rings: Sequence[Ring]) -> list[_Bridge]:
    """The minimum spanning tree of rings, whose edges are among those of a Delaunay triangulation."""
    points = np.concatenate(rings)
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    first = np.searchsorted(ring_of, np.arange(len(rings)))
    pairs = _neighbours(points)
    pairs = pairs[ring_of[pairs[:, 0]] != ring_of[pairs[:, 1]]]
    length = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T) + 1  # 0 would be no edge
    low, high = np.sort(ring_of[pairs], axis=1).T
    order = np.lexsort([length, high, low])
    keys, kept = np.unique((low * len(rings) + high)[order], return_index=True)
    kept = order[kept]
    graph = coo_array((length[kept], (low[kept], high[kept])), shape=(len(rings), len(rings))).tocsr()
    _, parents = breadth_first_order(minimum_spanning_tree(graph), 0, directed=False)
    bridges = []
    for child, parent in enumerate(parents.tolist()[1:], 1):
        if parent < 0:  # corners so near to each other that the triangulation left one out
            at, onto, parent = 0, int(first[child]), 0
        else:
            key = min(child, parent) * len(rings) + max(child, parent)
            at, onto = pairs[kept[np.searchsorted(keys, key)]].tolist()
            if ring_of[at] == child:
                at, onto = onto, at
        bridges.append(_Bridge(parent, at - int(first[parent]), points[at], child, onto - int(first[child])))
    return bridges


def _neighbours(points: Ring) -> npt.NDArray[np.int64]:
    """(N, 2) indices of points that a triangulation joins, or that are the same."""
    places, owner, place_of = np.unique(points, axis=0, return_index=True, return_inverse=True)
    place_of = place_of.reshape(-1)  # NumPy 2.0 gives it another shape
    try:
        corners_of = Delaunay(places).simplices
    except QhullError:  # all in one line
        corners_of = np.column_stack([np.arange(len(places) - 1), np.arange(1, len(places))])
    sides = np.concatenate([corners_of[:, [0, 1]], corners_of[:, [1, -1]], corners_of[:, [0, -1]]])
    same = np.column_stack([np.arange(len(points)), owner[place_of]])
    found: npt.NDArray[np.int64] = np.concatenate([owner[sides], same])
    return found


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


def _same_turn(ring: Ring) -> Ring:
    """All of the same turn, so that no area counts against another."""
    return ring if shapely.is_ccw(shapely.linearrings(ring)) else ring[::-1]
