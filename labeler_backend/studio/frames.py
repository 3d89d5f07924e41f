"""A project of a video's frames: each an image task with what was carried to it; and back to masks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labeler_backend.errors import InputError
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Shape, same_aspect, scaled, size_of, to_mask
from labeler_backend.records import Instance, Problem, Record, Tell, VideoRecord
from labeler_backend.studio.identity import PREFIX
from labeler_backend.track.masks import LARGEST_ID
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.propagate import Carried

_LISTED = 5  # names in a sentence


@dataclass(frozen=True, slots=True)
class Object:
    """One object in all frames of a video.

    Attributes:
        track: its id in the tasks; None where it was drawn without one.
        label: the one it was given most often; None where it has none.
    """

    track: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class Corrected:
    """What people said of some frames.

    Attributes:
        masks: by frame, (H, W) ids of the objects, 0 = none.
        objects: by id.
    """

    masks: Mapping[int, LabelMap]
    objects: Mapping[int, Object]


def frame_record(carried: Carried, video: str, file_name: str, labels: Mapping[int, str]) -> Record:
    """A frame with what was carried to it; the same objects have the same tracks, and regions the same ids.

    Args:
        carried: to the frame.
        video: its name, as the frame's task says it.
        file_name: of the frame's picture.
        labels: of the objects, by id; those that have none are unnamed.
    """
    instances = [
        Instance(
            shape=encode(carried.labels == number),
            label=labels.get(number),
            region_id=region_id(video, carried.index, str(number)),
            score=min(max(carried.confidence.get(number, 0.0), 0.0), 1.0),
            track_id=str(number),
        )
        for number in sorted(carried.present)
    ]
    size = (carried.labels.shape[0], carried.labels.shape[1])
    return Record(
        carried.index + 1, file_name, size, tuple(instances), group=video, video=video, frame=carried.index
    )


def region_id(video: str, frame: int, track: str) -> str:
    """Of an object in a frame; a prediction that is made anew has it, too."""
    about = f"{video}|{frame}|{track}"
    return PREFIX + hashlib.blake2b(about.encode("utf-8", "replace"), digest_size=6).hexdigest()


def corrected(records: Iterable[Record | VideoRecord], video: str, info: VideoInfo, tell: Tell) -> Corrected:
    """The frames of one video among what was exported.

    Tracks that are numbers keep them as ids; others, and objects without a track, get what is free.

    Args:
        records: of a project of frames.
        video: its name in the tasks; where all frames are of one, the name does not matter.
        info: of the video.
        tell: hears of what cannot be taken.

    Raises:
        InputError: none of its frames is there, or nothing is marked in any, or too much.
    """
    frames = _frames_of(list(_of_videos(records)), video)
    found: dict[int, list[tuple[str | None, Instance]]] = {}
    for record in frames:
        number = record.frame
        if number is None or not 0 <= number < info.frame_count:
            reason = f"The video has {info.frame_count} frames, and none {number}: check that it is the same."
            tell(Problem(reason, "left out", record.task_id, file_name=record.file_name))
        elif number in found:
            tell(Problem(f"Frame {number} comes twice: the first was taken.", "left out", record.task_id))
        else:
            found[number] = [(one.track_id, one) for one in record.instances]
    ids, objects = _numbered([one for number in sorted(found) for one in found[number]])
    if not objects:
        raise InputError(f"Nothing is marked in any frame of {video}: label one, and export again.")
    masks = {
        number: _painted([(ids[_key(track, one)], one.shape) for track, one in found[number]], info, number)
        for number in sorted(found)
    }
    return Corrected(masks, objects)


def _of_videos(records: Iterable[Record | VideoRecord]) -> Iterable[Record]:
    return (one for one in records if isinstance(one, Record) and one.video is not None)


def _frames_of(frames: Sequence[Record], video: str) -> Sequence[Record]:
    names = sorted({str(one.video) for one in frames})
    if not names:
        raise InputError(
            "No task says which frame of a video it is: export a project of `labeler frames create`, as JSON."
        )
    if len(names) == 1:
        return frames
    ours = [one for one in frames if one.video == video]
    if not ours:
        listed = ", ".join(names[:_LISTED])
        raise InputError(f"No frame is of {video}: there are frames of {listed}; name the video likewise.")
    return ours


def _key(track: str | None, one: Instance) -> tuple[str, int]:
    return (track, 0) if track is not None else ("", id(one))


def _numbered(
    instances: Sequence[tuple[str | None, Instance]],
) -> tuple[dict[tuple[str, int], int], dict[int, Object]]:
    """An id for each track and each object without one."""
    ids: dict[tuple[str, int], int] = {}
    labels: dict[int, list[str]] = {}
    own = {track for track, _ in instances if track is not None and _is_id(track)}
    taken = {int(track) for track in own}
    for track, one in instances:
        key = _key(track, one)
        if key not in ids:
            ids[key] = int(track) if track in own and track is not None else _free(taken)
            taken.add(ids[key])
        labels.setdefault(ids[key], []).extend([one.label] if one.label else [])
    if max(taken, default=0) > LARGEST_ID:
        raise InputError(
            f"There are more than {LARGEST_ID} objects: give those that are the same the same track, as "
            "`track: 3` in the Meta text of their regions."
        )
    names = {number: max(found, key=found.count) if found else None for number, found in labels.items()}
    tracks = {number: key[0] or None for key, number in ids.items()}
    return ids, {number: Object(tracks[number], names[number]) for number in sorted(tracks)}


def _is_id(track: str) -> bool:
    plain = track.isascii() and track.isdecimal() and str(int(track)) == track
    return plain and 1 <= int(track) <= LARGEST_ID


def _free(taken: set[int]) -> int:
    return next(number for number in range(1, len(taken) + 2) if number not in taken)


def _painted(shapes: Sequence[tuple[int, Shape]], info: VideoInfo, frame: int) -> LabelMap:
    """(H, W) ids, the smaller on top."""
    labels = np.zeros(info.size, np.uint16)
    masks = [(number, to_mask(_fitted(shape, info, frame))) for number, shape in shapes]
    for number, mask in sorted(masks, key=lambda one: -int(one[1].sum())):
        labels[mask] = number
    return labels


def _fitted(shape: Shape, info: VideoInfo, frame: int) -> Shape:
    size = size_of(shape)
    if size == info.size:
        return shape
    if not same_aspect(size, info.size):
        raise InputError(
            f"Frame {frame} was labelled at {size[1]}×{size[0]} pixels, and the video has "
            f"{info.size[1]}×{info.size[0]}: give the video that its pictures were taken from."
        )
    return scaled(shape, info.size)
