from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from labeler_backend.report import plots


def numbers(svg: str, tag: str, name: str) -> list[float]:
    return [float(one) for one in re.findall(rf"<{tag} [^>]*\b{name}=\"([-\d.]+)\"", svg)]


def test_bars_add_up_to_the_whole_height() -> None:
    svg = plots.stacked([plots.Column("v1", [("accepted", 0.25), ("edited", 0.75)])])
    ET.fromstring(svg)
    low, high = numbers(svg, "rect", "height")
    assert high == pytest.approx(3 * low, abs=0.2)
    assert low + high == pytest.approx(plots.HEIGHT - 68, abs=0.2)


def test_line_has_a_gap_where_nothing_is_known() -> None:
    svg = plots.lines([plots.Series("IoU", "iou", [0.1, 0.2, None, 0.3, 0.4])], list("abcde"))
    assert (svg.count("<polyline"), svg.count("<circle")) == (2, 4)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="none"),
        pytest.param([0.0], id="zero"),
        pytest.param([-3.0, -1.0], id="losses"),
        pytest.param([0.001, 1e6], id="wide"),
        pytest.param([5.0] * 500, id="many"),
    ],
)
def test_everything_stays_in_the_picture(values: Sequence[float]) -> None:
    labels = [f"day {n}" for n in range(len(values))]
    svg = plots.lines([plots.Series("s", "saved", values)], labels, marks=[(0, "v")], shares=False)
    ET.fromstring(svg)
    assert all(0 <= x <= plots.WIDTH for x in numbers(svg, "circle", "cx"))
    assert all(0 <= y <= plots.HEIGHT for y in numbers(svg, "circle", "cy"))
    assert svg.count("<title>day") <= 13


def test_what_others_wrote_is_only_text() -> None:
    svg = plots.stacked([plots.Column('<b x="', [("accepted", 1.0)], tip="<i>")], title='"<u>')
    assert not re.search("<[biu] ?", svg.replace("<title>", ""))
    ET.fromstring(svg)
