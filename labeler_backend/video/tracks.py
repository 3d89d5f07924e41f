"""Masks through a video → tracks: boxes, lifespans, the key frames that suffice; records of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt

from labeler_backend import records
from labeler_backend.masks.rle import RLE, BoolMask, encode_at
from labeler_backend.masks.shape import Polygons, Shape
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.pieces import tight_box
from labeler_backend.video.propagate import Carried

FloatArray = npt.NDArray[np.float64]

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

_LOOK_AHEAD = 1024
"""Frames between two key frames at most; what rests for longer gets one more, and searching stays quick."""
_FIRST_LOOK = 32
_ROUNDING = 1e-9  # pixels


@dataclass(frozen=True, slots=True)
class Track:
    """One object through a video.

    Attributes:
        id: of the object, as in the masks.
        boxes: by frame, from 0; only frames in which it is to be seen.
        confidence: in [0, 1], of the same frames.
    """

    id: int
    boxes: dict[int, Box]
    confidence: dict[int, float]


@dataclass(frozen=True, slots=True)
class Key:
    """A frame whose box is stated; those between two of them are interpolated.

    Attributes:
        frame: from 0.
        box: there.
        enabled: false ends a lifespan, as in Label Studio: the object is still to be seen in this frame, and
            after it no more until the next key frame.
    """

    frame: int
    box: Box
    enabled: bool


def tracks_of(carried: Iterable[Carried]) -> list[Track]:
    """Of every object seen, by rising id; boxes and confidences are kept, frames are not."""
    found: dict[int, Track] = {}
    for one in carried:
        for number in one.present:
            box = tight_box(one.labels == number)
            if box is not None:
                track = found.setdefault(number, Track(number, {}, {}))
                track.boxes[one.index] = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
                track.confidence[one.index] = one.confidence.get(number, 0.0)
    return [found[number] for number in sorted(found)]


def lifespans(track: Track, n_frames: int) -> list[tuple[int, int]]:
    """First and last frame of every stretch in which it is to be seen, among the first `n_frames`."""
    spans: list[tuple[int, int]] = []
    for frame in sorted(frame for frame in track.boxes if frame < n_frames):
        if spans and spans[-1][1] == frame - 1:
            spans[-1] = (spans[-1][0], frame)
        else:
            spans.append((frame, frame))
    return spans


def keyframes(track: Track, tolerance: float, relative: float = 0.0) -> list[Key]:
    """The fewest key frames between which every box can be interpolated.

    They are boxes of the track itself. From each frame all are found that a straight line reaches within
    tolerance (the cone of Sklansky and Gonzalez 1980), and of the ways through a lifespan a shortest is taken
    (Imai and Iri 1988).

    Args:
        track: whose boxes.
        tolerance: pixels by which any side of a box may be off in any frame.
        relative: the same as a share of the box there, of its width for left and right, of its height for top
            and bottom; the larger of both counts.

    Returns:
        By rising frame. The last one of every lifespan is not enabled, that of a single frame included.
    """
    keys = []
    for first, last in lifespans(track, max(track.boxes, default=-1) + 1):
        boxes = np.array([track.boxes[frame] for frame in range(first, last + 1)], np.float64)
        sides = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        allowed = np.maximum(tolerance, relative * np.tile(boxes[:, 2:], 2)) + _ROUNDING
        for frame in (first + position for position in _shortest(sides, allowed)):
            keys.append(Key(frame, track.boxes[frame], enabled=frame < last))
    return keys


def interpolated(keys: Sequence[Key], n_frames: int) -> dict[int, Box]:
    """By frame, the boxes of key frames and between them, as Label Studio draws them."""
    boxes: dict[int, Box] = {}
    for key, after in zip_longest(keys, keys[1:]):
        end = after.frame if after else n_frames
        for frame in range(key.frame, min(end, n_frames) if key.enabled else key.frame + 1):
            share = (frame - key.frame) / (end - key.frame) if after else 0.0
            x, y, w, h = (a + share * (b - a) for a, b in zip(key.box, (after or key).box, strict=True))
            boxes[frame] = (x, y, w, h)
    return boxes


def mask_record(carried: Iterable[Carried], name: str, info: VideoInfo) -> records.VideoRecord:
    """Masks → what `exporters` write; in memory they are run-length encoded.

    Args:
        carried: frames in any order.
        name: file name of the video.
        info: of it.
    """
    shapes: dict[int, dict[int, Shape]] = {}
    sure: dict[int, list[float]] = {}
    for one in carried:
        for number in one.present:
            code = _encoded(one.labels == number)
            if code is not None:
                shapes.setdefault(number, {})[one.index] = code
                sure.setdefault(number, []).append(one.confidence.get(number, 0.0))
    scores = {number: sum(values) / len(values) for number, values in sure.items()}
    return _record(shapes, scores, name, info)


def box_record(tracks: Iterable[Track], name: str, info: VideoInfo) -> records.VideoRecord:
    """Boxes → what `exporters` write; as `mask_record`."""
    shapes: dict[int, dict[int, Shape]] = {}
    scores: dict[int, float] = {}
    for track in tracks:
        shapes[track.id] = {frame: _rectangle(box, info.size) for frame, box in track.boxes.items()}
        scores[track.id] = sum(track.confidence.values()) / max(len(track.confidence), 1)
    return _record(shapes, scores, name, info)


def _record(
    shapes: Mapping[int, Mapping[int, Shape]], scores: Mapping[int, float], name: str, info: VideoInfo
) -> records.VideoRecord:
    tracks = [records.Track(str(n), None, shapes[n], score=scores[n]) for n in sorted(shapes)]
    return records.VideoRecord(1, name, info.size, info.frame_count, info.frame_rate, tuple(tracks))


def _encoded(mask: BoolMask) -> RLE | None:
    """Only the part within its box is looked at, which is quicker; None where nothing is set."""
    box = tight_box(mask)
    if box is None:
        return None
    x, y, w, h = box
    return encode_at(mask[y : y + h, x : x + w], (y, x), (mask.shape[0], mask.shape[1]))


def _rectangle(box: Box, size: tuple[int, int]) -> Polygons:
    """A box, cut off at the edges of the picture (H, W)."""
    x, y, w, h = box
    left, right = np.clip([x, x + w], 0, size[1])
    top, bottom = np.clip([y, y + h], 0, size[0])
    return Polygons((np.array([[left, top], [right, top], [right, bottom], [left, bottom]]),), size)


def _shortest(sides: FloatArray, allowed: FloatArray) -> list[int]:
    """Positions from the first to the last, as few as possible, between which lines keep to what is allowed.

    Args:
        sides: (n, 4) left, top, right, bottom of every frame's box.
        allowed: (n, 4) by how much each may be off.
    """
    last = len(sides) - 1
    before: dict[int, int] = {0: 0}
    level = [0]
    while last not in before:
        following: list[int] = []
        for start in reversed(level):  # late ones first: they may reach the end
            new = [end for end in _reached(sides, allowed, start) if end not in before]
            before.update(dict.fromkeys(new, start))
            following += new
            if last in before:
                break
        level = sorted(following)
    way = [last]
    while way[-1]:
        way.append(before[way[-1]])
    return way[::-1]


def _reached(sides: FloatArray, allowed: FloatArray, start: int) -> Iterator[int]:
    """Positions after `start` to which a line from there passes all in between as near as allowed."""
    span = _FIRST_LOOK
    while True:
        ahead = slice(start + 1, start + 1 + span)
        steps = np.arange(1, len(sides[ahead]) + 1)[:, None]
        slopes = (sides[ahead] - sides[start]) / steps
        room = allowed[ahead] / steps
        lowest = np.maximum.accumulate(slopes - room)
        highest = np.minimum.accumulate(slopes + room)
        open_to = np.all(lowest <= highest, axis=1)
        if not open_to[-1] or span >= _LOOK_AHEAD or ahead.stop >= len(sides):
            break
        span *= 2
    passes = np.all((slopes[1:] >= lowest[:-1]) & (slopes[1:] <= highest[:-1]), axis=1)
    yield start + 1
    yield from (start + 2 + np.flatnonzero(passes)).tolist()
