"""Corners moved to where the edges between them fit the outline best.

A corner picked from a pixel outline lies on the outline, so every edge across a curve cuts it on one side.
Moving all corners at once by weighted least squares lets edges run through the middle of what they stand for:
at 60 points that leaves about two thirds of the error (`benchmarks/polygons.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labeler_backend.masks.outline import IntArray
from labeler_backend.masks.simplify import Simplified

FloatArray = npt.NDArray[np.float64]

_ROUNDS = 3
_SOFTENING = (
    1.0  # pixels; distances above it count linearly (area), below it quadratically (the staircase's noise)
)
_STIFFNESS = 0.01  # of the mean curvature; keeps corners from sliding along straight runs
_REACH = 8  # pixels of outline by which the outline's share of an edge may move in one round


class _Span(NamedTuple):
    """One ring's place in the joint arrays: its corners and its outline points."""

    corner: int
    corners: int
    step: int
    steps: int


def fit_corners(rings: Sequence[Simplified]) -> list[FloatArray]:
    """Rings with kept corners → per ring (K, 2) float64 x, y of the same corners, moved.

    Minimises the distance between the outline's unit steps and the edges that stand for them, which is the
    area between the two, by iteratively reweighted least squares over all corners of all rings together.
    """
    outlines = [np.roll(r.ring.points, -int(r.kept[0]), axis=0).astype(np.float64) for r in rings]
    spans, breaks = _joint_layout(rings)
    points = np.concatenate(outlines)
    steps = np.concatenate([np.roll(o, -1, axis=0) - o for o in outlines])
    after = np.arange(len(breaks)) + 1
    for s in spans:
        after[s.corner + s.corners - 1] = s.corner
    position = points[breaks]
    for _ in range(_ROUNDS):
        edge = _edge_of_step(spans, breaks, len(points))
        position = position + _displacement(position, after, edge, points + steps / 2, steps)
        breaks = _nearest_breaks(spans, breaks, position, points)
    return [position[s.corner : s.corner + s.corners] for s in spans]


def crossing_corners(loops: Sequence[FloatArray]) -> list[npt.NDArray[np.bool_]]:
    """Rings (K, 2) → per ring (K,) whether an edge at this corner crosses another edge of any ring."""
    start = np.concatenate(loops)
    end = np.concatenate([np.roll(loop, -1, axis=0) for loop in loops])
    along = end - start

    def side(points: FloatArray) -> FloatArray:
        """(edge, point): on which side of each edge's line a point lies."""
        offset = points[None] - start[:, None]
        return np.asarray(np.sign(along[:, None, 0] * offset[..., 1] - along[:, None, 1] * offset[..., 0]))

    splits = side(start) * side(end) < 0
    crossed = (splits & splits.T).any(axis=1)
    own = np.split(crossed, np.cumsum([len(loop) for loop in loops])[:-1])
    return [edges | np.roll(edges, 1) for edges in own]


def _joint_layout(rings: Sequence[Simplified]) -> tuple[list[_Span], IntArray]:
    """Where each ring stands in the joint arrays, and the outline point of every corner."""
    spans: list[_Span] = []
    breaks: list[IntArray] = []
    corner = step = 0
    for r in rings:
        spans.append(_Span(corner, len(r.kept), step, len(r.ring.points)))
        breaks.append(r.kept - r.kept[0] + step)
        corner += len(r.kept)
        step += len(r.ring.points)
    return spans, np.concatenate(breaks)


def _edge_of_step(spans: Sequence[_Span], breaks: IntArray, total: int) -> IntArray:
    """(N,) which edge (named by its first corner) stands for each unit step of the outline."""
    edge = np.searchsorted(breaks, np.arange(total), side="right") - 1
    for s in spans:  # steps before the first corner belong to the edge that closes the ring
        edge[s.step : breaks[s.corner]] = s.corner + s.corners - 1
    return edge


def _displacement(
    position: FloatArray, after: IntArray, edge: IntArray, middles: FloatArray, steps: FloatArray
) -> FloatArray:
    """One Gauss–Newton step: (K, 2) by how much to move every corner."""
    k = len(position)
    along = position[after] - position
    length = np.hypot(along[:, 0], along[:, 1]) + 1e-9
    unit = along / length[:, None]
    normal = np.column_stack([-unit[:, 1], unit[:, 0]])
    offset = middles - position[edge]
    t = np.clip((offset * unit[edge]).sum(axis=1) / length[edge], 0, 1)
    residual = (offset * normal[edge]).sum(axis=1)
    weight = np.abs((steps * unit[edge]).sum(axis=1)) / np.hypot(residual, _SOFTENING)

    def per_edge(values: FloatArray) -> FloatArray:
        summed: FloatArray = np.bincount(edge, weight * values, minlength=k).astype(np.float64)
        return summed

    here = np.arange(k)
    outer = normal[:, :, None] * normal[:, None, :]
    matrix = np.zeros((k, 2, k, 2))
    cross = per_edge(t * (1 - t))[:, None, None] * outer
    for row, column, block in (
        (here, here, per_edge((1 - t) ** 2)[:, None, None] * outer),
        (after, after, per_edge(t**2)[:, None, None] * outer),
        (here, after, cross),
        (after, here, cross),
    ):
        matrix[row, :, column, :] += block  # every (row, column) pair occurs once, so += loses nothing
    pull = per_edge((1 - t) * residual)[:, None] * normal
    pull[after] += per_edge(t * residual)[:, None] * normal
    square = matrix.reshape(2 * k, 2 * k)
    square[np.diag_indices(2 * k)] += _STIFFNESS * np.trace(square) / (2 * k) + 1e-9
    moved: FloatArray = np.asarray(np.linalg.solve(square, pull.reshape(-1)), np.float64).reshape(k, 2)
    return moved


def _nearest_breaks(
    spans: Sequence[_Span], breaks: IntArray, position: FloatArray, points: FloatArray
) -> IntArray:
    """The outline point nearest to each moved corner, searched close by so that the order stays."""
    shifts = np.arange(-_REACH, _REACH + 1)
    moved = breaks.copy()
    for s in spans:
        own = slice(s.corner, s.corner + s.corners)
        local = breaks[own] - s.step
        gap_after = (np.roll(local, -1) - local) % s.steps
        room = np.minimum(gap_after, np.roll(gap_after, 1)) // 3
        candidates = np.clip(local[:, None] + shifts, 0, s.steps - 1)  # never across the ring's start
        distance = ((points[s.step + candidates] - position[own, None]) ** 2).sum(axis=2)
        distance[np.abs(shifts) > room[:, None]] = np.inf
        moved[own] = s.step + candidates[np.arange(s.corners), distance.argmin(axis=1)]
    return moved
