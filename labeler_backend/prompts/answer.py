"""From a prompt to its masks: the order of the steps, and nothing else.

The answer begins with nothing, or with the previous mask, and goes from mark to mark. A mark that is
satisfied changes nothing; one that is not moves the region it most likely means to the other side, and
nothing elsewhere. So the answer to a prompt is the same whether it came at once or click by click.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labeler_backend.boxes import ellipse_in
from labeler_backend.masks.guided import Window
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.boxes import boxed
from labeler_backend.prompts.drawing import on_working_grid, shrunk, to_pixels
from labeler_backend.prompts.looks import sharpened
from labeler_backend.prompts.prior import FIRST_TEMPERATURE, TEMPERATURE, Region, regions, votes
from labeler_backend.prompts.reading import Mark, read
from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import Answer, Answered, FloatMap, Prompt
from labeler_backend.prompts.walk import PRIOR, SEED, walk
from labeler_backend.prompts.zoom import zoom_window

CHANGED = 0.1
"""Share of the votes from which on a working pixel may be part of a change."""

Enlarged = Callable[[Window], Scene]
"""A window of the picture → the scene of that part alone, looked at by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The answer after some marks.

    Attributes:
        mask: (H, W) bool.
        score: in [0, 1].
        choice: the regions that the last mark may mean, on the working grid of what was looked at.
        window: what was looked at enlarged, or None.
    """

    mask: BoolMask
    score: float
    choice: tuple[Region, ...] = ()
    window: Window | None = None


def answer(scene: Scene, prompt: Prompt, enlarged: Enlarged | None = None) -> Answer:
    """Masks for one prompt.

    Args:
        scene: the picture, from `prepare_scene`.
        prompt: in pixels of it; what cannot be used is told in the notes.
        enlarged: looks at a part of the picture a second time; None = small objects are answered from the
            whole picture too.
    """
    usable = read(prompt, scene.size)
    step = None if usable.previous is None else Step(usable.previous, 1.0)
    if usable.box is not None and step is None:
        step = _from_box(scene, usable.box, enlarged)
    window = step.window if step is not None else None
    done: list[Mark] = []
    for mark in usable.marks:
        if step is not None or mark.positive:
            step = _stepped(scene, step, mark, done, enlarged)
            window = step.window or window
        done.append(mark)
    if step is None:
        nothing = "Nothing says where the object is: give a positive point, a box or a scribble."
        return Answer((), (*usable.notes, nothing))
    found = [Answered(step.mask, step.score)]
    if len(usable.marks) == 1 and usable.previous is None and usable.box is None:
        found += _nested(scene, step, usable.marks[0], enlarged)
    return Answer(tuple(found), usable.notes, window)


def _stepped(
    scene: Scene, before: Step | None, mark: Mark, done: Sequence[Mark], enlarged: Enlarged | None
) -> Step:
    """One mark more: on the whole picture first where nothing is known yet, then enlarged if it is small."""
    if before is not None and (before.mask[mark.y, mark.x] == mark.positive).all():
        return replace(before, choice=())
    if before is None:
        first = _moved(scene, None, mark, done)
        known = first.mask
    else:
        known = before.mask.copy()
        known[mark.y, mark.x] = True
    window = zoom_window(known) if enlarged is not None else None
    if window is None or enlarged is None:
        return first if before is None else _moved(scene, before, mark, done)
    part = None if before is None else Step(np.ascontiguousarray(before.mask[window]), before.score)
    inside = [moved for one in done if (moved := _within(one, window)) is not None]
    here = _within(mark, window)
    assert here is not None  # the window holds what is known, the mark with it
    step = _moved(enlarged(window), part, here, inside)
    return replace(
        step, mask=_placed(step.mask, window, None if before is None else before.mask, scene), window=window
    )


def _moved(scene: Scene, before: Step | None, mark: Mark, done: Sequence[Mark]) -> Step:
    """What the mark means moves to its side."""
    here, others = on_working_grid(scene, mark), [on_working_grid(scene, one) for one in done]
    now = np.zeros(scene.work, bool) if before is None else shrunk(scene, before.mask) > 0.5
    side = ~now if mark.positive else now.copy()
    side[here.y, here.x] = True
    found = regions(scene, here, side, others)
    wanted = votes(found, FIRST_TEMPERATURE if before is None else TEMPERATURE)
    soft = np.maximum(now, wanted) if mark.positive else np.minimum(now, 1 - wanted)
    soft = sharpened(scene, np.asarray(soft, np.float32), wanted > CHANGED, first=before is None)
    soft = _walked(scene, soft, [*others, here])
    mask = to_pixels(scene, soft, None if before is None else before.mask, (*done, mark))
    return Step(mask, _sureness(soft), tuple(found))


def _walked(scene: Scene, soft: FloatMap, marks: Sequence[Mark]) -> FloatMap:
    prior, weight = soft.copy(), np.full(soft.shape, PRIOR, np.float32)
    for mark in marks:
        prior[mark.y, mark.x] = mark.positive
        weight[mark.y, mark.x] = SEED
    return walk(scene, prior, weight)


def _from_box(scene: Scene, box: tuple[int, int, int, int], enlarged: Enlarged | None) -> Step:
    """What is in a box; where nothing is told from the ground its ellipse: it was drawn around something."""
    y0, x0, y1, x1 = box
    inside = np.zeros(scene.size, bool)
    inside[y0:y1, x0:x1] = True
    window = zoom_window(inside) if enlarged is not None else None
    if window is None or enlarged is None:
        soft = boxed(scene, box)
        mask = to_pixels(scene, soft, None, ()) & inside
    else:
        top, left = window[0].start, window[1].start
        near, part = (y0 - top, x0 - left, y1 - top, x1 - left), enlarged(window)
        soft = boxed(part, near)
        mask = _placed(to_pixels(part, soft, None, ()), window, None, scene) & inside
    return Step(
        mask if mask.any() else ellipse_in((x0, y0, x1 - x0, y1 - y0), scene.size),
        _sureness(soft),
        (),
        window,
    )


def _nested(scene: Scene, step: Step, mark: Mark, enlarged: Enlarged | None) -> list[Answered]:
    """The likeliest region well inside the answer, and the likeliest well around it."""
    seen, here, mask = scene, mark, step.mask
    if step.window is not None and enlarged is not None:
        seen, mask = enlarged(step.window), np.ascontiguousarray(step.mask[step.window])
        here = _within(mark, step.window) or mark
    now = shrunk(seen, mask) > 0.5
    area, top = float(now.sum()), max(one.value for one in step.choice)
    found = []
    for inner in (True, False):
        nested = [one for one in step.choice if _is_nested(one.mask, now, area, inner)]
        if nested:
            best = max(nested, key=lambda one: one.value)
            soft = _walked(seen, best.mask.astype(np.float32), [on_working_grid(seen, here)])
            other = to_pixels(seen, soft, None, (here,))
            if step.window is not None:
                other = _placed(other, step.window, None, scene)
            found.append(Answered(other, step.score * float(np.exp(best.value - top))))
    return sorted(found, key=lambda one: -one.score)


def _is_nested(mask: BoolMask, now: BoolMask, area: float, inner: bool) -> bool:
    """Clearly smaller and inside, or clearly larger and around."""
    own = float(mask.sum())
    fits = own < 0.6 * area if inner else own > area / 0.6
    return fits and float((mask & now).sum()) > 0.8 * min(area, own)


def _sureness(soft: FloatMap) -> float:
    inside = soft > 0.5
    return float(np.abs(2 * soft - 1)[inside].mean()) if inside.any() else 0.0


def _within(mark: Mark, window: Window) -> Mark | None:
    """A mark on a part of the picture; None where nothing of it lies there."""
    rows, columns = window
    kept = (mark.y >= rows.start) & (mark.y < rows.stop) & (mark.x >= columns.start) & (mark.x < columns.stop)
    return (
        Mark(mark.x[kept] - columns.start, mark.y[kept] - rows.start, mark.positive) if kept.any() else None
    )


def _placed(part: BoolMask, window: Window, before: BoolMask | None, scene: Scene) -> BoolMask:
    """What was answered for a part, in the whole picture."""
    mask = np.zeros(scene.size, bool) if before is None else before.copy()
    mask[window] = part
    return mask
