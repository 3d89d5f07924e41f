"""The video benchmark: its figures are what they are called, and made videos do what they are made for."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.composites import LEAVES, STAYS, composite
from benchmarks.dino_recipe import dino_recipe
from benchmarks.hota import hota, similarities, switches
from benchmarks.video import Clip, scored, spread
from labeler_backend.masks.metrics import iou
from labeler_backend.video.propagate import Carried
from tests.video.moving import encode, video

TRUTH = [np.array([[1, 1, 0, 0, 2, 2]], np.uint16)] * 4
SWAPPED = np.array([[2, 2, 0, 0, 1, 1]], np.uint16)
HALF = np.array([[1, 1, 0, 0, 0, 0]], np.uint16)
MISSED = np.zeros((1, 6), np.uint16)


@pytest.mark.parametrize(
    ("found", "expected", "changes"),
    [
        pytest.param(TRUTH, 1.0, 0, id="right"),
        pytest.param([SWAPPED] * 4, 1.0, 0, id="other names all along"),
        # half the detections of each track agree with a partner: A = 2² / (4 + 4 - 2) twice per track
        pytest.param([*TRUTH[:2], SWAPPED, SWAPPED], np.sqrt(1 / 3), 2, id="swapped halfway"),
        pytest.param([HALF] * 4, np.sqrt(0.5), 0, id="one missed"),
        pytest.param([MISSED] * 4, 0.0, 0, id="both missed"),
        pytest.param([TRUTH[0], MISSED, MISSED, TRUTH[0]], np.sqrt(0.5 * 0.5), 0, id="gone for a while"),
    ],
)
def test_hota_and_switches(found: list[np.ndarray], expected: float, changes: int) -> None:
    frames = similarities(found, TRUTH)
    assert hota(frames) == pytest.approx(expected)
    assert switches(frames) == changes


def test_composites_cross_and_one_leaves() -> None:
    frames, labels = video([[(70, 100)] * 3])
    clip = [(one.image, ids > 0) for one, ids in zip(frames, labels, strict=True)]
    made = composite(clip, clip, [one.image for one in frames], length=20)
    first, last = made.labels[0], made.labels[-1]
    assert made.images[0].shape == (*first.shape, 3)
    assert (first == STAYS).any()
    assert (first == LEAVES).any()
    assert not (last == LEAVES).any()
    assert all((ids == STAYS).sum() == (first == STAYS).sum() for ids in made.labels)
    assert 8 < made.left_at < 17
    hidden = min((ids == LEAVES).sum() for ids in made.labels[: made.left_at - 4])
    assert hidden < 0.5 * (first == LEAVES).sum()


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        pytest.param(1, [0], id="one"),
        pytest.param(2, [0, 49], id="two"),
        pytest.param(4, [0, 16, 33, 49], id="four"),
    ],
)
def test_given_frames_are_spread(count: int, expected: list[int]) -> None:
    assert spread(count, 50) == expected


def test_given_frames_are_left_out_of_the_score() -> None:
    truth = TRUTH[0]
    clip = Clip("made", [np.zeros((1, 6, 3), np.uint8)] * 3, [truth] * 3)
    found = [Carried(i, MISSED if i else truth, {}, frozenset()) for i in range(3)]
    assert scored(clip, found, [0])[0] == 0
    assert scored(clip, found, [1, 2])[0] == 1


def test_the_baseline_follows_an_object() -> None:
    frames, labels = video([[(60, 40 + 8 * t) for t in range(5)]])
    found = list(dino_recipe(frames, {0: labels[0]}, encode))
    assert [one.index for one in found] == list(range(5))
    assert min(iou(one.labels == 1, truth == 1) for one, truth in zip(found, labels, strict=True)) > 0.5
