"""Shapes, tracks and data sets of these tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from shapely.geometry import MultiPoint

from exporters.categories import Categories
from exporters.writer import Options
from labeler_backend.masks.rle import BoolMask, encode
from labeler_backend.masks.shape import Polygons, Shape, to_mask
from labeler_backend.records import Problem, Record, Track, VideoRecord

SIZE = (40, 60)  # H, W: not square, so that mixed-up axes show


def box(x: float, y: float, w: float, h: float, size: tuple[int, int] = SIZE) -> Polygons:
    """An upright box as a polygon."""
    return Polygons((np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64),), size)


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> BoolMask:
    """The pixels whose centres lie within a circle, which must not be none."""
    rows, columns = np.mgrid[0.5 : size[0], 0.5 : size[1]]
    mask: BoolMask = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    assert mask.any()
    return mask


@dataclass
class Made:
    """A data set as it was written, and what was told on the way."""

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    told: list[Problem] = field(default_factory=list)
    pictures: list[Path | None] = field(default_factory=list)

    @property
    def done(self) -> list[str]:
        """What became of each problem."""
        return [problem.done for problem in self.told]


def write(
    writer: Any,
    folder: Path,
    records: Iterable[Record | VideoRecord | tuple[Record | VideoRecord, str]],
    categories: Categories | None = None,
    **options: Any,
) -> Made:
    """Feeds a writer's class; a record may come with its split."""
    made = Made(folder)
    folder.mkdir(parents=True, exist_ok=True)
    dataset = writer(folder, categories or Categories(), Options(**options), made.told.append)
    try:
        for item in records:
            record, split = item if isinstance(item, tuple) else (item, None)
            made.pictures.append(dataset.picture_path(record, split))
            dataset.add(record, split)
        made.counts = dataset.finish()
    finally:
        dataset.close()
    return made


@st.composite
def shapes(draw: st.DrawFn, size: tuple[int, int] = SIZE) -> Shape:
    """An upright box, a convex polygon, or any mask at all; of at least one pixel."""
    kind = draw(st.sampled_from(["box", "polygon", "mask"]))
    if kind == "mask":
        mask = np.random.default_rng(draw(st.integers(0, 999))).random(size) < draw(st.floats(0.01, 0.99))
        mask[draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))] = True
        return encode(mask)
    x, y = draw(st.floats(0, size[1] - 2)), draw(st.floats(0, size[0] - 2))
    w, h = draw(st.floats(1.01, size[1] - x)), draw(st.floats(1.01, size[0] - y))
    if kind == "box":
        return box(x, y, w, h, size)
    corners = draw(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6))
    hull = MultiPoint([(x + u * w, y + v * h) for u, v in [*corners, (0, 0), (1, 0.5), (0.2, 1)]]).convex_hull
    polygon = Polygons((np.asarray(hull.exterior.coords)[:-1].clip(0, size[::-1]),), size)
    assume(to_mask(polygon).any())
    return polygon


@st.composite
def videos(draw: st.DrawFn, video_id: int = 1) -> VideoRecord:
    """A video of a few frames with a few tracks."""
    count = draw(st.integers(1, 6))
    ids = draw(st.lists(st.sampled_from(["1", "2", "7", "a", "Ω b"]), unique=True, max_size=4))
    tracks = tuple(
        Track(
            name,
            draw(st.sampled_from(["car", "dog", None])),
            draw(st.dictionaries(st.integers(0, count - 1), shapes(), min_size=1)),
        )
        for name in ids
    )
    return VideoRecord(video_id, f"clips/{video_id} é.mp4", SIZE, count, 25.0, tracks)
