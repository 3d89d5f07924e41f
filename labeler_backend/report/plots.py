"""Small plots as SVG: no library, no script; colours are the page's, so that they follow its theme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 34, 34
_WIDEST_BAR = 90
_LABELS = 12  # the most along the x axis
_CHARACTER = 7.0  # pixels of one, about


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot.

    Attributes:
        name: for screen readers and the pointer's tip.
        color: class of the line, which the page's style gives its colour.
        values: by place on the x axis; None leaves a gap.
    """

    name: str
    color: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Column:
    """One stacked bar.

    Attributes:
        label: below it.
        parts: class of each part → share in [0, 1], from the bottom.
        tip: what the pointer is shown.
    """

    label: str
    parts: Sequence[tuple[str, float]]
    tip: str = ""


def stacked(columns: Sequence[Column], line: Series | None = None, title: str = "") -> Markup:
    """Bars of shares from 0 to 100 %, with a line over them on the same scale."""
    axis = _Axis(len(columns), 0.0, 1.0)
    parts = [*_grid(axis, _percents()), *_below([column.label for column in columns], axis)]
    width = min(_WIDEST_BAR, 0.72 * axis.step)
    for place, column in enumerate(columns):
        bottom = 0.0
        inner = [Markup("<title>{}</title>").format(column.tip)]
        for kind, share in column.parts:
            top = bottom + share
            inner.append(
                Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    kind, axis.x(place) - width / 2, axis.y(top), width, max(axis.y(bottom) - axis.y(top), 0)
                )
            )
            bottom = top
        parts.append(Markup("<g>{}</g>").format(Markup("").join(inner)))
    if line is not None:
        parts += _line(line, axis, percent=False)
    return _svg(parts, title)


def lines(
    series: Sequence[Series],
    labels: Sequence[str],
    marks: Sequence[tuple[int, str]] = (),
    shares: bool = True,
    title: str = "",
) -> Markup:
    """Lines over places on the x axis.

    Args:
        series: as many values each as there are labels.
        labels: of the places; some are left out where they would touch.
        marks: (place, text): an upright line before that place, with a word to it.
        shares: whether the y axis goes from 0 to 100 %; else it goes by the values and includes 0.
        title: for screen readers.
    """
    values = [value for one in series for value in one.values if value is not None]
    ticks = _percents() if shares else _ticks(min([0.0, *values]), max([0.0, *values]))
    axis = _Axis(len(labels), ticks[0][0], ticks[-1][0])
    parts = [*_grid(axis, ticks), *_below(labels, axis), *_marks(marks, axis)]
    for one in series:
        parts += _line(one, axis, percent=shares)
    return _svg(parts, title)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Places and values → pixels."""

    places: int
    low: float
    high: float

    @property
    def step(self) -> float:
        return (WIDTH - _LEFT - _RIGHT) / max(self.places, 1)

    def x(self, place: float) -> float:
        return _LEFT + (place + 0.5) * self.step

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _percents() -> list[tuple[float, str]]:
    return [(n / 4, f"{25 * n} %") for n in range(5)]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """About four round numbers from at most `low` to at least `high`."""
    rough = (high - low) / 4 or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    return [(n * step, f"{n * step:g}") for n in range(first, last + 1)]


def _grid(axis: _Axis, ticks: Iterable[tuple[float, str]]) -> list[Markup]:
    return [
        Markup('<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
            _LEFT, WIDTH - _RIGHT, y=axis.y(value)
        )
        + Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
            _LEFT - 9, axis.y(value) + 4, text
        )
        for value, text in ticks
    ]


def _below(labels: Sequence[str], axis: _Axis) -> list[Markup]:
    """Labels under the x axis: all, or every n-th, each no wider than its room; none twice in a row."""
    every = max(1, math.ceil(len(labels) / _LABELS))
    shown = [n for n in range(0, len(labels), every) if n == 0 or labels[n] != labels[n - every]]
    room = max(4, int(axis.step * every / _CHARACTER))
    return [
        Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}<title>{}</title></text>').format(
            axis.x(place), HEIGHT - _BOTTOM + 20, _short(labels[place], room), labels[place]
        )
        for place in shown
    ]


def _marks(marks: Iterable[tuple[int, str]], axis: _Axis) -> list[Markup]:
    """Upright lines; a word that would run into the one before goes a line higher."""
    found, taken, row = [], -math.inf, 0
    for place, text in marks:
        x = axis.x(place - 0.5)
        row = 1 - row if x < taken else 0
        taken = x + 10 + len(text) * _CHARACTER
        found.append(
            Markup('<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(
                _TOP - 20, HEIGHT - _BOTTOM, x=x
            )
            + Markup('<text class="tick" x="{:.1f}" y="{}">{}</text>').format(
                x + 5, _TOP - 8 - 15 * row, text
            )
        )
    return found


def _line(series: Series, axis: _Axis, percent: bool) -> list[Markup]:
    """Its runs without gaps as lines, and a dot for each value."""
    runs: list[list[str]] = [[]]
    dots = []
    for place, value in enumerate(series.values):
        if value is None:
            runs.append([])
            continue
        x, y = f"{axis.x(place):.1f}", f"{axis.y(value):.1f}"
        runs[-1].append(f"{x},{y}")
        said = f"{100 * value:.0f} %" if percent else f"{value:.3g}"
        dots.append(
            Markup('<circle class="{}" cx="{}" cy="{}" r="4"><title>{}: {}</title></circle>').format(
                series.color, x, y, series.name, said
            )
        )
    drawn = [
        Markup('<polyline class="{}" points="{}"/>').format(series.color, " ".join(run))
        for run in runs
        if len(run) > 1
    ]
    return [*drawn, *dots]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _svg(parts: Iterable[Markup], title: str) -> Markup:
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, escape(title), Markup("").join(parts)
    )
