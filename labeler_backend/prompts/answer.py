"""From a prompt to its masks: the order of the steps, and nothing else.

The answer begins with nothing, or with the previous mask, and goes from mark to mark. A mark that is
satisfied changes nothing; one that is not moves the region it most likely means to the other side, and
nothing elsewhere. So the answer to a prompt is the same whether it came at once or click by click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from labeler_backend.masks.guided import apply, coefficients
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.boxes import boxed
from labeler_backend.prompts.prior import Region, regions, votes
from labeler_backend.prompts.reading import Mark, read
from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import Answer, Answered, FloatMap, Prompt
from labeler_backend.prompts.walk import PRIOR, SEED, walk

ANSWERS = 3
DOT = 0.004
"""Radius, as a share of the long side, of what a mark sets where the finished mask says otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The answer after some marks: (H, W) bool, its score, and the regions the last mark may mean."""

    mask: BoolMask
    score: float
    choice: tuple[Region, ...] = ()


def answer(scene: Scene, prompt: Prompt) -> Answer:
    """Masks for one prompt.

    Args:
        scene: the picture, from `prepare_scene`.
        prompt: in pixels of it; what cannot be used is told in the notes.
    """
    usable = read(prompt, scene.size)
    step = None if usable.previous is None else Step(usable.previous, 1.0)
    if usable.box is not None and step is None:
        soft = boxed(scene, usable.box)
        step = _finished(scene, soft, None, (), usable.box)
    done: list[Mark] = []
    for mark in usable.marks:
        if step is not None or mark.positive:
            step = _stepped(scene, step, mark, done)
        done.append(mark)
    if step is None:
        nothing = "Nothing says where the object is: give a positive point, a box or a scribble."
        return Answer((), (*usable.notes, nothing))
    found = [Answered(step.mask, step.score)]
    if len(usable.marks) == 1 and usable.previous is None and usable.box is None:
        found += _nested(scene, step, usable.marks[0])
    return Answer(tuple(found), usable.notes)


def _stepped(scene: Scene, before: Step | None, mark: Mark, done: Sequence[Mark]) -> Step:
    """One mark more."""
    if before is not None and (before.mask[mark.y, mark.x] == mark.positive).all():
        return replace(before, choice=())
    here, others = on_working_grid(scene, mark), [on_working_grid(scene, one) for one in done]
    now = np.zeros(scene.work, bool) if before is None else shrunk(scene, before.mask) > 0.5
    side = ~now if mark.positive else now.copy()
    side[here.y, here.x] = True
    found = regions(scene, here, side, others)
    wanted = votes(found)
    soft = np.maximum(now, wanted) if mark.positive else np.minimum(now, 1 - wanted)
    step = _finished(scene, _walked(scene, soft, [*others, here]), before, (*done, mark), None)
    return replace(step, choice=tuple(found))


def _walked(scene: Scene, soft: FloatMap, marks: Sequence[Mark]) -> FloatMap:
    prior, weight = np.asarray(soft, np.float32).copy(), np.full(soft.shape, PRIOR, np.float32)
    for mark in marks:
        prior[mark.y, mark.x] = mark.positive
        weight[mark.y, mark.x] = SEED
    return walk(scene, prior, weight)


def _finished(
    scene: Scene,
    soft: FloatMap,
    before: Step | None,
    marks: Sequence[Mark],
    box: tuple[int, int, int, int] | None,
) -> Step:
    """Working grid → pixels; changes stay connected to the last mark, and every mark is satisfied."""
    whole = (slice(0, scene.work[0]), slice(0, scene.work[1]))
    fine = apply(coefficients(scene.canvas.fine, soft, whole), scene.canvas.picture)
    size = (scene.size[1], scene.size[0])
    mask = cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR) > 0.5
    if box is not None:
        inside = np.zeros(scene.size, bool)
        inside[box[0] : box[2], box[1] : box[3]] = True
        mask &= inside
    mask = np.asarray(mask, bool)
    if marks:
        _dotted(mask, marks[-1:])
        mask = _connected(mask, before, marks[-1])
        _dotted(mask, marks)
    sure = np.abs(2 * soft - 1)[soft > 0.5]
    return Step(mask, float(sure.mean()) if sure.size else 0.0)


def _connected(mask: BoolMask, before: Step | None, mark: Mark) -> BoolMask:
    """Only what hangs together with the mark: of the mask, or of its change where there was one before."""
    change = mask if before is None else mask ^ before.mask
    _, labels = cv2.connectedComponents(change.view(np.uint8), connectivity=4 if before is None else 8)
    near = np.unique(labels[mark.y, mark.x])
    part = np.isin(labels, near[near > 0])
    return part if before is None else np.where(part, mask, before.mask)


def _dotted(mask: BoolMask, marks: Sequence[Mark]) -> None:
    """Sets, in place, a dot at each pixel of a mark that the mask does not satisfy."""
    radius = max(1, int(DOT * max(mask.shape)))
    for mark in marks:
        for x, y in zip(mark.x.tolist(), mark.y.tolist(), strict=True):
            if mask[y, x] != mark.positive:
                cv2.circle(mask.view(np.uint8), (x, y), radius, int(mark.positive), -1)
    for mark in marks:
        mask[mark.y, mark.x] = mark.positive


def _nested(scene: Scene, step: Step, mark: Mark) -> list[Answered]:
    """The likeliest region well inside the answer, and the likeliest well around it."""
    now = shrunk(scene, step.mask) > 0.5
    area = float(now.sum())
    found = []
    for inner in (True, False):
        nested = [
            one
            for one in step.choice
            if (one.mask.sum() < 0.6 * area if inner else one.mask.sum() > area / 0.6)
            and (one.mask & now).sum() > 0.8 * min(area, float(one.mask.sum()))
        ]
        if nested:
            best = max(nested, key=lambda one: one.value)
            soft = _walked(scene, best.mask.astype(np.float32), [on_working_grid(scene, mark)])
            other = _finished(scene, soft, None, (mark,), None)
            share = float(np.exp(min(0.0, best.value - max(one.value for one in step.choice))))
            found.append(Answered(other.mask, step.score * share))
    return sorted(found, key=lambda one: -one.score)[: ANSWERS - 1]


def on_working_grid(scene: Scene, mark: Mark) -> Mark:
    """The same mark on the working grid."""
    (height, width), (h, w) = scene.size, scene.work
    return Mark(mark.x * w // width, mark.y * h // height, mark.positive)


def shrunk(scene: Scene, mask: BoolMask) -> FloatMap:
    """(H, W) bool → (h, w), how much of each working pixel it covers."""
    small = cv2.resize(mask.astype(np.float32), (scene.work[1], scene.work[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)
