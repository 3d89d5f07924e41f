"""Learning curves as small multiples, one panel for each data set, with Pillow and its own font.

The same picture wherever it is drawn: no font of the system, no browser. That font has ASCII and little else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from benchmarks.learning_results import Point

WIDTH, HEIGHT = 240, 208
"""Of a panel, in the documentation's pixels: three side by side are as wide as its text."""
SHARP = 2
"""Pixels of the picture per pixel of the documentation, for screens that have more of them."""
SCALE = 2 * SHARP  # drawn larger, then made smaller: Pillow draws lines with steps
LEFT, RIGHT, TOP, BOTTOM = 38, 14, 44, 38
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
INK, SOFT, LINE = "#1d1f24", "#5c6069", "#e3e1db"


@dataclass(frozen=True)
class Style:
    """How a method is drawn.

    Colours are those of Okabe and Ito (2008), which colour-blind people tell apart; shapes help them too.

    Attributes:
        words: in the legend, and above the table's column.
        color: as #rrggbb.
        shape: of its points; none for a dashed line without points.
    """

    words: str
    color: str
    shape: str


STYLES = {
    "ours": Style("ours", "#0072b2", "circle"),
    "logistic": Style("logistic regression", "#d55e00", "square"),
    "knn": Style("nearest neighbours", "#009e73", "triangle"),
    "forest": Style("random forest", "#cc79a7", "diamond"),
    "nothing": Style("no training", "#5c6069", ""),
}


@dataclass(frozen=True)
class Panel:
    """One figure of one data set: method → points by number of images."""

    title: str
    words: str
    curves: Mapping[str, Sequence[Point]]


@dataclass(frozen=True)
class Axes:
    """Images (log scale) and values → pixels of the picture, in a panel whose corner is at (left, top)."""

    left: float
    top: float
    images: tuple[float, float]
    values: tuple[float, float]

    def x(self, images: float) -> float:
        """Where a number of images is."""
        low, high = (math.log(n) for n in self.images)
        return self.left + LEFT + (math.log(images) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value is."""
        low, high = self.values
        return self.top + HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def draw(panels: Sequence[Panel]) -> Image.Image:
    """All panels and, as the last of them, the legend, where it covers no line. White, RGB."""
    columns = min(2 if len(panels) == 3 else 3, len(panels) + 1)
    rows = math.ceil((len(panels) + 1) / columns)
    picture = Image.new("RGB", (columns * WIDTH * SCALE, rows * HEIGHT * SCALE), "white")
    pen = Pen(ImageDraw.Draw(picture, "RGBA"))  # RGBA: bands are blended
    images = _range([point.images for panel in panels for one in panel.curves.values() for point in one])
    for place, panel in enumerate(panels):
        _panel(pen, panel, (place % columns * WIDTH, place // columns * HEIGHT), images)
    _legend(pen, panels, (len(panels) % columns * WIDTH, len(panels) // columns * HEIGHT))
    return picture.resize((columns * WIDTH * SHARP, rows * HEIGHT * SHARP), Image.Resampling.LANCZOS)


def value_ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers, from at most `low` to at least `high`, both within [0, 1]."""
    for step in (0.01, 0.02, 0.05, 0.1, 0.2):
        first = math.floor(low / step + 1e-9)
        last = max(math.ceil(high / step - 1e-9), first + 1)
        if last - first <= 5:
            break
    if last * step > 1 + 1e-9:
        first, last = first - 1, last - 1
    if last - first == 1:  # values that hardly differ
        first, last = (first - 1, last) if first else (first, last + 1)
    return [round(n * step, 2) for n in range(first, last + 1)]


@dataclass(frozen=True)
class Pen:
    """Draws in the documentation's pixels."""

    canvas: ImageDraw.ImageDraw

    def line(self, points: Sequence[tuple[float, float]], color: str, width: float) -> None:
        """A line through all points."""
        scaled = [(SCALE * x, SCALE * y) for x, y in points]
        self.canvas.line(scaled, fill=color, width=round(SCALE * width), joint="curve")

    def dashes(self, points: Sequence[tuple[float, float]], color: str, width: float) -> None:
        """A line with gaps of its own length's share, dash by dash."""
        for (x0, y0), (x1, y1) in pairwise(points):
            count = max(1, round(math.hypot(x1 - x0, y1 - y0) / 7))
            for n in range(count):
                a, b = n / count, (n + 0.6) / count
                ends = [(x0 + t * (x1 - x0), y0 + t * (y1 - y0)) for t in (a, b)]
                self.line(ends, color, width)

    def area(self, points: Sequence[tuple[float, float]], color: str) -> None:
        """A filled polygon; `color` may have a fourth part, its opacity."""
        self.canvas.polygon([(SCALE * x, SCALE * y) for x, y in points], fill=color)

    def text(self, at: tuple[float, float], text: str, size: float, color: str, anchor: str) -> None:
        """`anchor` as in Pillow: l, m, r and a, m, s."""
        font = ImageFont.load_default(SCALE * size)
        self.canvas.text((SCALE * at[0], SCALE * at[1]), text, color, font, anchor)

    def mark(self, at: tuple[float, float], style: Style, radius: float) -> None:
        """The shape of a method, with a white edge that parts it from lines behind."""
        for size, color in ((radius + 1, "white"), (radius, style.color)):
            self.area([(at[0] + size * x, at[1] + size * y) for x, y in _SHAPES[style.shape]], color)


_SHAPES = {
    "circle": [(math.cos(n * math.pi / 24), math.sin(n * math.pi / 24)) for n in range(48)],
    "square": [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
    "triangle": [(0.0, -1.25), (1.1, 0.8), (-1.1, 0.8)],
    "diamond": [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
}


def _range(images: Sequence[int]) -> tuple[float, float]:
    """From the fewest to the most; where that is one number, it is in the middle."""
    low, high = min(images), max(images)
    return (low, high) if low < high else (low / 2, high * 2)


def _panel(pen: Pen, panel: Panel, corner: tuple[float, float], images: tuple[float, float]) -> None:
    points = [point for one in panel.curves.values() for point in one]
    ticks = value_ticks(min(p.low for p in points), max(p.high for p in points))
    axes = Axes(*corner, images, (ticks[0], ticks[-1]))
    _frame(pen, axes, ticks)
    pen.text((axes.left + 8, axes.top + 17), panel.title, 13.5, INK, "ls")
    pen.text((axes.left + 8, axes.top + 32), panel.words, 11.5, SOFT, "ls")
    drawn = [name for name in reversed(STYLES) if name in panel.curves]  # ours last, on top
    for name in drawn:
        _band(pen, axes, STYLES[name], panel.curves[name])
    for name in drawn:
        _curve(pen, axes, STYLES[name], panel.curves[name])


def _frame(pen: Pen, axes: Axes, ticks: Sequence[float]) -> None:
    """Grid, and what stands at both axes."""
    left, right = axes.left + LEFT, axes.left + WIDTH - RIGHT
    digits = 1 if all(round(tick, 1) == tick for tick in ticks) else 2
    for tick in ticks:
        pen.line([(left, axes.y(tick)), (right, axes.y(tick))], LINE, 1)
        pen.text((left - 7, axes.y(tick)), f"{tick:.{digits}f}", 11, SOFT, "rm")
    bottom = axes.y(ticks[0])
    low, high = axes.images
    for images in [n for n in TICKS if low <= n <= high] or [round(low), round(high)]:
        pen.line([(axes.x(images), bottom), (axes.x(images), bottom + 4)], SOFT, 1)
        pen.text((axes.x(images), bottom + 8), str(images), 11, SOFT, "ma")
    pen.text(((left + right) / 2, bottom + 21), "accepted images", 11, SOFT, "ma")


def _band(pen: Pen, axes: Axes, style: Style, points: Sequence[Point]) -> None:
    """From the least to the most of the seeds."""
    if len(points) > 1 and any(point.seeds > 1 for point in points):
        edge = [(axes.x(p.images), axes.y(p.high)) for p in points]
        pen.area([*edge, *((axes.x(p.images), axes.y(p.low)) for p in reversed(points))], style.color + "33")


def _curve(pen: Pen, axes: Axes, style: Style, points: Sequence[Point]) -> None:
    places = [(axes.x(point.images), axes.y(point.mean)) for point in points]
    if not style.shape:
        (x0, y0), (x1, y1) = places[0], places[-1]
        # alone, it still has to be seen
        pen.dashes(places if len(places) > 1 else [(x0 - 6, y0), (x1 + 6, y1)], style.color, 1.6)
        return
    width = 2.4 if style is STYLES["ours"] else 1.6
    if len(places) > 1:
        pen.line(places, style.color, width)
    for place in places:
        pen.mark(place, style, 1.4 + width)


def _legend(pen: Pen, panels: Sequence[Panel], corner: tuple[float, float]) -> None:
    left, top = corner[0] + 26, corner[1] + TOP + 4
    used = [name for name in STYLES if any(name in panel.curves for panel in panels)]
    for place, name in enumerate(used):
        style, y = STYLES[name], top + 19 * place
        width = 2.4 if name == "ours" else 1.6
        (pen.line if style.shape else pen.dashes)([(left, y), (left + 28, y)], style.color, width)
        if style.shape:
            pen.mark((left + 14, y), style, 1.4 + width)
        pen.text((left + 38, y), style.words, 12, INK, "lm")
    seeds = {p.seeds for panel in panels for one in panel.curves.values() for p in one}
    several = f"{min(seeds)} to {max(seeds)}" if len(seeds) > 1 else str(max(seeds))
    notes = [f"Lines: mean over {several} seeds", "Bands: lowest to highest seed"]
    for place, note in enumerate(notes if max(seeds) > 1 else ["One seed"]):
        pen.text((left, top + 19 * len(used) + 10 + 15 * place), note, 11, SOFT, "lm")
