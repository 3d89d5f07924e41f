"""What of a prompt can be used, and what is said of the rest."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labeler_backend.prompts.reading import STROKE_PIXELS, read
from labeler_backend.prompts.types import Box, Point, Prompt, Scribble

SIZE = (30, 40)
Click = tuple[int, int, bool]


def clicks(prompt: Prompt) -> list[Click]:
    return [(int(m.x[0]), int(m.y[0]), m.positive) for m in read(prompt, SIZE).marks]


@pytest.mark.parametrize(
    ("points", "marks", "note"),
    [
        pytest.param([Point(3.9, 7.2)], [(3, 7, True)], None, id="the-pixel-that-holds-it"),
        pytest.param([Point(40, 30)], [(39, 29, True)], None, id="on-the-far-corner"),
        pytest.param([Point(-5, 99, False)], [(0, 29, False)], "outside the image", id="outside-is-moved"),
        pytest.param([Point(math.nan, 2)], [], "not a place", id="nan"),
        pytest.param([Point(math.inf, 2)], [], "not a place", id="infinite"),
        pytest.param(
            [Point(5, 5), Point(9, 9), Point(5.5, 5.5, False)],
            [(9, 9, True), (5, 5, False)],
            "clicked as object and as not",
            id="both-at-one-pixel-the-later-counts",
        ),
        pytest.param([Point(5, 5), Point(5, 5)], [(5, 5, True)], None, id="twice-is-once"),
    ],
)
def test_points(points: list[Point], marks: list[Click], note: str | None) -> None:
    prompt = Prompt(tuple(points))
    assert clicks(prompt) == marks
    notes = read(prompt, SIZE).notes
    assert len(notes) == (note is not None)
    assert all(note is not None and note in one for one in notes)


@pytest.mark.parametrize(
    ("box", "found", "note"),
    [
        pytest.param(Box(2, 3, 10, 12), (3, 2, 12, 10), None, id="plain"),
        pytest.param(Box(2.5, 3.5, 10.5, 12.5), (3, 2, 13, 11), None, id="whole-pixels-around-it"),
        pytest.param(Box(10, 12, 2, 3), (3, 2, 12, 10), "other way round", id="inverted"),
        pytest.param(Box(-9, -9, 99, 99), (0, 0, 30, 40), None, id="past-the-frame-is-cut"),
        pytest.param(Box(5, 5, 5, 20), None, "holds nothing", id="empty"),
        pytest.param(Box(50, 50, 60, 60), None, "holds nothing", id="beside-the-image"),
        pytest.param(Box(0, math.nan, 5, 5), None, "not a place", id="nan"),
    ],
)
def test_boxes(box: Box, found: tuple[int, ...] | None, note: str | None) -> None:
    usable = read(Prompt(boxes=(Box(0, 0, 1, 1), box)), SIZE)
    assert usable.box == found
    assert [note in one for one in usable.notes if note] == ([True] if note else [])


def test_a_long_scribble_is_some_of_its_pixels_and_one_pixel_is_one() -> None:
    long, short = np.ones(SIZE, bool), np.zeros(SIZE, bool)
    short[4, 6] = True
    prompt = Prompt(scribbles=(Scribble(long), Scribble(short, False)))
    many, one = read(prompt, SIZE).marks
    assert len(many.x) == STROKE_PIXELS
    assert (one.x.tolist(), one.y.tolist(), one.positive) == ([6], [4], False)


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        pytest.param(Prompt(scribbles=(Scribble(np.zeros(SIZE, bool)),)), "is empty", id="empty-scribble"),
        pytest.param(Prompt(scribbles=(Scribble(np.ones((3, 4), bool)),)), "4×3 pixels", id="scribble-size"),
        pytest.param(Prompt(previous=np.ones((3, 4), bool)), "4×3 pixels", id="previous-size"),
    ],
)
def test_masks_that_do_not_fit_are_told(prompt: Prompt, note: str) -> None:
    usable = read(prompt, SIZE)
    assert (usable.marks, usable.previous) == ((), None)
    assert note in usable.notes[0]
