"""The learning-curve figure: where things are, and that they are there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ImageColor

from benchmarks.learning_figure import HEIGHT, SHARP, STYLES, WIDTH, Axes, Panel, draw, value_ticks
from benchmarks.learning_results import Point

RGB = npt.NDArray[np.uint8]


def points(*values: float, spread: float = 0.0, images: tuple[int, ...] = (1, 5, 20)) -> list[Point]:
    seeds = 3 if spread else 1
    return [
        Point(n, value, value - spread, value + spread, seeds)
        for n, value in zip(images, values, strict=False)
    ]


def drawn(*panels: Panel) -> RGB:
    return np.asarray(draw(panels))


def of(picture: RGB, method: str) -> npt.NDArray[np.bool_]:
    """Where a picture has the very colour of a method."""
    color = np.array(ImageColor.getrgb(STYLES[method].color))
    return np.asarray((np.abs(picture.astype(int) - color) <= 2).all(axis=2))


def cell(picture: RGB, column: int, row: int = 0) -> RGB:
    height, width = SHARP * HEIGHT, SHARP * WIDTH
    return picture[row * height : (row + 1) * height, column * width : (column + 1) * width]


@pytest.mark.parametrize(
    ("panels", "columns", "rows"),
    [
        pytest.param(1, 2, 1, id="one"),
        pytest.param(2, 3, 1, id="two"),
        pytest.param(3, 2, 2, id="three"),
        pytest.param(4, 3, 2, id="four"),
        pytest.param(5, 3, 2, id="five"),
        pytest.param(6, 3, 3, id="six"),
    ],
)
def test_panels_and_legend_have_a_cell_each(panels: int, columns: int, rows: int) -> None:
    picture = drawn(*[Panel("Nuts", "mask AP50", {"ours": points(0.2, 0.3, 0.4)})] * panels)
    assert picture.shape == (SHARP * rows * HEIGHT, SHARP * columns * WIDTH, 3)
    filled = [bool(of(cell(picture, n % columns, n // columns), "ours").any()) for n in range(columns * rows)]
    assert filled == [n <= panels for n in range(columns * rows)]  # the last one filled is the legend


@pytest.mark.parametrize("method", STYLES)
def test_each_method_is_drawn_and_named_in_the_legend(method: str) -> None:
    panel = Panel("Nuts", "mask AP50", {method: points(0.2, 0.3, 0.4)})
    picture = drawn(panel)
    for name in STYLES:
        if STYLES[name].color not in ("#5c6069",):  # that grey is the text's too
            assert [of(cell(picture, n), name).any() for n in (0, 1)] == [name == method] * 2
    assert of(cell(picture, 0), method).sum() > 20


def test_better_is_higher_and_more_images_are_further_right() -> None:
    panel = Panel("Nuts", "mask AP50", {"ours": points(0.5, 0.6), "knn": points(0.2, 0.3, images=(5, 20))})
    panel_pixels = cell(drawn(panel), 0)
    ours, knn = (np.argwhere(of(panel_pixels, name)).mean(axis=0) for name in ("ours", "knn"))
    assert ours[0] < knn[0]
    assert ours[1] < knn[1]


def test_nothing_learned_is_a_dashed_line() -> None:
    panel = Panel("Nuts", "mask AP50", {"nothing": points(0.25, 0.25, 0.25), "ours": points(0.1, 0.2, 0.4)})
    found = of(cell(drawn(panel), 0), "nothing")
    row = found[:, SHARP * 40 :].sum(axis=1).argmax()  # right of the axis' numbers
    line = found[row, SHARP * 40 : SHARP * (WIDTH - 16)]
    assert np.diff(line.astype(int)).clip(0).sum() > 10


def test_a_band_shows_the_spread_of_seeds() -> None:
    """The colour between line and white, which a curve without spread has at its edge only."""

    def tinted(spread: float) -> int:
        found = {"ours": points(0.5, 0.5, 0.5, spread=spread), "knn": points(0.2, 0.9)}
        pixels = cell(drawn(Panel("Nuts", "mask AP50", found)), 0).astype(int)
        return int((np.abs(pixels - [204, 227, 241]) <= 4).all(axis=2).sum())

    assert tinted(0.2) > 100 * max(tinted(0.0), 1)


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(points(0.5), id="one-point"),
        pytest.param(points(0.5, images=(3,)), id="one-point-between-ticks"),
        pytest.param(points(0.5, 0.6, images=(60, 70)), id="no-tick-in-range"),
        pytest.param(points(0.0, 0.0), id="nothing-right"),
        pytest.param(points(1.0, 1.0), id="all-right"),
        pytest.param(points(0.0, 1.0), id="all-of-the-scale"),
        pytest.param(points(0.9, 0.9, spread=0.1), id="one-of-several-seeds"),
    ],
)
@pytest.mark.parametrize("method", ["ours", "nothing"])
def test_all_points_are_inside_their_panel(method: str, curve: list[Point]) -> None:
    picture = drawn(Panel("Nuts", "mask AP50", {method: curve}))
    found = of(cell(picture, 0), method)[SHARP * 36 : SHARP * (HEIGHT - 34), SHARP * 34 :]
    assert found.any()
    assert not found[:, -SHARP * 4 :].any()


def test_images_are_on_a_log_scale() -> None:
    axes = Axes(0, 0, (1, 50), (0.0, 1.0))
    assert axes.x(10) - axes.x(1) == pytest.approx(axes.x(50) - axes.x(5))
    assert axes.y(0.75) - axes.y(1.0) == pytest.approx(axes.y(0.0) - axes.y(0.25))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(0.52, 0.945, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0], id="tenths"),
        pytest.param(0.86, 0.94, [0.86, 0.88, 0.9, 0.92, 0.94], id="hundredths"),
        pytest.param(0.03, 0.97, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], id="all-of-the-scale"),
        pytest.param(0.5, 0.5, [0.49, 0.5, 0.51], id="one-value"),
        pytest.param(0.0, 0.0, [0.0, 0.01, 0.02], id="zero"),
        pytest.param(1.0, 1.0, [0.98, 0.99, 1.0], id="one"),
    ],
)
def test_value_ticks(low: float, high: float, expected: list[float]) -> None:
    assert value_ticks(low, high) == pytest.approx(expected)
