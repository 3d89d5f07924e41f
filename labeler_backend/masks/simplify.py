"""Fewer corners for the same area: which corners of an outline to keep.

Two steps, chosen by measurement (`benchmarks/polygons.py`): Douglas–Peucker takes out the pixel staircase,
then Visvalingam & Whyatt (1993, "Line generalisation by repeated elimination of points") spends a budget of
points over all rings at once, always giving up the least area, be it a corner or a whole small ring.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from labeler_backend.masks.outline import IntArray, Ring, corners

# A hole is written into a COCO or Label Studio polygon through a bridge, which repeats two of its points.
BRIDGE_POINTS = 2


class Simplified(NamedTuple):
    """A ring and the (K,) ascending indices of the points it keeps, K ≥ 3."""

    ring: Ring
    kept: IntArray


def points_used(rings: Sequence[Simplified]) -> int:
    """Points of all rings, each hole with the points of its bridge."""
    return sum(len(r.kept) + _surcharge(r.ring) for r in rings)


def thin(ring: Ring, tolerance: float) -> Simplified:
    """Douglas–Peucker: no corner of the ring lies further than `tolerance` pixels from the result.

    A ring so small that nothing would be left is thinned with less tolerance.
    """
    turns = corners(ring)
    points = ring.points[turns].astype(np.int32)
    index_of = {(x, y): i for (x, y), i in zip(points.tolist(), turns.tolist(), strict=True)}
    while len(turns) > 4 and tolerance > 0.1:
        approx = cv2.approxPolyDP(points[:, None], tolerance, True)[:, 0].tolist()
        if len(approx) >= 3:
            return Simplified(ring, np.sort(np.array([index_of[x, y] for x, y in approx])))
        tolerance /= 2
    return Simplified(ring, turns)


def spend(rings: Sequence[Simplified], max_points: int, guard: bool = False) -> list[Simplified]:
    """Give up corners and rings, least area first, until `points_used` ≤ `max_points` (at least 3).

    Args:
        rings: of one mask.
        max_points: the budget.
        guard: never take a corner whose triangle holds another corner. Rings that do not cross then never
            will; slow.
    """
    state = _Elimination(rings)
    while state.used > max_points and state.rings_left > 0 and state.eliminate_one(guard):
        pass
    return state.result()


def _surcharge(ring: Ring) -> int:
    return BRIDGE_POINTS if ring.area < 0 else 0


class _Elimination:
    """Corners of all rings as one doubly linked list, with a heap of what each would cost."""

    def __init__(self, rings: Sequence[Simplified]) -> None:
        self._rings = rings
        self._owner = [n for n, r in enumerate(rings) for _ in r.kept]
        self._xy = np.concatenate([r.ring.points[r.kept] for r in rings])
        self._x, self._y = (axis.tolist() for axis in self._xy.T)
        self._before: list[int] = []
        self._after: list[int] = []
        for r in rings:
            first, n = len(self._before), len(r.kept)
            self._before += [first + (i - 1) % n for i in range(n)]
            self._after += [first + (i + 1) % n for i in range(n)]
        self._alive = [True] * len(self._owner)
        self._count = [len(r.kept) for r in rings]
        self.used = points_used(rings)
        self._refill()

    @property
    def rings_left(self) -> int:
        """Rings that could still go, the last one never."""
        sizes = [n for n in self._count if n]
        return 0 if len(sizes) == 1 and sizes[0] == 3 else len(sizes)

    def eliminate_one(self, guard: bool) -> bool:
        """Take the cheapest corner, or ring; False when nothing can go."""
        while self._heap:
            cost, i = heapq.heappop(self._heap)
            if not self._alive[i] or cost != self._cost[i]:
                continue  # an older price
            if self._count[self._owner[i]] == 3:
                self._drop_component(self._owner[i])
                return True
            if guard and self._blocked(i):
                continue
            self._take(i)
            return True
        return self._unblock()

    def result(self) -> list[Simplified]:
        """What is left, in the order given."""
        alive = np.array(self._alive)
        owner = np.array(self._owner)
        return [
            Simplified(r.ring, r.kept[alive[owner == n]]) for n, r in enumerate(self._rings) if self._count[n]
        ]

    def _refill(self) -> None:
        self._cost = [self._price(i) if self._alive[i] else 0.0 for i in range(len(self._owner))]
        self._heap = [(c, i) for i, c in enumerate(self._cost) if self._alive[i]]
        heapq.heapify(self._heap)
        self._taken_since_refill = 0

    def _price(self, i: int) -> float:
        """Area given up per point saved: the corner's triangle, or the whole ring once it is a triangle."""
        owner = self._owner[i]
        if self._count[owner] == 3:
            ring = self._rings[owner].ring
            last = sum(n > 0 for n in self._count) == 1
            return float("inf") if last else abs(ring.area) / (3 + _surcharge(ring))
        a, b = self._before[i], self._after[i]
        ax, ay = self._x[a], self._y[a]
        return float(abs((self._x[b] - ax) * (self._y[i] - ay) - (self._x[i] - ax) * (self._y[b] - ay)) / 2)

    def _take(self, i: int) -> None:
        a, b, owner = self._before[i], self._after[i], self._owner[i]
        self._after[a], self._before[b] = b, a
        self._alive[i] = False
        self._count[owner] -= 1
        self.used -= 1
        self._taken_since_refill += 1
        for j in (a, b, self._after[b]) if self._count[owner] == 3 else (a, b):
            self._cost[j] = self._price(j)
            heapq.heappush(self._heap, (self._cost[j], j))

    def _drop_component(self, owner: int) -> None:
        """Drop a ring; an exterior takes its holes with it. The last exterior stays."""
        ring = self._rings[owner].ring
        exteriors = sum(n > 0 and r.ring.area > 0 for n, r in zip(self._count, self._rings, strict=True))
        if ring.area > 0 and exteriors == 1:
            for i in self._corners_of(owner):
                self._cost[i] = float("inf")
            return
        for n, r in enumerate(self._rings):
            if n == owner or (ring.area > 0 and r.ring.component == ring.component and self._count[n]):
                self.used -= self._count[n] + _surcharge(r.ring)
                self._count[n] = 0
                for i in self._corners_of(n):
                    self._alive[i] = False
        self._taken_since_refill += 1

    def _corners_of(self, owner: int) -> list[int]:
        return [i for i, n in enumerate(self._owner) if n == owner]

    def _blocked(self, i: int) -> bool:
        """Whether another corner lies in the closed triangle that would be cut off at `i`."""
        a, b = self._before[i], self._after[i]
        others = self._xy[self._alive]
        p, q, r = self._xy[a], self._xy[i], self._xy[b]
        sides = np.stack(
            [(v[0] - u[0]) * (others[:, 1] - u[1]) - (others[:, 0] - u[0]) * (v[1] - u[1])
             for u, v in ((p, q), (q, r), (r, p))]
        )  # fmt: skip
        inside = (sides >= 0).all(axis=0) | (sides <= 0).all(axis=0)
        at_ends = (others == p).all(axis=1) | (others == r).all(axis=1)
        return bool((inside & ~at_ends).sum() > 1)  # `i` itself is one

    def _unblock(self) -> bool:
        """Nothing could go: try all again if something went meanwhile, else drop the smallest ring."""
        if self._taken_since_refill:
            self._refill()
            return True
        left = [n for n, count in enumerate(self._count) if count]
        exteriors = [n for n in left if self._rings[n].ring.area > 0]
        removable = [n for n in left if len(exteriors) > 1 or n not in exteriors]
        if not removable:
            return False
        self._drop_component(min(removable, key=lambda n: abs(self._rings[n].ring.area)))
        self._refill()
        return True
