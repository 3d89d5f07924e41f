"""What is given of a video → masks by frame, for each group of objects that are carried together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from labeler_backend.boxes import Box
from labeler_backend.errors import InputError
from labeler_backend.track.types import BoxModel
from labeler_backend.video.frames import BrokenFrame, FrameSource
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.propagate import Carried

MOST_GIVEN = 100
"""Frames: of each, features and a mask stay in memory."""

Masks = Mapping[int, LabelMap]
"""(H, W) ids by frame, from 0."""


def check_count(frames: Iterable[int], what: str) -> None:
    """Raises InputError where masks or boxes are given on too many frames."""
    count = len(set(frames))
    if count > MOST_GIVEN:
        raise InputError(
            f"{what} gives {count} frames, and {MOST_GIVEN} are the most: leave some out, evenly."
        )


def masks_in_boxes(
    boxes: Mapping[int, Mapping[int, Box]], frames: FrameSource, model: BoxModel
) -> list[dict[int, LabelMap]]:
    """Masks of the objects in boxes.

    A box says nothing of the other objects, so those that have boxes on the same frames are carried together,
    the others apart.

    Args:
        boxes: by object id, its boxes by frame.
        frames: of the video.
        model: finds the object in a box.

    Raises:
        InputError: a frame with a box cannot be decoded.
    """
    found: list[dict[int, LabelMap]] = []
    for ids in groups(boxes):
        masks = {}
        for frame in sorted(boxes[ids[0]]):
            masks[frame] = _labels(frames, frame, {one: boxes[one][frame] for one in ids}, model)
        found.append(masks)
    return found


def groups(boxes: Mapping[int, Mapping[int, Box]]) -> list[tuple[int, ...]]:
    """Ids of the objects that have boxes on the same frames."""
    found: dict[frozenset[int], list[int]] = {}
    for one, each in boxes.items():
        found.setdefault(frozenset(each), []).append(one)
    return [tuple(ids) for ids in found.values()]


def together(ways: Sequence[Iterator[Carried]]) -> Iterator[Carried]:
    """The groups' answers for each frame as one; where two claim a pixel, the smaller object has it."""
    if len(ways) == 1:
        yield from ways[0]
        return
    for ones in zip(*ways, strict=True):
        masks = [(number, one.labels == number) for one in ones for number in one.present]
        labels = np.zeros_like(ones[0].labels)
        for number, mask in sorted(masks, key=lambda item: -int(item[1].sum())):
            labels[mask] = number
        yield Carried(
            ones[0].index,
            labels,
            {number: sure for one in ones for number, sure in one.confidence.items()},
            frozenset(int(number) for number in np.unique(labels) if number),
            any(one.given for one in ones),
            ones[0].problem,
        )


def digest(given: Sequence[Masks]) -> str:
    """Hex SHA-256 of all masks and where they belong."""
    made = hashlib.sha256()
    for masks in given:
        for frame, labels in sorted(masks.items()):
            made.update(f"{frame} {labels.shape} ".encode())
            made.update(np.ascontiguousarray(labels).data)
    return made.hexdigest()


def _labels(frames: FrameSource, frame: int, boxes: Mapping[int, Box], model: BoxModel) -> LabelMap:
    """(H, W) ids, the smaller object on top where two overlap."""
    try:
        image = frames[frame].image
    except BrokenFrame as error:
        raise InputError(
            f"A box is given for a frame that cannot be used, move it to another: {error}"
        ) from error
    found = {one: model.mask_in_box(image, box) for one, box in boxes.items()}
    labels = np.zeros(image.shape[:2], np.uint16)
    for one in sorted(found, key=lambda one: -int(found[one].sum())):
        labels[found[one]] = one
    return labels
