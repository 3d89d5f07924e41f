"""From a prompt as it was sent to marks that can be worked with; what cannot be used is told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.types import Box, Point, Prompt

STROKE_PIXELS = 64
"""So many pixels of a scribble, evenly along its rows, stand for all of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One action of the labeler: a click, or a scribble.

    Attributes:
        x, y: (n,) int64 pixels, at least one.
        positive: on the object.
    """

    x: npt.NDArray[np.int64]
    y: npt.NDArray[np.int64]
    positive: bool


@dataclass(frozen=True, slots=True, eq=False)
class Usable:
    """What of a prompt can be used.

    Attributes:
        box: y0, x0, y1, x1 in whole pixels, the last two excluded; or None.
        marks: in the order of the prompt.
        previous: (H, W) bool or None.
        notes: sentences on the rest.
    """

    box: tuple[int, int, int, int] | None
    marks: tuple[Mark, ...]
    previous: BoolMask | None
    notes: tuple[str, ...]


def read(prompt: Prompt, size: tuple[int, int]) -> Usable:
    """A prompt on an image of `size` (H, W), checked.

    Points past the frame move to its nearest pixel; of a positive and a negative one on the same pixel the
    later counts.
    """
    notes: list[str] = []
    clicks = list(_clicks(prompt.points, size, notes))
    strokes = list(_strokes(prompt, size, notes))
    box = _box(prompt.boxes[-1], size, notes) if prompt.boxes else None
    previous = prompt.previous
    if previous is not None and previous.shape != size:
        notes.append(f"The previous mask is {_sized(previous.shape)} and the image {_sized(size)}: left out.")
        previous = None
    if previous is not None and not previous.any():
        previous = None
    return Usable(box, tuple(clicks + strokes), previous, tuple(notes))


def _sized(shape: Sequence[int]) -> str:
    return f"{shape[1]}×{shape[0]} pixels"


def _clicks(points: Sequence[Point], size: tuple[int, int], notes: list[str]) -> Iterator[Mark]:
    placed: dict[tuple[int, int], bool] = {}
    for x, y, positive in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            notes.append(f"Point {x},{y} is not a place: left out.")
            continue
        row, column = min(max(math.floor(y), 0), size[0] - 1), min(max(math.floor(x), 0), size[1] - 1)
        if not (0 <= y <= size[0] and 0 <= x <= size[1]):
            notes.append(f"Point {x:g},{y:g} is outside the image ({_sized(size)}): moved to {column},{row}.")
        if placed.pop((row, column), positive) != positive:
            notes.append(f"Pixel {column},{row} is clicked as object and as not: the later click counts.")
        placed[row, column] = positive
    for (row, column), positive in placed.items():
        yield Mark(np.array([column]), np.array([row]), positive)


def _strokes(prompt: Prompt, size: tuple[int, int], notes: list[str]) -> Iterator[Mark]:
    for number, (mask, positive) in enumerate(prompt.scribbles, start=1):
        if mask.shape != size:
            notes.append(f"Scribble {number} is {_sized(mask.shape)} and the image {_sized(size)}: left out.")
        elif not mask.any():
            notes.append(f"Scribble {number} is empty: left out.")
        else:
            rows, columns = np.nonzero(mask)
            some = np.unique(np.linspace(0, len(rows) - 1, STROKE_PIXELS).astype(np.int64))
            yield Mark(columns[some], rows[some], positive)


def _box(box: Box, size: tuple[int, int], notes: list[str]) -> tuple[int, int, int, int] | None:
    named = ",".join(f"{side:g}" for side in box)
    if not all(math.isfinite(side) for side in box):
        notes.append(f"Box {named} is not a place: left out.")
        return None
    x0, x1 = sorted((box.x0, box.x1))
    y0, y1 = sorted((box.y0, box.y1))
    if (x0, y0) != (box.x0, box.y0):
        notes.append(f"Box {named} has its corners the other way round: they are swapped.")
    top, bottom = max(0, math.floor(y0)), min(size[0], math.ceil(y1))
    left, right = max(0, math.floor(x0)), min(size[1], math.ceil(x1))
    if bottom - top < 2 or right - left < 2:
        notes.append(f"Box {named} holds nothing of the image ({_sized(size)}): left out.")
        return None
    return top, left, bottom, right
