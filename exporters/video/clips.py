"""Videos as the formats for videos take them, also put together from frames that came one at a time."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from exporters.writer import problem
from labeler_backend.masks.shape import Shape, size_of, union
from labeler_backend.records import Instance, Problem, Record, Tell, Track, VideoRecord

_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Clip:
    """A video with its name and the numbers of its frames.

    Attributes:
        video: its tracks' frames count positions in `numbers`.
        folder: its name, as a folder can have it; no two videos of a data set share one.
        numbers: of its frames, from 0, rising; all of them, or those of a series of pictures taken from it.
        suffix: of its pictures' names, with the dot.
        split: where it belongs; None without splits.
    """

    video: VideoRecord
    folder: str
    numbers: Sequence[int]
    suffix: str
    split: str | None


class Folders:
    """Names for videos: short, safe on every system, and different from each other."""

    def __init__(self) -> None:
        self._names: dict[Hashable, str] = {}
        self._taken: set[str] = set()

    def name(self, key: Hashable, wish: str) -> str:
        """The name of `key`'s folder, the same each time; `wish`: what it should be like."""
        if key not in self._names:
            self._names[key] = self._free(
                _NOT_IN_NAMES.sub("_", wish).strip("._-")[:_LONGEST_NAME] or "video"
            )
        return self._names[key]

    def _free(self, wish: str) -> str:
        name, number = wish, 1
        while name.lower() in self._taken:  # some file systems do not tell A from a
            number += 1
            name = f"{wish}-{number}"
        self._taken.add(name.lower())
        return name


@dataclass(slots=True)
class _Series:
    """Frames of one video, as they come."""

    first: Record
    split: str | None
    frames: dict[int, Record] = field(default_factory=dict)


class Gathering:
    """Frames that are labelled one by one, waiting until all of their video have come.

    What waits are their shapes as they are, a few hundred bytes each.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._series: dict[Hashable, _Series] = {}
        self._owners: dict[Hashable, int] = {}

    def owns(self, record: Record) -> bool:
        """Whether this record is the one that stands for its frame: the first that came."""
        return self._owners.setdefault((_key(record), record.frame), record.id) == record.id

    def add(self, record: Record, split: str | None) -> None:
        """Takes one frame in, or tells why not."""
        series = self._of(record, split)
        where = f"Frame {record.frame} of {record.video!r}"
        if record.frame is None or record.frame < 0:
            reason = (
                f"{record.file_name!r} does not say which frame of {record.video!r} it is: name it by number."
            )
            self._left_out(record, reason)
        elif not self.owns(record) or record.frame in series.frames:
            self._left_out(record, f"{where} comes twice: keep one of its tasks.")
        elif record.size != series.first.size:
            self._left_out(record, f"{where} is not of the size of the video's other frames: resize it.")
        else:
            series.frames[record.frame] = record
            if split != series.split:
                self._tell(
                    problem(record, f"{where} is in another split than its video: it went there.", "mended")
                )

    def clips(self, folders: Folders) -> Iterator[Clip]:
        """The videos, in the order of their first frames, each once; they are let go of on the way."""
        while self._series:
            key = next(iter(self._series))
            series = self._series.pop(key)
            if series.frames:
                yield self._clip(series, folders.name(key, str(series.first.video)))

    def _of(self, record: Record, split: str | None) -> _Series:
        return self._series.setdefault(_key(record), _Series(record, split))

    def _clip(self, series: _Series, folder: str) -> Clip:
        numbers = sorted(series.frames)
        frames = [series.frames[number] for number in numbers]
        tracks, loose = _tracks(frames)
        if loose:
            reason = (
                f"{loose} objects in the frames of {series.first.video!r} have no track: each became its own."
            )
            self._tell(problem(series.first, reason, "mended"))
        assert series.first.size is not None  # the writers' contract
        video = VideoRecord(
            id=min(frame.id for frame in frames),
            file_name=str(series.first.video),
            size=series.first.size,
            frame_count=len(frames),
            frame_rate=None,
            tracks=tracks,
            task_id=series.first.task_id,
            group=series.first.group,
            annotator=series.first.annotator,
            frame_names=tuple(frame.file_name for frame in frames),
        )
        return Clip(video, folder, numbers, suffix_of(frames[0].file_name), series.split)

    def _left_out(self, record: Record, reason: str) -> None:
        self._tell(problem(record, reason, "left out"))


def whole(video: VideoRecord, split: str | None, folders: Folders) -> Clip:
    """A video that came as one."""
    names = video.frame_names
    suffix = suffix_of(names[0]) if names else ".jpg"
    return Clip(video, folders.name(("video", video.id, video.file_name), _stem(video.file_name)),
                range(video.frame_count), suffix, split)  # fmt: skip


def frame_folder(record: Record, folders: Folders) -> str:
    """The folder of a frame's video."""
    return folders.name(_key(record), str(record.video))


def suffix_of(name: str) -> str:
    """`.jpg` of `a/b.jpg`; `.jpg` also where there is none."""
    return PurePosixPath(name).suffix.lower() or ".jpg"


def checked(clip: Clip, tell: Tell) -> Clip:
    """The clip without shapes that do not fit it; told once per track."""
    tracks = []
    for track in clip.video.tracks:
        fitting = {n: shape for n, shape in sorted(track.shapes.items()) if _fits(clip.video, n, shape)}
        if len(fitting) < len(track.shapes):
            reason = (
                f"{len(track.shapes) - len(fitting)} frames of track {track.id!r} lie outside the "
                f"{clip.video.frame_count} frames of {clip.video.file_name!r} or are of another size: check "
                "that it is the same video."
            )
            tell(track_problem(clip.video, track, reason))
        if fitting:
            tracks.append(replace(track, shapes=fitting))
    return replace(clip, video=replace(clip.video, tracks=tuple(tracks)))


def track_problem(video: VideoRecord, track: Track, reason: str) -> Problem:
    """What a writer tells of a track that it leaves out."""
    region = track.region_id or None
    return Problem(reason, "left out", video.task_id, track.annotation_id, region, video.file_name)


def _fits(video: VideoRecord, number: int, shape: Shape) -> bool:
    return 0 <= number < video.frame_count and size_of(shape) == tuple(video.size)


def _tracks(frames: Sequence[Record]) -> tuple[tuple[Track, ...], int]:
    """Instances by their tracks, in the order in which they appear, and how many had none."""
    found: dict[Hashable, list[tuple[int, Instance]]] = {}
    loose = 0
    for position, frame in enumerate(frames):
        for number, instance in enumerate(frame.instances):
            named = instance.track_id is not None
            loose += not named
            found.setdefault(instance.track_id if named else (position, number), []).append(
                (position, instance)
            )
    taken = {key for key in found if isinstance(key, str)}
    tracks = []
    for key, parts in found.items():
        name = key if isinstance(key, str) else _free_id(taken)
        tracks.append(_track(name, parts))
    return tuple(tracks), loose


def _free_id(taken: set[str]) -> str:
    """A number that no track has as its id."""
    number = len(taken) + 1
    while str(number) in taken:
        number += 1
    taken.add(str(number))
    return str(number)


def _track(name: str, parts: Sequence[tuple[int, Instance]]) -> Track:
    """One object's instances, by position; several in one frame are parts of it."""
    shapes: dict[int, Shape] = {}
    for position, instance in parts:
        known = shapes.get(position)
        shapes[position] = instance.shape if known is None else union([known, instance.shape])
    first = parts[0][1]
    scores = [instance.score for _, instance in parts if instance.score is not None]
    attributes = dict(first.attributes)
    if any(instance.crowd for _, instance in parts):
        attributes["iscrowd"] = True
    return Track(
        id=name,
        label=first.label,
        shapes=shapes,
        region_id=first.region_id,
        annotation_id=first.annotation_id,
        annotator=first.annotator,
        score=sum(scores) / len(scores) if scores else None,
        attributes=attributes,
    )


def _key(record: Record) -> Hashable:
    return ("frames", record.video, record.annotator)


def _stem(file_name: str) -> str:
    return str(PurePosixPath(file_name).with_suffix("")) if file_name else ""
