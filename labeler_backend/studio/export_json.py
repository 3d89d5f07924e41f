"""Label Studio's tasks → records: pictures and videos with what annotators marked in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend import merging
from labeler_backend.errors import InputError
from labeler_backend.records import Instance, Problem, Record, Tell, VideoRecord
from labeler_backend.studio.attributes import beside_of
from labeler_backend.studio.choosing import Choice, Entry, Policy, annotator_of, choose, entry_id
from labeler_backend.studio.config import LabelingConfig
from labeler_backend.studio.instances import Origin, Size, fitted, instances, majority
from labeler_backend.studio.names import Names
from labeler_backend.studio.regions import region_size
from labeler_backend.studio.results import LabeledObject, Reading, read_result
from labeler_backend.studio.tags import Tags, read_tags
from labeler_backend.studio.task_files import ExportError, tasks_in
from labeler_backend.studio.task_media import Kind, Medium, frame_of, media_of
from labeler_backend.video.info import VideoInfo

__all__ = ["ExportError", "Policy", "records", "tasks_in"]

VideoInfos = Callable[[str, int], VideoInfo | None]

_PAGES = 4096  # of one task
_FIRST_PAGED_ID = 2**40
_FIRST_HASHED_ID = 2**39


def records(
    tasks: Iterable[Mapping[str, Any]],
    policy: Policy,
    tell: Tell,
    *,
    config: LabelingConfig | Tags | None = None,
    video_info: VideoInfos | None = None,
) -> Iterator[Record | VideoRecord]:
    """Tasks → a record for each picture and video, one task at a time.

    Args:
        tasks: as Label Studio exports them.
        policy: which annotations to take, and how.
        tell: hears of everything that could not be taken as it is; nothing raises for the sake of one task.
        config: the project's; without, what a task shows is told from its data.
        video_info: address of a video and its task's id → what it is; None where unknown.
    """
    tags = read_tags(config.xml) if isinstance(config, LabelingConfig) else config
    reader = _Reader(policy, tell, tags, video_info)
    for task in tasks:
        yield from reader.read(task)


@dataclass(frozen=True, slots=True)
class _Task:
    id: int | None
    record_id: int
    data: Mapping[str, Any]
    group: str


@dataclass(frozen=True, slots=True)
class _Marked:
    """One annotation or prediction, read."""

    origin: Origin
    reading: Reading


@dataclass(frozen=True, slots=True)
class _Picture:
    """One picture of a task."""

    to_name: str
    page: int
    uri: str | None
    id: int
    file_name: str


class _Reader:
    """Reads tasks one after another; knows which ids and names are taken."""

    def __init__(self, policy: Policy, tell: Tell, tags: Tags | None, video_info: VideoInfos | None) -> None:
        self._policy = policy
        self._tell = tell
        self._tags = tags
        self._video_info = video_info
        self._names = Names()
        self._ids: set[int] = set()

    def read(self, task: Mapping[str, Any]) -> list[Record | VideoRecord]:
        head = self._head(task)
        if head is None:
            return []
        annotations = self._entries(head, task, "annotations")
        wanted = self._policy.predictions != "never"
        predictions = self._entries(head, task, "predictions") if wanted else []
        choices = choose(annotations, predictions, self._policy)
        marked = [[m for entry in c.entries for m in self._marked(head, entry, c)] for c in choices]
        if not choices:
            return []
        pictures = self._pictures(head, [m.reading for ms in marked for m in ms])
        return [
            record
            for choice, ms in zip(choices, marked, strict=True)
            for record in self._records(head, choice, ms, pictures)
        ]

    def _head(self, task: Mapping[str, Any]) -> _Task | None:
        if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
            self._tell(Problem("A task has no data: export the project again.", "left out"))
            return None
        data, given = task["data"], task.get("id")
        task_id = given if isinstance(given, int) and not isinstance(given, bool) else None
        task_id = task_id if task_id is not None and 0 < task_id < _FIRST_HASHED_ID else None
        record_id = task_id or _hashed(data)
        if record_id in self._ids:
            reason = f"Task {task_id or ''} comes twice: the second one was not read."
            self._tell(Problem(reason, "left out", task_id))
            return None
        self._ids.add(record_id)
        key = self._policy.group_by
        group = str(data.get(key, record_id)) if key else str(record_id)
        return _Task(task_id, record_id, data, group)

    def _entries(self, head: _Task, task: Mapping[str, Any], key: str) -> list[Entry]:
        found = task.get(key) or []
        if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
            reason = f"The {key} of task {head.id} are not all objects: export the project again as JSON."
            self._tell(Problem(reason, "left out", head.id))
        return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []

    def _marked(self, head: _Task, entry: Entry, choice: Choice) -> Iterator[_Marked]:
        score = entry.get("score")
        origin = Origin(
            entry_id(entry),
            None if choice.predicted else annotator_of(entry),
            float(score) if choice.predicted and isinstance(score, int | float) and 0 <= score <= 1 else None,
        )
        try:
            reading = read_result(entry.get("result") or [])
        except InputError as error:
            self._tell(Problem(str(error), "left out", head.id, origin.id))
            return
        for note in reading.notes:
            self._tell(Problem(note.reason, note.done, head.id, origin.id, note.id or None))
        yield _Marked(origin, reading)

    def _pictures(self, head: _Task, readings: Sequence[Reading]) -> list[_Picture]:
        used: dict[str, Kind] = {}
        for reading in readings:
            for one in (*reading.objects, *reading.points):
                used.setdefault(one.to_name, "image")
        media, reasons = media_of(head.data, used, self._tags)
        for reason in reasons:
            self._tell(Problem(reason, "kept" if used else "left out", head.id))
        return self._named(head, [medium for medium in media if medium.kind == "image"])

    def _named(self, head: _Task, media: Sequence[Medium]) -> list[_Picture]:
        pages = [(m.to_name, n, uri) for m in media for n, uri in enumerate(m.uris or (None,))]
        stem = f"task-{head.record_id}"
        if len(pages) == 1:
            [(to_name, page, uri)] = pages
            return [_Picture(to_name, page, uri, head.record_id, self._names.take(uri, stem))]
        first = _FIRST_PAGED_ID + head.record_id * _PAGES
        return [
            _Picture(to_name, page, uri, first + n, self._names.take(uri, f"{stem}-{n}"))
            for n, (to_name, page, uri) in enumerate(pages[:_PAGES])
        ]

    def _records(
        self, head: _Task, choice: Choice, marked: Sequence[_Marked], pictures: Sequence[_Picture]
    ) -> Iterator[Record]:
        video, frame = frame_of(head.data) or (None, None)
        for picture in pictures:
            by_entry, sizes = [], []
            for one in marked:
                objects = [o for o in one.reading.objects if _lies_on(o, picture, pictures)]
                by_entry.append(instances(objects, beside_of(one.reading.others), one.origin, self._policy))
                sizes += [region_size(o.item) or (1, 1) for o in objects]
            size = majority(sizes)
            yield Record(
                id=picture.id,
                file_name=picture.file_name,
                size=size,
                instances=tuple(self._agreed(by_entry, size)),
                uri=picture.uri,
                task_id=head.id,
                group=head.group,
                annotator=choice.annotator,
                video=video,
                frame=frame,
            )

    def _agreed(self, by_entry: Sequence[Sequence[Instance]], size: Size | None) -> Sequence[Instance]:
        if size is None:
            return []
        scaled = [fitted(found, size) for found in by_entry]
        return merging.consensus(scaled) if len(scaled) > 1 else scaled[0]


def _lies_on(one: LabeledObject, picture: _Picture, pictures: Sequence[_Picture]) -> bool:
    if (one.item_index or 0) != picture.page:
        return False
    return one.to_name == picture.to_name or not picture.to_name


def _hashed(data: Mapping[str, Any]) -> int:
    """An id for a task without one, the same whenever its data is."""
    text = json.dumps(data, sort_keys=True, default=str)
    return _FIRST_HASHED_ID + int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).digest(), "big")
