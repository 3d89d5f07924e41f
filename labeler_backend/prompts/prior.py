"""Which region a mark may mean: the proposals that hold it, weighed by how well it lies in their middle.

Who clicks an object clicks its middle, and who corrects a mask clicks the middle of what is wrong. So the
same rule picks the object for the first click, and for a later one the part to add or to take away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.reading import Mark
from labeler_backend.prompts.scene import Pool, Scene
from labeler_backend.prompts.types import FloatMap

MIDDLE = 0.5
"""Say of the depth at the mark, as a share of the region's greatest depth."""
OFFSET = 0.4
"""Cost of the squared distance to the region's centroid, in standard deviations of the region along it."""
COVERED = 3.0
"""Say of the share of a scribble that a proposal holds."""
GROUP = 0.7
"""Cost of being several alike things."""
FRAME = 1.0
"""Cost of lying along the picture's whole frame."""
CROSSED = 3.0
"""Cost of every mark that says otherwise."""
REST = 0.5
"""Cost of being what a proposal leaves over, rather than one."""
DISC = 0.15
"""Weight of the plain disc around a correction, beside proposals' scores."""
FIRST_RADIUS = 8.0
"""Of the disc around a first click, in working pixels; for where no proposal holds it."""
TEMPERATURE = 0.3
FIRST_TEMPERATURE = 0.15
"""Of the first mark, which picks one object; a correction is rather several regions that agree."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One connected region that holds the mark.

    Attributes:
        mask: (h, w) bool on the working grid.
        value: log of its weight; larger = more likely meant.
    """

    mask: BoolMask
    value: float


def regions(scene: Scene, mark: Mark, side: BoolMask, others: Sequence[Mark]) -> list[Region]:
    """All that the mark may mean.

    Args:
        scene: the picture.
        mark: on the working grid.
        side: (h, w) where the answer so far is other than the mark says.
        others: earlier marks, on the working grid.
    """
    found = list(_held(scene.pool, mark, side, others))
    if not mark.positive:
        found += _left_over(scene.pool, mark, side, others)
    correction = bool(others) or not side.all()
    radius = float(_depth(side)[mark.y, mark.x].mean()) if correction else FIRST_RADIUS
    disc = np.zeros(side.shape, np.uint8)
    for column, row in zip(mark.x.tolist(), mark.y.tolist(), strict=True):
        cv2.circle(disc, (column, row), max(1, int(radius)), 1, -1)
    found.append(Region((disc > 0) & side, float(np.log(DISC if correction else 1e-4))))
    return found


def votes(found: Sequence[Region], temperature: float = TEMPERATURE) -> FloatMap:
    """(h, w) in [0, 1]: the share of the regions' weight that each working pixel has."""
    values = np.array([region.value for region in found])
    weights = np.exp((values - values.max()) / temperature)
    total = np.zeros(found[0].mask.shape, np.float32)
    for region, weight in zip(found, weights / weights.sum(), strict=True):
        if weight > 1e-3:
            total[region.mask] += np.float32(weight)
    return total


def _held(pool: Pool, mark: Mark, side: BoolMask, others: Sequence[Mark]) -> Iterator[Region]:
    """Of each proposal that holds the mark, the part on the wrong side."""
    held = pool.masks[:, mark.y, mark.x].mean(axis=1)
    holding = np.flatnonzero(held > 0.5)
    for index in holding.tolist():
        region = _part(pool.masks[index] & side, mark)
        if region is None:
            continue
        mask, value = region
        value += float(np.log(pool.score[index] * held[index] ** COVERED + 1e-3) - FRAME * pool.border[index])
        value -= GROUP * _several(pool, index, holding) + CROSSED * _crossed(mask, mark, others)
        yield Region(mask, value)


def _left_over(pool: Pool, mark: Mark, side: BoolMask, others: Sequence[Mark]) -> Iterator[Region]:
    """What is left of the answer so far around the mark when a proposal with all positive marks is kept."""
    kept = [one for one in others if one.positive]
    if not kept:
        return
    x, y = np.concatenate([one.x for one in kept]), np.concatenate([one.y for one in kept])
    holds = pool.masks[:, y, x].any(axis=1) & ~pool.masks[:, mark.y, mark.x].any(axis=1)
    for index in np.flatnonzero(holds).tolist():
        region = _part(side & ~pool.masks[index], mark)
        if region is not None and not _crossed(region[0], mark, others):
            yield Region(region[0], region[1] + float(np.log(pool.score[index] + 1e-3)) - REST)


def _part(mask: BoolMask, mark: Mark) -> tuple[BoolMask, float] | None:
    """The connected part that the mark lies in, and how well it is in its middle; None = in none."""
    _, labels, facts, centres = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    at = labels[mark.y, mark.x]
    if not at.any():
        return None
    label = int(np.bincount(at[at > 0]).argmax())
    x, y = mark.x[at == label], mark.y[at == label]
    part = np.asarray(labels == label)
    left, top, width, height, _ = facts[label]
    crop = np.ascontiguousarray(part[top : top + height, left : left + width])
    depth = _depth(crop)
    deep = float(depth[y - top, x - left].mean() / depth.max())
    m = cv2.moments(crop.view(np.uint8), True)
    spread = np.array([[m["mu20"], m["mu11"]], [m["mu11"], m["mu02"]]]) / m["m00"] + 0.5 * np.eye(2)
    offset = np.array([x.mean(), y.mean()]) - centres[label]
    away = float(offset @ np.linalg.solve(spread, offset))
    return part, MIDDLE * float(np.log(deep + 0.02)) - OFFSET * away


def _depth(mask: BoolMask) -> FloatMap:
    """Distance to the nearest pixel that is not set, the picture's frame included."""
    framed = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


def _crossed(mask: BoolMask, mark: Mark, others: Sequence[Mark]) -> int:
    return sum(bool(mask[one.y, one.x].any()) for one in others if one.positive != mark.positive)


def _several(pool: Pool, index: int, holding: npt.NDArray[np.int64]) -> float:
    """How far a proposal is several alike things, in [0, 1]: it holds one at the mark, and another beside it
    of like size and looks."""
    inside = pool.common[:, index] > 0.8 * pool.area
    most = 0.0
    for one in holding.tolist():
        if one == index or not inside[one] or pool.area[one] > 0.6 * pool.area[index]:
            continue
        apart = pool.common[one] < 0.15 * np.minimum(pool.area, pool.area[one])
        like = np.minimum(pool.area / pool.area[one], pool.area[one] / pool.area)
        looks = np.maximum(pool.looks @ pool.looks[one], 0)
        siblings = np.where(inside & apart, np.clip((like - 0.3) / 0.4, 0, 1) * looks**2, 0)
        share = pool.score[one] / max(pool.score[one] + pool.score[index], 1e-9)
        most = max(most, float(siblings.max() * share))
    return most
