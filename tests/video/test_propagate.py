"""Masks through whole videos: a cat cut out of a photograph moves over another photograph."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from labeler_backend.errors import InputError
from labeler_backend.masks.metrics import iou
from labeler_backend.video.propagate import Carried, Reached, propagate
from labeler_backend.video.source import BrokenFrame
from tests.video.moving import Frame, encode, video

COUNT = 12
RIGHTWARD = [(60, 40 + 10 * t) for t in range(COUNT)]
LEFTWARD = [(100, 170 - 10 * t) for t in range(COUNT)]
LEAVING = [(60, 40 - 14 * t) for t in range(COUNT)]
RETURNING = [(60, 40 - 14 * min(t, COUNT - 1 - t)) for t in range(COUNT)]


@pytest.mark.parametrize(
    ("paths", "given", "least"),
    [
        pytest.param([RIGHTWARD], [0], 0.8, id="forward from the first"),
        pytest.param([RIGHTWARD], [COUNT - 1], 0.8, id="backward from the last"),
        pytest.param([RIGHTWARD], [5], 0.8, id="both ways from the middle"),
        pytest.param([RIGHTWARD], [0, COUNT - 1], 0.85, id="between two"),
        pytest.param([RIGHTWARD], [3, 4], 0.8, id="two beside each other"),
        pytest.param([RIGHTWARD, LEFTWARD], [0], 0.7, id="two objects"),
    ],
)
def test_objects_are_followed(paths: list[Any], given: list[int], least: float) -> None:
    frames, labels = video(paths)
    found = list(propagate(frames, {index: labels[index] for index in given}, encode))
    assert [one.index for one in found] == list(range(COUNT))
    assert [one.index for one in found if one.given] == given
    for k in range(1, len(paths) + 1):
        each = [iou(one.labels == k, truth == k) for one, truth in zip(found, labels, strict=True)]
        assert np.mean(each) > least
        assert min(each) > least - 0.25


def test_given_masks_are_kept_to_the_pixel() -> None:
    frames, labels = video([RIGHTWARD])
    for one in propagate(frames, {2: labels[2], 7: labels[7]}, encode):
        if one.given:
            np.testing.assert_array_equal(one.labels, labels[one.index])
            assert one.confidence == {1: 1.0}


def test_what_left_is_absent() -> None:
    frames, labels = video([LEAVING])
    found = list(propagate(frames, {0: labels[0]}, encode))
    gone = next(i for i, truth in enumerate(labels) if not truth.any())
    assert gone < COUNT - 4
    assert found[1].present == {1}
    assert all(not one.present and not one.labels.any() for one in found[gone + 3 :])


def test_what_comes_back_is_found_again() -> None:
    frames, labels = video([RETURNING])
    found = list(propagate(frames, {0: labels[0]}, encode))
    assert any(not truth.any() for truth in labels)
    assert iou(found[-1].labels == 1, labels[-1] == 1) > 0.7


def test_ids_are_those_given() -> None:
    frames, labels = video([RIGHTWARD, LEFTWARD])
    renamed = np.array([0, 700, 3], np.uint16)[labels[0]]
    for one in itertools.islice(propagate(frames, {0: renamed}, encode), 3):
        assert one.present == {3, 700}
        assert set(np.unique(one.labels)) == {0, 3, 700}


def test_the_same_video_gives_the_same_masks() -> None:
    frames, labels = video([RIGHTWARD])
    once, again = (list(propagate(frames, {0: labels[0]}, encode)) for _ in range(2))
    assert all((a.labels == b.labels).all() for a, b in zip(once, again, strict=True))


def test_a_frame_that_cannot_be_used_keeps_those_before_it() -> None:
    frames, labels = video([RIGHTWARD])
    frames[6] = Frame(6, frames[6].image[:100])
    found = propagate(frames, {0: labels[0]}, encode)
    assert [one.index for one in itertools.islice(found, 6)] == list(range(6))
    with pytest.raises(InputError, match=r"Frame 6 is 210×100 pixels, the given ones 210×140: cut"):
        next(found)


class Damaged(list[Frame]):
    """A video of which some frames cannot be decoded."""

    broken: frozenset[int] = frozenset()

    def __getitem__(self, index: Any, /) -> Any:
        if index in self.broken:
            raise BrokenFrame(index, None, f"Frame {index} is damaged.")
        return super().__getitem__(index)


def damaged(frames: list[Frame], *broken: int) -> Damaged:
    video = Damaged(frames)
    video.broken = frozenset(broken)
    return video


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        pytest.param([0], [5], id="one, carried forward over"),
        pytest.param([0], [4, 5, COUNT - 1], id="some, the last among them"),
        pytest.param([COUNT - 1], [0, 5], id="carried backward over"),
        pytest.param([0, COUNT - 1], [5, 6], id="between two"),
        pytest.param([0, 3], [1, 2], id="all between two"),
    ],
)
def test_frames_that_cannot_be_decoded_are_passed_over(given: list[int], broken: list[int]) -> None:
    frames, labels = video([RIGHTWARD])
    found = list(propagate(damaged(frames, *broken), {index: labels[index] for index in given}, encode))
    assert [one.index for one in found] == list(range(COUNT))
    for one, truth in zip(found, labels, strict=True):
        if one.index in broken:
            assert one.problem == f"Frame {one.index} is damaged."
            assert not one.labels.any()
            assert (one.present, one.confidence) == (frozenset(), {1: 0.0})
        else:
            assert one.problem == ""
            assert iou(one.labels == 1, truth == 1) > 0.6


def equal(one: Carried, other: Carried) -> bool:
    facts = [(c.index, c.confidence, c.present, c.given, c.problem) for c in (one, other)]
    return facts[0] == facts[1] and bool((one.labels == other.labels).all())


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(0, id="before the first given frame"),
        pytest.param(2, id="at it"),
        pytest.param(4, id="between two"),
        pytest.param(8, id="after the last"),
        pytest.param(9, id="at a damaged one"),
        pytest.param(COUNT - 1, id="at the end"),
    ],
)
def test_going_on_gives_what_would_have_come(stop: int) -> None:
    whole, frames, given = uninterrupted()
    reached = Reached()
    begun = propagate(frames, given, encode, reached)
    assert [next(begun).index for _ in range(stop + 1)] == list(range(stop + 1))
    begun.close()
    asked: list[Any] = []
    later = pickle.loads(pickle.dumps(reached))
    rest = list(propagate(frames, given, lambda image: (asked.append(1), encode(image))[1], later))
    assert [equal(a, b) for a, b in zip(rest, whole[stop + 1 :], strict=True)] == [True] * (COUNT - 1 - stop)
    left = [t for t in range(stop + 1, COUNT) if t not in given and t != BROKEN]
    assert len(asked) == len(given) + len(left)


BROKEN = 9


@lru_cache
def uninterrupted() -> tuple[list[Carried], Damaged, dict[int, Any]]:
    frames, labels = video([RIGHTWARD, LEFTWARD])
    hurt, given = damaged(frames, BROKEN), {2: labels[2], 7: labels[7]}
    return list(propagate(hurt, given, encode)), hurt, given


def test_a_mask_for_a_frame_that_cannot_be_decoded() -> None:
    frames, labels = video([RIGHTWARD])
    with pytest.raises(InputError, match=r"cannot be used, give it for another: Frame 0 is damaged\."):
        next(propagate(damaged(frames, 0), {0: labels[0]}, encode))


def test_a_video_without_frames() -> None:
    _, labels = video([RIGHTWARD])
    with pytest.raises(InputError, match="There are no frames: give"):
        next(propagate([], {0: labels[0]}, encode))


def smaller(labels: list[Any]) -> dict[int, Any]:
    return {0: labels[0][:50]}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(lambda _: {}, "No object is marked on any frame: give", id="nothing given"),
        pytest.param(lambda n: {0: n[0] * 0}, "No object is marked on frame 0: give", id="an empty mask"),
        pytest.param(smaller, "The mask for frame 0 is 210×50 pixels, the frame 210×140", id="another size"),
        pytest.param(
            lambda n: {99: n[0]}, r"for frame 99, but there are 12 frames \(0 to 11\)", id="past the end"
        ),
        pytest.param(lambda n: {-1: n[0]}, "for frame -1, but", id="before the beginning"),
    ],
)
def test_masks_that_cannot_be_used(given: Callable[[list[Any]], dict[int, Any]], sentence: str) -> None:
    frames, labels = video([RIGHTWARD])
    with pytest.raises(InputError, match=sentence):
        next(propagate(frames, given(labels), encode))


def test_an_empty_mask_says_that_the_object_is_gone() -> None:
    frames, labels = video([LEAVING])
    assert not labels[-1].any()
    found = list(propagate(frames, {0: labels[0], COUNT - 1: labels[-1]}, encode))
    assert found[-1].given
    assert found[-1].present == frozenset()
    assert iou(found[1].labels == 1, labels[1] == 1) > 0.7
