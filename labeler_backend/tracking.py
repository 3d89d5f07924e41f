"""Boxes that were drawn on some frames of a video, carried to all of them: mask by mask, then boxes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.propagate import Carried, Encode, Frames, propagate
from labeler_backend.video.tracks import Box

Masks = Callable[[RGB, Box], BoolMask]
"""What is in a box of a picture: (H, W) bool, something within the box."""


def carry_boxes(
    frames: Frames, drawn: Mapping[int, Mapping[int, Box]], masks: Masks, encode: Encode
) -> Iterator[Carried]:
    """Objects drawn as boxes, in every frame.

    Objects that were drawn on the same frames are carried together; others apart, since who is not in a given
    frame is taken not to be seen in it. So there are as many answers for a frame as `groups` of objects.

    Args:
        frames: of the video.
        drawn: by object id (from 1), its boxes by frame.
        masks: what is in a box.
        encode: as of `propagate`.

    Yields:
        Group by group, one `Carried` per frame, in order.

    Raises:
        InputError: as `propagate`; a frame with a box is damaged. What has been yielded before stays good.
    """
    for ids in groups(drawn):
        given = {
            index: _labels(frames[index].image, {one: drawn[one][index] for one in ids}, masks)
            for index in drawn[ids[0]]
        }
        yield from propagate(frames, given, encode)


def groups(drawn: Mapping[int, Mapping[int, Box]]) -> list[tuple[int, ...]]:
    """Ids of the objects that were drawn on the same frames."""
    found: dict[frozenset[int], list[int]] = {}
    for one, boxes in drawn.items():
        found.setdefault(frozenset(boxes), []).append(one)
    return [tuple(ids) for ids in found.values()]


def _labels(image: RGB, boxes: Mapping[int, Box], masks: Masks) -> LabelMap:
    """(H, W) ids, the smaller object on top where two overlap; one of two that are the same has no pixel."""
    found = {one: masks(image, box) for one, box in boxes.items()}
    labels = np.zeros(image.shape[:2], np.uint16)
    for one in sorted(found, key=lambda one: -int(found[one].sum())):
        labels[found[one]] = one
    return labels
