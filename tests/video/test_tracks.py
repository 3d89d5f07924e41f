"""Tracks out of masks, and their key frames."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from exporters.video.davis import DavisDataset
from exporters.video.mot import MotDataset
from exporters.video.youtube_vis import YoutubeVisDataset
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.propagate import Carried
from labeler_backend.video.tracks import (
    Box,
    Key,
    Track,
    box_record,
    interpolated,
    keyframes,
    lifespans,
    mask_record,
    tracks_of,
)
from tests.exporters.drawn import write

SIZE = (40, 60)


def frame(index: int, boxes: dict[int, tuple[int, int, int, int]], sure: float = 0.5) -> Carried:
    """Rectangles as masks."""
    labels = np.zeros(SIZE, np.uint16)
    for number, (x, y, w, h) in boxes.items():
        labels[y : y + h, x : x + w] = number
    return Carried(index, labels, dict.fromkeys(boxes, sure), frozenset(boxes))


def track(boxes: dict[int, Box]) -> Track:
    return Track(1, boxes, dict.fromkeys(boxes, 1.0))


def deviation(one: Box, other: Box) -> list[float]:
    """Of left, top, right, bottom."""
    sides = [(x, y, x + w, y + h) for x, y, w, h in (one, other)]
    return [abs(a - b) for a, b in zip(*sides, strict=True)]


def test_boxes_and_confidence_of_what_is_there() -> None:
    carried = (
        frame(0, {3: (5, 6, 7, 8)}, 0.9),
        frame(1, {3: (6, 6, 7, 8), 1: (30, 0, 30, 40)}, 0.7),
        frame(2, {}),
    )
    assert tracks_of(iter(carried)) == [
        Track(1, {1: (30.0, 0.0, 30.0, 40.0)}, {1: 0.7}),
        Track(3, {0: (5.0, 6.0, 7.0, 8.0), 1: (6.0, 6.0, 7.0, 8.0)}, {0: 0.9, 1: 0.7}),
    ]


@pytest.mark.parametrize(
    ("frames", "count", "spans"),
    [
        pytest.param([], 5, [], id="never"),
        pytest.param([3], 5, [(3, 3)], id="one frame"),
        pytest.param([0, 1, 2, 4], 5, [(0, 2), (4, 4)], id="gone for one frame"),
        pytest.param([2, 0, 1], 5, [(0, 2)], id="in any order"),
        pytest.param([3, 4, 5, 6], 5, [(3, 4)], id="past the end"),
    ],
)
def test_lifespans(frames: list[int], count: int, spans: list[tuple[int, int]]) -> None:
    assert lifespans(track(dict.fromkeys(frames, (0.0, 0.0, 1.0, 1.0))), count) == spans


REST: Box = (4.0, 4.0, 10.0, 10.0)


@pytest.mark.parametrize(
    ("boxes", "tolerance", "relative", "keys"),
    [
        pytest.param([], 1, 0, [], id="never seen"),
        pytest.param([REST], 0, 0, [(0, False)], id="one frame"),
        pytest.param([REST] * 9, 0, 0, [(0, True), (8, False)], id="at rest"),
        pytest.param(
            [(0.1 * t, 3.0, 5 + t / 3, 5.0) for t in range(500)], 0, 0, [(0, True), (499, False)], id="a line"
        ),
        pytest.param(
            [(5.0 * abs(t - 4), 3.0, 5.0, 5.0) for t in range(9)],
            0.5,
            0,
            [(0, True), (4, True), (8, False)],
            id="turning back",
        ),
        pytest.param(
            [REST, None, REST, REST], 0, 0, [(0, False), (2, True), (3, False)], id="gone in between"
        ),
        pytest.param(
            [(0, 0, 100, 10), (9, 0, 100, 10), (0, 0, 100, 10)],
            1,
            0.1,
            [(0, True), (2, False)],
            id="a tenth of the width across",
        ),
        pytest.param(
            [(0, 0, 100, 10), (0, 9, 100, 10), (0, 0, 100, 10)],
            1,
            0.1,
            [(0, True), (1, True), (2, False)],
            id="but of the height down",
        ),
    ],
)
def test_key_frames(
    boxes: Sequence[Box | None], tolerance: float, relative: float, keys: list[tuple[int, bool]]
) -> None:
    found = keyframes(track({t: box for t, box in enumerate(boxes) if box}), tolerance, relative)
    assert [(key.frame, key.enabled) for key in found] == keys


def test_key_frames_are_boxes_of_the_track() -> None:
    moving = track({t: (float(t * t % 17), 2.0, 3.0, 4.0 + t % 3) for t in range(40)})
    assert all(key.box == moving.boxes[key.frame] for key in keyframes(moving, 2.0))


side = st.floats(0, 50)
boxes = st.lists(st.none() | st.tuples(side, side, side, side), max_size=60)


@settings(deadline=None)
@given(boxes, st.sampled_from([0.0, 0.5, 4.0, 30.0]), st.sampled_from([0.0, 0.1, 0.5]))
def test_what_lies_between_key_frames_is_within_tolerance(
    boxes: list[Box | None], tolerance: float, relative: float
) -> None:
    moving = track({t: box for t, box in enumerate(boxes) if box})
    drawn = interpolated(keyframes(moving, tolerance, relative), len(boxes))
    assert drawn.keys() == moving.boxes.keys()
    for t, box in moving.boxes.items():
        for off, extent in zip(deviation(drawn[t], box), [*box[2:], *box[2:]], strict=True):
            assert off <= max(tolerance, relative * extent) + 1e-6


def fewest(moving: Track, tolerance: float) -> int:
    """By trying all."""
    frames = sorted(moving.boxes)
    for count in itertools.count(2):
        for inner in itertools.combinations(frames[1:-1], count - 2):
            chosen = [frames[0], *inner, frames[-1]]
            keys = [Key(t, moving.boxes[t], t < frames[-1]) for t in chosen]
            drawn = interpolated(keys, frames[-1] + 1)
            if all(max(deviation(drawn[t], moving.boxes[t])) <= tolerance + 1e-6 for t in frames):
                return count
    raise AssertionError


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(*[st.integers(0, 6)] * 4), min_size=2, max_size=9), st.sampled_from([0.5, 1.0, 2.0])
)
def test_there_are_no_fewer(boxes: list[Any], tolerance: float) -> None:
    moving = track({t: tuple(map(float, box)) for t, box in enumerate(boxes)})  # type: ignore[misc]
    assert len(keyframes(moving, tolerance)) == fewest(moving, tolerance)


def test_the_last_enabled_key_holds_to_the_end() -> None:
    assert interpolated([Key(1, REST, True)], 4) == dict.fromkeys((1, 2, 3), REST)


INFO = VideoInfo(SIZE, 4, 29.97)
CARRIED = [
    frame(0, {1: (5, 6, 7, 8)}),
    frame(1, {1: (6, 6, 7, 8), 7: (30, 0, 30, 40)}),
    frame(2, {}),
    frame(3, {7: (59, 39, 1, 1)}),
]


def read_mot(folder: Path) -> dict[int, dict[int, Box]]:
    """id → frame → box, from 0 on again."""
    found: dict[int, dict[int, Box]] = {}
    for line in (folder / "clip" / "gt" / "gt.txt").read_text("utf-8").splitlines():
        t, number, x, y, w, h, *_ = (float(cell) for cell in line.split(","))
        found.setdefault(int(number), {})[int(t) - 1] = (x - 1, y - 1, w, h)
    return found


def read_youtube_vis(folder: Path) -> dict[int, dict[int, Any]]:
    """id → frame → mask."""
    data = json.loads((folder / "instances.json").read_text("utf-8"))
    return {
        int(row["attributes"]["track_id"]): {
            t: coco_mask.decode(code).astype(bool) for t, code in enumerate(row["segmentations"]) if code
        }
        for row in data["annotations"]
    }


def test_masks_are_equal_when_read_back(tmp_path: Path) -> None:
    video = mask_record(iter(CARRIED), "clip.mp4", INFO)
    assert [track.score for track in video.tracks] == [0.5, 0.5]
    made = [write(kind, tmp_path / kind.__name__, [video]) for kind in (YoutubeVisDataset, MotDataset)]
    assert [one.told for one in made] == [[], []]
    masks = read_youtube_vis(tmp_path / "YoutubeVisDataset")
    seen = [(t, number) for number, frames in masks.items() for t in frames]
    assert sorted(seen) == [(one.index, number) for one in CARRIED for number in sorted(one.present)]
    for t, number in seen:
        np.testing.assert_array_equal(masks[number][t], CARRIED[t].labels == number)
    assert read_mot(tmp_path / "MotDataset") == {one.id: one.boxes for one in tracks_of(CARRIED)}


def test_davis_has_the_tracks_numbered(tmp_path: Path) -> None:
    from PIL import Image

    write(DavisDataset, tmp_path, [mask_record(CARRIED, "clip.mp4", INFO)])
    for one in CARRIED:
        png = np.asarray(Image.open(tmp_path / "Annotations" / "480p" / "clip" / f"{one.index:05d}.png"))
        np.testing.assert_array_equal(png, np.array([0, 1, 0, 0, 0, 0, 0, 2])[one.labels])


def test_boxes_are_equal_when_read_back(tmp_path: Path) -> None:
    tracks = tracks_of(CARRIED)
    made = write(MotDataset, tmp_path, [box_record(tracks, "clip.mp4", INFO)])
    assert made.told == []
    assert read_mot(tmp_path) == {one.id: one.boxes for one in tracks}


def test_a_box_beyond_the_picture_is_cut_off(tmp_path: Path) -> None:
    write(MotDataset, tmp_path, [box_record([track({0: (-5.0, 30.0, 10.0, 20.0)})], "clip.mp4", INFO)])
    assert read_mot(tmp_path) == {1: {0: (0.0, 30.0, 5.0, 10.0)}}
