"""Records made for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from labeler_backend.masks.rle import BoolMask, encode
from labeler_backend.masks.shape import Polygons
from labeler_backend.records import Instance, Problem, Record, VideoRecord

SIZE = (60, 80)


def grid(size: tuple[int, int] = SIZE) -> tuple[Any, Any]:
    """x and y of every pixel's centre."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return x, y


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> BoolMask:
    across, down = grid(size)
    inside: BoolMask = (across - x) ** 2 + (down - y) ** 2 < radius**2
    return inside


def polygon(*corners: tuple[float, float], size: tuple[int, int] = SIZE) -> Polygons:
    return Polygons((np.array(corners, np.float64),), size)


def square(x: float, y: float, side: float, size: tuple[int, int] = SIZE) -> Polygons:
    return polygon((x, y), (x + side, y), (x + side, y + side), (x, y + side), size=size)


RING = disc(40, 30, 20) & ~disc(40, 30, 8)
BLOBS = disc(15, 15, 9) | disc(60, 45, 10)


def record(*instances: Instance, number: int = 1, name: str = "a.jpg", **further: Any) -> Record:
    return Record(number, name, further.pop("size", SIZE), instances, task_id=number, **further)


def painted(mask: BoolMask, label: str | None = "car", **further: Any) -> Instance:
    return Instance(encode(mask), label, **further)


VIDEO = VideoRecord(9, "clip.mp4", SIZE, 10, 25.0, ())


def told() -> tuple[list[Problem], Any]:
    problems: list[Problem] = []
    return problems, problems.append


@st.composite
def star_polygons(draw: st.DrawFn, size: tuple[int, int] = (200, 300)) -> Polygons:
    """Rings around a point, each corner at its own distance: valid, of any size, within the image."""
    corners = draw(st.integers(3, 30))
    radii = draw(st.lists(st.floats(2, 90), min_size=corners, max_size=corners))
    turn = draw(st.floats(0, 6))
    x, y = draw(st.floats(95, size[1] - 95)), draw(st.floats(95, size[0] - 95))
    angle = turn + np.arange(corners) * 2 * np.pi / corners
    ring = np.column_stack([x + np.array(radii) * np.cos(angle), y + np.array(radii) * np.sin(angle)])
    return Polygons((ring,), size)


@st.composite
def noisy_masks(draw: st.DrawFn) -> BoolMask:
    """Any pixels at all: holes in holes, blobs that touch at corners."""
    size = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    share = draw(st.sampled_from([0.1, 0.4, 0.6, 0.9, 1.0]))
    mask: BoolMask = np.random.default_rng(draw(st.integers(0, 2**32))).random(size) < share
    mask[draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))] = True
    return mask
