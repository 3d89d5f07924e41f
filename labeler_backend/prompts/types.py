"""What somebody points at, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labeler_backend.masks.rle import BoolMask

FloatMap = npt.NDArray[np.float32]


class Point(NamedTuple):
    """A click: x to the right and y down in pixels of the upright image; on the object or not."""

    x: float
    y: float
    positive: bool = True


class Box(NamedTuple):
    """Two corners in pixels of the upright image, the object inside."""

    x0: float
    y0: float
    x1: float
    y1: float


class Scribble(NamedTuple):
    """A brush stroke: (H, W) bool, all of it on the object or none of it."""

    mask: BoolMask
    positive: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """All that is known of one object; whoever asks again for it sends it all again.

    Attributes:
        points: clicks, in the order they were made.
        boxes: the last one counts.
        scribbles: after the clicks.
        previous: (H, W) bool, the answer so far. What in the prompt it already satisfies changes nothing.
            None = begin with nothing and go through the whole prompt in order, which gives the same.
    """

    points: tuple[Point, ...] = ()
    boxes: tuple[Box, ...] = ()
    scribbles: tuple[Scribble, ...] = ()
    previous: BoolMask | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """One mask for a prompt.

    Attributes:
        mask: (H, W) bool; every usable point of the prompt is on the side it asks for.
        score: in [0, 1], how much of what was found agrees on it.
    """

    mask: BoolMask
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a prompt gives.

    Attributes:
        found: up to three, the best first; the others are nested in it or around it: its part, its group.
            Empty where nothing in the prompt says where the object is.
        notes: sentences on what in the prompt could not be used.
        window: rows and columns of the picture that were looked at a second time, enlarged, or None.
    """

    found: tuple[Answered, ...]
    notes: tuple[str, ...] = ()
    window: tuple[slice, slice] | None = None
