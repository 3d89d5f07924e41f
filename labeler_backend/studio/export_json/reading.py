"""Label Studio's tasks → records: pictures and videos with what annotators marked in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.records import Problem, Record, Tell, VideoRecord
from labeler_backend.studio.export_json.choosing import Choice, Entry, Policy, accepted_in_bulk, choose
from labeler_backend.studio.export_json.marked import EntryReader, Marked
from labeler_backend.studio.export_json.names import Names
from labeler_backend.studio.export_json.pages import MAX_PAGES, Page, pages_of
from labeler_backend.studio.export_json.pictures import picture_instances
from labeler_backend.studio.export_json.task_media import Kind, frame_of, media_of, unshown
from labeler_backend.studio.export_json.videos import VideoInfos, clip_of, look_at
from labeler_backend.studio.regions import text
from labeler_backend.studio.tags import Tags

_FIRST_HASHED_ID = 2**39  # between the ids that Label Studio gives and those of pages


def records(
    tasks: Iterable[Mapping[str, Any]],
    policy: Policy,
    tell: Tell,
    *,
    config: Tags | None = None,
    video_info: VideoInfos | None = None,
) -> Iterator[Record | VideoRecord]:
    """Tasks → a record for each picture and video, one task at a time.

    A record's id is its task's, where the task shows one picture; else 2**40 + 4096 · task id + which. A task
    without an id gets one from its data.

    Args:
        tasks: as Label Studio exports them.
        policy: which annotations to take, and how.
        tell: hears of everything that could not be taken as it is; nothing raises for the sake of one task.
        config: the project's; without, what a task shows is told from its data.
        video_info: address of a video and its task's id → what it is; None where unknown.
    """
    reader = _Reader(policy, tell, config, video_info)
    for task in tasks:
        try:
            found = reader.read(task)
        except Exception as error:  # a fault of ours may cost one task, never the export
            number = task.get("id") if isinstance(task, Mapping) else None
            reason = f"Task {number} could not be read ({type(error).__name__}: {error}): please report this."
            tell(Problem(reason, "left out", number if isinstance(number, int) else None))
        else:
            yield from found


@dataclass(frozen=True, slots=True)
class _Task:
    """`id` is Label Studio's; `record_id` stands in for it where there is none."""

    id: int | None
    record_id: int
    data: Mapping[str, Any]
    group: str
    predictions: Sequence[Any]


class _Reader:
    """Reads tasks one after another; knows which ids and names are taken."""

    def __init__(self, policy: Policy, tell: Tell, tags: Tags | None, video_info: VideoInfos | None) -> None:
        self._policy = policy
        self._tell = tell
        self._tags = tags
        self._video_info = video_info
        self._entries = EntryReader(tell, tags)
        self._names = Names()
        self._ids: set[int] = set()
        self._said: set[str] = set()

    def read(self, task: Mapping[str, Any]) -> list[Record | VideoRecord]:
        """The records of one task."""
        head = self._head(task)
        if head is None:
            return []
        annotations = self._objects(head, task, "annotations")
        wanted = self._policy.predictions != "never"
        predictions = self._objects(head, task, "predictions") if wanted else []
        choices = choose(annotations, predictions, self._policy)
        if not choices:
            return []
        read = [(choice, self._marked(head, choice)) for choice in choices]
        # Where nothing could be read, an empty record would say that there is nothing in the picture.
        kept = [(choice, found) for choice, found in read if found or not choice.entries]
        if not kept:
            return []
        pages = self._pages(head, [one for _, found in kept for one in found])
        return [
            record
            for choice, found in kept
            for page in pages
            if (record := self._record(head, choice, found, page)) is not None
        ]

    def _head(self, task: Mapping[str, Any]) -> _Task | None:
        if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
            self._tell(Problem("A task has no data: export the project again as JSON.", "left out"))
            return None
        data, given, predictions = task["data"], task.get("id"), task.get("predictions")
        task_id = given if isinstance(given, int) and not isinstance(given, bool) else 0
        task_id = task_id if 0 < task_id < _FIRST_HASHED_ID else 0
        record_id = task_id or _hashed(data)
        if record_id in self._ids:
            which = f"Task {task_id}" if task_id else "A task without an id"
            self._tell(
                Problem(f"{which} comes twice: the second one was not read.", "left out", task_id or None)
            )
            return None
        self._ids.add(record_id)
        key, clip = self._policy.group_by, frame_of(data)
        named = data.get(key) if key is not None else clip and clip[0]  # a video's frames stay together
        if key is not None and named is None:
            reason = f"The data of task {record_id} has no {key!r}: check --split-by, or add it there"
            said = f"{reason} (the task is a group of its own; further ones are not listed)."
            self._tell_once("group", Problem(said, "kept", task_id or None))
        group = str(record_id if named is None else named)
        return _Task(
            task_id or None, record_id, data, group, predictions if isinstance(predictions, list) else ()
        )

    def _tell_once(self, about: str, problem: Problem) -> None:
        """Of what is likely to be so in every task."""
        if about not in self._said:
            self._said.add(about)
            self._tell(problem)

    def _objects(self, head: _Task, task: Mapping[str, Any], key: str) -> list[Entry]:
        found = task.get(key)
        entries = found if isinstance(found, list) else [] if found is None else [None]
        kept = [entry for entry in entries if isinstance(entry, Mapping)]
        if len(kept) < len(entries):
            count = len(entries) - len(kept)
            reason = f"{count} of the {key} of task {head.record_id} are no objects: export it again as JSON."
            self._tell(Problem(reason, "left out", head.id))
        return kept

    def _marked(self, head: _Task, choice: Choice) -> list[Marked]:
        read = [self._entries.read(entry, head.id, predicted=choice.predicted) for entry in choice.entries]
        return [one for one in read if one is not None]

    def _pages(self, head: _Task, marked: Sequence[Marked]) -> list[Page]:
        used: dict[str, set[int]] = {}
        kinds: dict[str, Kind] = {}
        for one in marked:
            for drawn in one.reading.drawn():
                used.setdefault(drawn.to_name, set()).add(drawn.item_index or 0)
                kinds.setdefault(drawn.to_name, "image")
            for item in one.tracks:
                kinds.setdefault(str(item.get("to_name") or ""), "video")
                used.setdefault(str(item.get("to_name") or ""), set()).add(0)
        kinds.pop("", None)
        media, reasons = media_of(head.data, kinds, self._tags)
        for reason in reasons:
            self._tell(Problem(reason, "kept" if used else "left out", head.id))
        untold = unshown(head.data, media) if self._tags is None else []
        if untold:
            keys = ", ".join(repr(key) for key in untold[:5])
            reason = (
                f"The data of task {head.record_id} holds more pictures ({keys}) than its regions lie on: "
                f"give --config if they are labelled too, since ids count them; further ones are not listed."
            )
            self._tell_once("pictures", Problem(reason, "kept", head.id))
        pages, more = pages_of(media, used, head.record_id, self._names)
        if more:
            reason = f"Task {head.record_id} has {MAX_PAGES + more} pictures: only {MAX_PAGES} were read."
            self._tell(Problem(reason, "left out", head.id))
        places = {(page.to_name, page.index) for page in pages}
        known = any(not name for name, _ in places)  # nothing says which tag shows the only picture
        if not known and any((name, index) not in places for name in used for index in used[name]):
            self._tell_of_strays(head, marked, places)
        return pages

    def _tell_of_strays(self, head: _Task, marked: Sequence[Marked], places: set[tuple[str, int]]) -> None:
        """Regions on pictures that the task does not have."""
        for one in marked:
            for drawn in one.reading.drawn():
                if (drawn.to_name, drawn.item_index or 0) not in places:
                    reason = (
                        f"Region {text(drawn.id)!r} lies on picture {(drawn.item_index or 0) + 1} of "
                        f"{text(drawn.to_name)!r}, which task {head.record_id} does not have: draw it again."
                    )
                    self._tell(Problem(reason, "left out", head.id, one.origin.id, drawn.id or None))

    def _record(
        self, head: _Task, choice: Choice, marked: Sequence[Marked], page: Page
    ) -> Record | VideoRecord | None:
        if page.kind == "video":
            return self._video(head, choice, marked, page)
        size, found = picture_instances(page, marked, head.predictions, self._policy, self._tell, head.id)
        video, frame = frame_of(head.data) or (None, None)
        return Record(
            id=page.id,
            file_name=page.file_name,
            size=size,
            instances=found,
            uri=page.uri,
            task_id=head.id,
            group=head.group,
            annotator=choice.annotator,
            video=video,
            frame=frame,
            bulk=bool(choice.entries) and all(map(accepted_in_bulk, choice.entries)),
        )

    def _video(self, head: _Task, choice: Choice, marked: Sequence[Marked], page: Page) -> VideoRecord | None:
        info = look_at(page, self._video_info, self._tell, head.record_id)
        clip = clip_of(page, marked, info, self._tell, head.id)
        if clip is None:
            return None
        return VideoRecord(
            id=page.id,
            file_name=page.file_name,
            size=clip.size,
            frame_count=clip.frame_count,
            frame_rate=clip.frame_rate,
            tracks=clip.tracks,
            uri=page.uri,
            task_id=head.id,
            group=head.group,
            annotator=choice.annotator,
        )


def _hashed(data: Mapping[str, Any]) -> int:
    """An id for a task without one, the same whenever its data is."""
    written = json.dumps(data, sort_keys=True, default=str).encode()
    return _FIRST_HASHED_ID + (int.from_bytes(hashlib.blake2b(written, digest_size=5).digest(), "big") >> 1)
