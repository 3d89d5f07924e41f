from __future__ import annotations

from typing import Any

import pytest

from labeler_backend.studio.video.seals import followed, to_follow
from tests.studio.video.made import computed, entry, region

ONE, TWO = entry(1), entry(9, 20)


@pytest.mark.parametrize(
    ("keys", "news"),
    [
        pytest.param([ONE], True, id="a new box"),
        pytest.param([ONE, TWO], True, id="drawn by hand"),
        pytest.param([ONE, computed(5, of=[ONE])], False, id="followed already"),
        pytest.param([ONE, computed(5, of=[ONE]) | {"x": 50}, computed(9, of=[ONE])], True, id="corrected"),
        pytest.param([ONE, TWO, computed(5, of=[ONE])], True, id="another box"),
        pytest.param([ONE, TWO, computed(5, of=[TWO, ONE])], False, id="both are followed"),
        pytest.param([ONE | {"enabled": False}, computed(5, of=[ONE])], True, id="ended"),
        pytest.param([computed(1), computed(5)], False, id="a proposal that nobody touched"),
        pytest.param([computed(1) | {"y": 11}, computed(5)], True, id="a proposal that was moved"),
        pytest.param([], False, id="nothing"),
    ],
)
def test_what_people_said_and_no_track_follows_yet(keys: list[Any], news: bool) -> None:
    assert bool(to_follow([region(*keys)])) is news


def test_the_same_boxes_are_the_same_news() -> None:
    """So that an answer to them is recognized in the predictions of a task."""
    assert to_follow([region(ONE, TWO)]) == followed([region(ONE, TWO, computed(5, of=[ONE, TWO]))])
    assert to_follow([region(ONE)]) != followed([region(ONE, TWO, computed(5, of=[ONE, TWO]))])


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(7, id="no object"),
        pytest.param(region(ONE, type="rectanglelabels"), id="no track"),
        pytest.param(region(ONE, value=None), id="no value"),
    ],
)
def test_what_is_no_track_is_no_news(item: Any) -> None:
    assert to_follow([item]) == {}
