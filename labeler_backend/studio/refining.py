"""Which object a prompt means: a region that is there and changes, or a new one beside it.

With auto-accept on, a request has one click and nothing that says which object it belongs to. So:

- A negative click changes the smallest region that it lies in, one of the prompt's label before others. It
  never takes nearly all of it.
- A positive click, or a box, is first answered as if nothing were there. An answer that is much the same as a
  region takes its place if the click lies in it or a box was drawn; so does whatever is in a box around one.
- A positive click beside a region of its label adds to that region if it lies right at its border, if the
  answer is small beside it and touches it, or if the answer holds most of the region and the click, as a
  further one on it, adds less than half of it: then something of it was missing. What adds more is another
  object of the same kind, and the region is taken out of it.

Further clicks of the same prompt are taken on from there, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.types import Answer, Answered, Box, Point, Prompt
from labeler_backend.studio.canvas import Shown
from labeler_backend.studio.prompting import Pointing, box_of
from labeler_backend.studio.regions import shape_of

Click = Callable[[Prompt], Answer]

SAME = 0.5
"""IoU from which on an answer and a region are one object."""
BOXED = 0.75
"""IoU from which on a box was drawn around a region."""
HELD = 0.5
"""Share of a region that an answer holds from which on it takes in all of it."""
ADDED = 0.5
"""Of a region's area: up to so much more was missing, what adds more is another object."""
LEFT = 0.33
"""Share of a region; at least so much stays when something of it is clicked away."""
_ASKED = 2  # regions at most that are tried with a click: each takes as long as a click
CRUMB = 0.25
"""Of a region's area: what is smaller and touches it is a part of it."""
NEAR = 0.01
"""Of the picture's longer side: so near, a click is on the border of a region."""


@dataclass(frozen=True, slots=True, eq=False)
class Meant:
    """The object of a prompt.

    Attributes:
        mask: (H, W) bool; may be empty where everything was clicked away.
        score: in [0, 1].
        region: whose place it takes; None = a new one.
        first: (H, W) bool, the answer to its first mark, which names a new one whatever is clicked after it.
        renamed: whether it takes the prompt's label, where there is one.
    """

    mask: BoolMask
    score: float
    region: Shown | None
    first: BoolMask
    renamed: bool = True


def meant(
    pointing: Pointing, shown: Sequence[Shown], size: tuple[int, int], click: Click
) -> tuple[Meant | None, list[str]]:
    """The object that a prompt means, and sentences on what of the prompt could not be used.

    Args:
        pointing: the prompt.
        shown: the regions on its page.
        size: (H, W) of the picture.
        click: answers prompts on the picture.
    """
    points, box = pointing.points(size), pointing.box(size)
    if box is None and points and not points[0].positive:
        region = _around(points[0], shown, pointing.label)
        if region is not None:
            return _refined(region, points, click)
        if not any(point.positive for point in points):
            return None, ["A negative click lies in no region: click inside the one that is too large."]
    return _begun(pointing, points, box, shown, click)


def _around(point: Point, shown: Sequence[Shown], label: str | None) -> Shown | None:
    """The smallest region with a point in it, one of this label before others."""
    inside = [region for region in shown if region.distance(point.x, point.y) == 0]
    return min(inside, key=lambda region: (label not in region.labels, region.area), default=None)


def _refined(region: Shown, points: Sequence[Point], click: Click) -> tuple[Meant | None, list[str]]:
    """A region with clicks on it. A rectangle says where its object is, not what belongs to it."""
    boxed = shape_of(region.item["type"]) == "rectangle"
    boxes = (box_of(region.item["value"], region.size),) if boxed else ()
    previous = None if boxed else region.mask
    answer = click(Prompt(tuple(points), boxes, previous=previous))
    if answer.found and np.count_nonzero(answer.found[0].mask) < LEFT * region.area:
        anchor = _anchor(region, points[0])
        answer = click(Prompt((anchor, *points), boxes, previous=previous))
    if not answer.found:
        return None, list(answer.notes)
    best = answer.found[0]
    return Meant(best.mask, best.score, region, region.mask, points[0].positive), list(answer.notes)


def _anchor(region: Shown, away: Point) -> Point:
    """The place deepest in a region and far from a click: most likely on its object.

    The clicks that made the region are not known any more, and without one that is on the object a negative
    click may take all of it away.
    """
    deep = cv2.distanceTransform(np.pad(region.part.mask, 1).view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    top, left = region.part.window[0].start, region.part.window[1].start
    rows, columns = np.mgrid[: deep.shape[0], : deep.shape[1]]
    far = np.hypot(columns + left + 0.5 - away.x, rows + top + 0.5 - away.y)
    row, column = np.unravel_index(int(np.argmax(np.minimum(deep, far / 2))), deep.shape)
    return Point(float(left + column) + 0.5, float(top + row) + 0.5)


def _begun(
    pointing: Pointing, points: tuple[Point, ...], box: Box | None, shown: Sequence[Shown], click: Click
) -> tuple[Meant | None, list[str]]:
    """A prompt that begins with something positive."""
    start = next((n for n, point in enumerate(points) if point.positive), None)
    mark = points[start] if start is not None and box is None else None
    answer = click(Prompt(() if mark is None else (mark,), () if box is None else (box,)))
    said = list(answer.notes)
    if box is not None and not answer.found and start is not None:  # the box is no good, the points may be
        found, more = _begun(pointing, points, None, shown, click)
        return found, [*said, *more]
    if not answer.found:
        return None, said
    best = answer.found[0]
    region = _same(best.mask, mark, box, shown)
    if region is None and mark is not None:
        alike = [one for one in shown if pointing.label is None or pointing.label in one.labels]
        grown = _missing_from(best.mask, mark, alike, click)
        if grown is not None:
            return _refined(grown, points, click)
        best = _beside(best, mark, alike)
    if all(point is mark for point in points):
        return Meant(best.mask, best.score, region, best.mask), said
    last = click(Prompt(points, previous=best.mask))
    whole = last.found[0] if last.found else best
    return Meant(whole.mask, whole.score, region, best.mask), list(dict.fromkeys([*said, *last.notes]))


def _same(mask: BoolMask, mark: Point | None, box: Box | None, shown: Sequence[Shown]) -> Shown | None:
    """The region that an answer is another version of, by its mask or by the box that was drawn around it."""
    near = [one for one in shown if mark is None or one.distance(mark.x, mark.y) == 0]
    alike = [(one.iou(mask), 0.0 if box is None else _box_iou(one, box), one) for one in near]
    same = [
        (max(by_mask, by_box), one) for by_mask, by_box, one in alike if by_mask >= SAME or by_box >= BOXED
    ]
    return max(same, key=lambda pair: pair[0])[1] if same else None


def _box_iou(region: Shown, box: Box) -> float:
    """IoU of the box around a region and one that was drawn."""
    rows, columns = (np.flatnonzero(region.part.mask.any(axis=axis)) for axis in (1, 0))
    top, left = region.part.window[0].start, region.part.window[1].start
    y0, y1, x0, x1 = top + rows[0], top + rows[-1] + 1, left + columns[0], left + columns[-1] + 1
    width, height = (max(0.0, b - a) for a, b in ((box.x0, box.x1), (box.y0, box.y1)))
    across = max(0.0, min(x1, box.x1) - max(x0, box.x0))
    down = max(0.0, min(y1, box.y1) - max(y0, box.y0))
    together = (x1 - x0) * (y1 - y0) + width * height - across * down
    return float(across * down / together) if together else 0.0


def _missing_from(mask: BoolMask, mark: Point, shown: Sequence[Shown], click: Click) -> Shown | None:
    """The region beside a click that lacks what was clicked; `mask` answers the click alone."""
    by_distance = sorted(((one.distance(mark.x, mark.y), one) for one in shown), key=lambda pair: pair[0])
    beside = [(far, one) for far, one in by_distance if far > 0]
    near = NEAR * max(mask.shape)
    if beside and beside[0][0] <= near:
        return beside[0][1]
    crumb = next((one for _, one in beside if _is_crumb(mask, one, near)), None)
    if crumb is not None:
        return crumb
    held = [one for _, one in beside if one.common(mask) >= HELD * one.area]
    return next((one for one in held[:_ASKED] if _added(one, mark, click) <= ADDED * one.area), None)


def _is_crumb(mask: BoolMask, region: Shown, near: float) -> bool:
    """Whether an answer is small beside a region and touches it."""
    if np.count_nonzero(mask) > CRUMB * region.area:
        return False
    margin = round(near)
    (rows, columns), size = region.part.window, region.size
    window = (
        slice(max(0, rows.start - margin), min(size[0], rows.stop + margin)),
        slice(max(0, columns.start - margin), min(size[1], columns.stop + margin)),
    )
    away = cv2.distanceTransform((~region.mask[window]).view(np.uint8), cv2.DIST_L2, 3)
    return bool((mask[window] & (away <= near)).any())


def _added(region: Shown, mark: Point, click: Click) -> int:
    """By how many pixels a click makes a region larger."""
    answer = click(Prompt((mark,), previous=region.mask))
    return int(np.count_nonzero(answer.found[0].mask)) - region.area if answer.found else 0


def _beside(best: Answered, mark: Point, shown: Sequence[Shown]) -> Answered:
    """Without the regions that an answer would swallow; what still holds the click."""
    mask = best.mask.copy()
    for one in shown:
        if one.distance(mark.x, mark.y) > 0 and one.common(best.mask) >= HELD * one.area:
            mask[one.part.window] &= ~one.part.mask
    if (mask == best.mask).all():
        return best
    row = min(max(int(mark.y), 0), mask.shape[0] - 1)
    column = min(max(int(mark.x), 0), mask.shape[1] - 1)
    blobs = cv2.connectedComponents(mask.view(np.uint8), connectivity=4)[1]
    return Answered(blobs == blobs[row, column], best.score) if mask[row, column] else best
