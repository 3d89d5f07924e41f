from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.studio.video.clock import Clock
from labeler_backend.video.info import VideoInfo

RATES = st.sampled_from([5.0, 10.0, 23.976, 24.0, 25.0, 29.97, 30000 / 1001, 30.0, 50.0, 59.94, 60.0, 240.0])


@given(RATES, st.integers(1, 20_000), st.data())
def test_with_the_files_rate_frames_are_the_files_counted_from_one(
    rate: float, count: int, data: st.DataObject
) -> None:
    clock = Clock(count, rate, rate)
    index = data.draw(st.integers(0, count - 1))
    assert clock.shown(index) == index + 1
    assert clock.index(index + 1) == index
    assert clock.shown_count == count
    assert clock.agrees


@given(RATES, RATES, st.integers(1, 5_000), st.data())
def test_what_is_shown_for_a_frame_is_that_frame_or_the_next_that_can_be_shown(
    rate: float, shown_rate: float, count: int, data: st.DataObject
) -> None:
    clock = Clock(count, rate, shown_rate)
    index = data.draw(st.integers(0, count - 1))
    found = clock.index(clock.shown(index))
    skipped = max(0, -(-rate // shown_rate))  # frames of the file between two of the editor's
    assert index <= found <= index + skipped or found == count - 1
    if clock.shown(index) > 1:
        assert clock.index(clock.shown(index) - 1) < index  # it is the first one that does


@pytest.mark.parametrize(
    ("file", "tag", "shown", "index"),
    [
        pytest.param(25, 25, 46, 45, id="the same"),
        pytest.param(30, 24, 25, 30, id="the tag's default for a video of 30"),
        pytest.param(24, 30, 31, 24, id="too high"),
        pytest.param(30000 / 1001, 29.97, 500, 499, id="29.97 as people write it"),
    ],
)
def test_the_picture_is_the_one_at_that_time(file: float, tag: float, shown: int, index: int) -> None:
    assert Clock(1000, file, tag).index(shown) == index


@pytest.mark.parametrize(
    ("rate", "tag", "agrees"),
    [
        pytest.param(25, 25.0, True, id="right"),
        pytest.param(30000 / 1001, 29.97, True, id="29.97"),
        pytest.param(25, 24.0, False, id="the default"),
        pytest.param(30000 / 1001, 30.0, False, id="30 for 29.97"),
        pytest.param(None, 24.0, True, id="a file that does not say"),
    ],
)
def test_a_wrong_frame_rate_is_noticed(rate: float | None, tag: float, agrees: bool) -> None:
    assert Clock.of(VideoInfo((10, 10), 2000, rate), tag).agrees is agrees


@pytest.mark.parametrize(("shown", "index"), [(-5, 0), (0, 0), (1, 0), (10, 9), (11, 9), (10**9, 9)])
def test_what_lies_outside_is_the_first_or_last_frame(shown: int, index: int) -> None:
    assert Clock(10, 25, 25).index(shown) == index
