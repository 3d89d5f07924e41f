from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.studio.config import read_config
from labeler_backend.studio.export_json.tracks import key_of, path_of
from labeler_backend.studio.labeling import labeling_config
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.drawn import drawn_in
from labeler_backend.studio.video.regions import track_region
from labeler_backend.studio.video.seals import to_follow
from labeler_backend.video.tracks import Key
from tests.studio.video.made import CLOCK, COUNT, PLACE, SIZE, entry

BOXES = st.builds(
    lambda x, y, w, h: (x, y, w, h),
    st.floats(0, 100),
    st.floats(0, 60),
    st.floats(2, 40),
    st.floats(2, 30),
)
FRAMES = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=8, unique=True).map(sorted)


@st.composite
def tracks(draw: st.DrawFn) -> list[Key]:
    frames = draw(FRAMES)
    ends = draw(st.lists(st.booleans(), min_size=len(frames), max_size=len(frames)))
    return [Key(frame, draw(BOXES), enabled) for frame, enabled in zip(frames, ends, strict=True)]


def made(keys: list[Key], drawn: dict[int, Any] | None = None, clock: Clock = CLOCK) -> dict[str, Any]:
    """`drawn`: by frame from 0, x, or x and whether it stays."""
    by_hand = [key_of(entry(frame + 1, *_pair(x))) for frame, x in sorted((drawn or {}).items())]
    named = {"object_id": "r1", "labels": ["car"], "score": 0.5}
    return track_region(keys, PLACE, clock, SIZE, made=by_hand, **named)


def _pair(x: Any) -> tuple[float, bool]:
    return x if isinstance(x, tuple) else (x, True)


def upright(shape: Any) -> list[float]:
    (x0, y0), (x1, y1) = shape.rings[0].min(axis=0), shape.rings[0].max(axis=0)
    return [x0, y0, x1 - x0, y1 - y0]


@given(tracks())
def test_the_reader_of_exports_sees_the_track(keys: list[Key]) -> None:
    path = path_of(made(keys), SIZE, COUNT)
    assert path.notes == ()
    expected: dict[int, Any] = {}
    for key, after in zip(keys, [*keys[1:], None], strict=True):
        stop = after.frame if after else COUNT
        for frame in range(key.frame, stop if key.enabled else key.frame + 1):
            share = (frame - key.frame) / (stop - key.frame)
            expected[frame] = (
                np.add(np.multiply(key.box, 1 - share), np.multiply(after.box, share)) if after else key.box
            )
    assert list(path.shapes) == list(expected)
    for frame, box in expected.items():
        np.testing.assert_allclose(upright(path.shapes[frame]), box, atol=1e-3)


@given(
    tracks(),
    st.dictionaries(
        st.integers(0, COUNT - 1), st.tuples(st.floats(0, 70), st.booleans()), min_size=1, max_size=4
    ),
)
def test_what_people_made_is_read_back_as_theirs_and_nothing_else(
    keys: list[Key], drawn: dict[int, tuple[float, bool]]
) -> None:
    region = json.loads(json.dumps(made(keys, drawn)))
    [found] = drawn_in([region], "box", "video", SIZE, CLOCK)
    assert (found.id, found.labels) == ("r1", ("car",))
    assert {key.frame: (key.box["x"], key.enabled) for key in found.keys} == drawn
    assert list(found.boxes) == sorted(drawn)
    assert to_follow([region]) == {} or len(region["value"]["sequence"]) == len(drawn)


@given(tracks())
def test_of_a_track_that_nobody_touched_the_first_box_counts(keys: list[Key]) -> None:
    [found] = drawn_in([made(keys)], "box", "video", SIZE, CLOCK)
    assert list(found.boxes) == [keys[0].frame]
    assert found.gone == ()


def test_every_key_has_what_label_studio_needs() -> None:
    """Without `enabled`, rotation and time on every key its export of interpolated keys fails as a whole."""
    region = made([Key(0, (14, 9, 28, 27), True), Key(10, (28, 9, 28, 27), False)], {5: 15})
    value = region["value"]
    assert value["framesCount"] == COUNT
    assert value["duration"] == pytest.approx(1.6)
    assert value["labels"] == ["car"]
    assert [key["frame"] for key in value["sequence"]] == [1, 6, 11]
    assert [key["enabled"] for key in value["sequence"]] == [True, True, False]
    assert [key["time"] for key in value["sequence"]] == pytest.approx([0.04, 0.24, 0.44])
    assert [key["rotation"] for key in value["sequence"]] == [0, 0, 0]
    assert [(key["x"], key["width"]) for key in value["sequence"]] == [(10, 20), (15, 20), (20, 20)]


def test_where_somebody_drew_a_box_at_its_end_a_track_ends_behind_it() -> None:
    region = made([Key(0, (14, 9, 28, 27), True), Key(10, (28, 9, 28, 27), False)], {10: 21})
    ends = [(key["frame"], key["enabled"]) for key in region["value"]["sequence"][1:]]
    assert ends == [(11, True), (12, False)]  # what somebody drew stays as it is


def test_keys_stand_where_the_editor_shows_their_frame() -> None:
    """A `frameRate` of 24 for a file of 30 frames a second."""
    clock = Clock(COUNT, 30, 24)
    sequence = made([Key(30, (14, 9, 28, 27), True)], clock=clock)["value"]["sequence"]
    assert [key["frame"] for key in sequence] == [25]
    assert made([Key(0, (14, 9, 28, 27), True)], clock=clock)["value"]["framesCount"] == 32


def test_label_studio_takes_it() -> None:
    config = read_config(labeling_config(["car", "person"], "video"))
    region = made([Key(0, (14, 9, 28, 27), True), Key(10, (28, 9, 28, 27), False)])
    assert config.validate({"result": [region]}) == []
