"""Boxes over a moving picture: real propagation, with a backbone of colours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labeler_backend.boxes import ellipse_in
from labeler_backend.errors import InputError
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.track.given import groups, masks_in_boxes
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.propagate import Carried, propagate
from labeler_backend.video.source import BrokenFrame, Frame, FrameSource
from labeler_backend.video.tracks import Box
from tests.video.moving import RADIUS, SIZE, around, encode, video

COUNT = 8


class Made(FrameSource):
    """Pictures as frames, some of them damaged."""

    def __init__(self, images: list[RGB], broken: tuple[int, ...] = ()) -> None:
        self.info = VideoInfo(SIZE, len(images), 25.0)
        self._images, self._broken = images, broken

    def _read(self, index: int) -> Frame:
        if index in self._broken:
            raise BrokenFrame(index, None, f"Frame {index} is damaged.")
        return Frame(index, index / 25, self._images[index])


@pytest.fixture(scope="module")
def two_cats() -> tuple[list[RGB], list[BoolMask], list[BoolMask]]:
    """A cat that goes to the right above one that goes to the left; where each is."""
    paths = [[(35, 40 + 12 * t) for t in range(COUNT)], [(105, 170 - 12 * t) for t in range(COUNT)]]
    frames, labels = video(paths)
    return [f.image for f in frames], [one == 1 for one in labels], [one == 2 for one in labels]


class Ellipses:
    """Instead of a model: the ellipse in a box."""

    def mask_in_box(self, image: RGB, box: Box) -> BoolMask:
        return ellipse_in(box, (image.shape[0], image.shape[1]))


def carried(frames: Made, boxes: dict[int, dict[int, Box]]) -> Iterator[Carried]:
    """Group by group."""
    for masks in masks_in_boxes(boxes, frames, Ellipses()):
        yield from propagate(frames, masks, encode)


def test_objects_drawn_together_are_carried_together(
    two_cats: tuple[list[RGB], list[BoolMask], list[BoolMask]],
) -> None:
    images, first, second = two_cats
    drawn = {1: {0: around(first[0])}, 2: {0: around(second[0])}}
    found = list(carried(Made(images), drawn))
    assert [one.index for one in found] == list(range(COUNT))
    for one in found:
        assert iou(one.labels == 1, first[one.index]) > 0.7, one.index
        assert iou(one.labels == 2, second[one.index]) > 0.7, one.index


def test_objects_drawn_on_different_frames_do_not_deny_each_other(
    two_cats: tuple[list[RGB], list[BoolMask], list[BoolMask]],
) -> None:
    images, first, second = two_cats
    drawn = {1: {0: around(first[0])}, 2: {4: around(second[4])}}
    found = list(carried(Made(images), drawn))
    assert [one.index for one in found] == [*range(COUNT), *range(COUNT)]
    for one in found[:COUNT]:
        assert iou(one.labels == 1, first[one.index]) > 0.7, one.index
    for one in found[COUNT:]:
        assert iou(one.labels == 2, second[one.index]) > 0.7, one.index


def test_a_damaged_frame_is_passed_over(two_cats: tuple[list[RGB], list[BoolMask], list[BoolMask]]) -> None:
    images, first, _ = two_cats
    frames = Made(images, broken=(3,))
    found = list(carried(frames, {1: {0: around(first[0])}}))
    assert [one.index for one in found if one.problem] == [3]
    assert [one.index for one in found] == list(range(COUNT))
    assert iou(found[-1].labels == 1, first[-1]) > 0.7


def test_a_box_on_a_damaged_frame_cannot_be_carried(
    two_cats: tuple[list[RGB], list[BoolMask], list[BoolMask]],
) -> None:
    images, first, _ = two_cats
    with pytest.raises(InputError, match="Frame 0 is damaged"):
        next(carried(Made(images, broken=(0,)), {1: {0: around(first[0])}}))


def test_of_two_equal_boxes_one_is_carried(
    two_cats: tuple[list[RGB], list[BoolMask], list[BoolMask]],
) -> None:
    images, first, _ = two_cats
    box = around(first[0])
    found = list(carried(Made(images), {1: {0: box}, 2: {0: box}}))
    assert len({one for each in found for one in each.present}) == 1


def test_groups() -> None:
    box = (0.0, 0.0, float(RADIUS), float(RADIUS))
    drawn = {1: {0: box}, 2: {0: box, 5: box}, 3: {0: box}, 4: {5: box, 0: box}}
    assert groups(drawn) == [(1, 3), (2, 4)]
