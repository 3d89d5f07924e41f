"""Rings, outlines and shapes of many windows at once, what `evidence.py` asks of each region.

Windows of about one size are laid out below each other on one sheet, so that a filter runs once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.windows import Window

COLUMNS = 15
_KERNEL = np.ones((3, 3), np.uint8)
_Sheet = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Level:
    """Maps at one scale: figure, depth, slope of the picture (h, w) and classes (K, h, w)."""

    figure: FloatArray
    depth: FloatArray
    slope: FloatArray
    classes: FloatArray


def outlines(parts: Sequence[Window], names: npt.NDArray[np.int64], level: Level) -> FloatArray:
    """(n, COLUMNS): what lies around, at and inside the outline of each window, and its shape.

    The means are of the figure in the ring, at the inner edge and at the outer edge; of the slope at both;
    of the depth at the inner and outer edge, and its most inside; of pixels of figure at the outer edge. Then
    `_shape`, how many of the picture's borders it touches, the mean slope inside, and that of its class in
    the ring. A mean of nothing is 0.

    Args:
        parts: windows on the maps.
        names: (n,) the class of each, a channel of `level.classes`.
        level: the maps.
    """
    found = np.zeros((len(parts), COLUMNS), np.float32)
    areas = np.array([np.count_nonzero(part.mask) for part in parts], np.float64)
    reach = np.clip(np.round(0.12 * np.sqrt(areas)), 1, 8).astype(int)
    for one in np.unique(reach):
        chosen = np.flatnonzero(reach == one)
        found[chosen] = _alike([parts[i] for i in chosen], areas[chosen], int(one), names[chosen], level)
    return found


def _alike(
    parts: Sequence[Window], areas: npt.NDArray[np.float64], reach: int, names: npt.NDArray[Any], level: Level
) -> FloatArray:
    """`outlines` of windows whose ring is `reach` pixels wide."""
    body, place, owner = _laid_out(parts, reach + 1, level.figure.shape)
    outside = (place < 0).view(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    free = np.asarray((body | outside) == 0, np.uint8)
    ring = np.asarray(cv2.dilate(body, ellipse), np.uint8) & free
    outer = np.asarray(cv2.dilate(body, _KERNEL), np.uint8) & free
    inner = body - (body & np.asarray(cv2.erode(body | outside, _KERNEL), np.uint8))

    def seen(where: _Sheet) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        flat = np.flatnonzero(where.view(bool))
        return owner[flat // where.shape[1]], place.ravel()[flat]

    def total(tile: npt.NDArray[np.int64], values: FloatArray | None = None) -> npt.NDArray[np.float64]:
        return np.asarray(np.bincount(tile, values, len(parts)), np.float64)

    figure, depth, slope = (m.ravel() for m in (level.figure, level.depth, level.slope))
    (ring_of, ring_at), (in_of, in_at), (out_of, out_at), (of, at) = map(seen, (ring, inner, outer, body))
    rings, ins, outs = (np.maximum(total(tile), 1) for tile in (ring_of, in_of, out_of))
    own = level.classes.reshape(len(level.classes), -1)[names[ring_of], ring_at]
    borders = [
        (w.corner[0] == 0)
        + (w.corner[1] == 0)
        + (w.corner[0] + w.mask.shape[0] == level.figure.shape[0])
        + (w.corner[1] + w.mask.shape[1] == level.figure.shape[1])
        for w in parts
    ]
    return np.column_stack(
        [
            total(ring_of, figure[ring_at]) / rings,
            total(in_of, figure[in_at]) / ins,
            total(out_of, figure[out_at]) / outs,
            (total(in_of, slope[in_at]) + total(out_of, slope[out_at]))
            / np.maximum(total(in_of) + total(out_of), 1),
            total(in_of, depth[in_at]) / ins,
            total(out_of, depth[out_at]) / outs,
            _most(of, depth[at], len(parts)),
            total(out_of, np.asarray(figure[out_at] > 0.5, np.float32)) / outs,
            _shapes(body, owner, of, np.maximum(areas, 1)),
            borders,
            total(of, slope[at]) / np.maximum(areas, 1),
            total(ring_of, own) / rings,
        ]
    ).astype(np.float32)


def _laid_out(
    parts: Sequence[Window], margin: int, size: tuple[int, ...]
) -> tuple[_Sheet, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Windows below each other, each with a margin.

    Returns:
        the sheet (s, w); (s, w) which pixel of the picture of `size` that is, flat, -1 outside of it; (s,)
        whose row it is.
    """
    heights = np.array([part.mask.shape[0] + 2 * margin for part in parts])
    width = max(part.mask.shape[1] for part in parts) + 2 * margin
    starts, owner = np.cumsum(heights) - heights, np.repeat(np.arange(len(parts)), heights)
    sheet = np.zeros((len(owner), width), np.uint8)
    for start, part in zip(starts, parts, strict=True):
        height, wide = part.mask.shape
        sheet[start + margin : start + margin + height, margin : margin + wide] = part.mask
    corner = np.array([part.corner for part in parts]) - margin
    row = np.arange(len(owner)) - starts[owner] + corner[owner, 0]
    column = corner[owner, 1, None] + np.arange(width)
    place = np.where((column < 0) | (column >= size[1]), -1, row[:, None] * size[1] + column)
    place[(row < 0) | (row >= size[0])] = -1
    return sheet, place, owner


def _most(tile: npt.NDArray[np.int64], values: FloatArray, tiles: int) -> FloatArray:
    """The largest value of each tile, 0 of one without any; `tile` never falls."""
    found = np.zeros(tiles, np.float32)
    starts = np.flatnonzero(np.diff(tile, prepend=-1))
    if len(starts):
        found[tile[starts]] = np.maximum.reduceat(values, starts)
    return found


def _shapes(
    body: _Sheet, owner: npt.NDArray[np.int64], of: npt.NDArray[np.int64], areas: npt.NDArray[np.float64]
) -> FloatArray:
    """(n, 4): solidity, roundness, log of the length over the width, thickness."""
    found = np.zeros((len(areas), 4), np.float32)
    thick = cv2.distanceTransform(body, cv2.DIST_L2, 3)
    each: list[list[Any]] = [[] for _ in areas]
    for outline in cv2.findContours(body, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
        each[owner[outline[0, 0, 1]]].append(outline)
    for index, outlines_of in enumerate(each):
        if outlines_of:
            found[index, :3] = _shape(outlines_of, float(areas[index]))
    found[:, 3] = _most(of, thick[body.view(bool)], len(areas)) / np.sqrt(areas)
    return found


def _shape(outlines_of: Sequence[Any], area: float) -> tuple[float, float, float]:
    points = outlines_of[0] if len(outlines_of) == 1 else np.concatenate(outlines_of)
    hull = cv2.convexHull(points)
    covered = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    around = sum(cv2.arcLength(outline, True) for outline in outlines_of) + 4
    long, wide = cv2.minAreaRect(hull)[1]
    return (
        min(1.0, area / covered),
        4 * np.pi * area / around**2,
        float(np.log((max(long, wide) + 1) / (min(long, wide) + 1))),
    )
