"""A whole project with all labels, page by page onto the disk; what breaks off goes on.

Through the Data Manager's list of tasks: Label Studio's own export builds one answer of the whole project,
which times out behind a proxy and cannot go on.

A page that is already here is used again only where the server still says the same of each of its tasks.
Label Studio sets a task's `updated_at` with nearly all that is done to its annotations and predictions;
predictions that come or go in bulk leave it, and show in how many they are, of which versions and scores.
Nothing says when a draft changes: drafts are left out.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from labeler_backend.errors import LabelerError
from labeler_backend.files import replacing
from labeler_backend.studio.client import Studio, StudioError, condition

FIRST_PAGE = 100
"""Tasks in the first request, and the most in any."""
PAGE_BYTES = 8_000_000
"""What pages are kept to, about, where tasks are large."""
WAITS = (1.0, 3.0, 10.0, 30.0, 60.0)
"""Seconds before each new attempt at a request that failed: reading twice does no harm."""

_FORMAT = 1
_STAMPS = (
    "updated_at",
    "total_annotations",
    "cancelled_annotations",
    "total_predictions",
    "predictions_model_versions",
    "predictions_score",
)
_LEFT_OUT = ("drafts", "annotations_results", "predictions_results")
# Of the computed columns only those among the stamps are wanted; the others would double the time.
_HIDDEN = (
    *("annotations_results", "predictions_results", "annotations_ids", "annotators", "completed_at"),
    *("avg_lead_time", "draft_exists", "file_upload", "storage_filename", "updated_by"),
)

_LOG = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Download:
    """A project, whole, on this machine. As a context manager it goes when its block ends well.

    What an exception leaves is checked and used by the next download. Nobody else downloads the same project
    while this is open.

    Attributes:
        folder: of its pages.
        project: its number in Label Studio.
        title: its name.
        config: its labelling config, XML.
        tasks: how many.
    """

    folder: Path
    project: int
    title: str
    config: str
    tasks: int
    _lock: BaseFileLock = field(repr=False)

    def __enter__(self) -> Download:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()


def download(
    studio: Studio, project: int, folder: Path, progress: Progress, *, resume: bool = True
) -> Download:
    """Fetches all tasks of a project with their annotations and predictions.

    Args:
        studio: where from.
        project: its number there.
        folder: for all downloads; each project has one of its own in it, named by a hash of URL and number.
        progress: given how many tasks are here and how many there are.
        resume: whether what an earlier attempt left is used, where nothing changed in it.

    Raises:
        StudioError: the project is not there, or Label Studio went on failing. What was fetched stays.
        LabelerError: another download of it is running, or `folder` cannot be written.
    """
    found = studio.project(project)
    name = hashlib.sha256(f"{studio.url} {project}".encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = _locked(folder / f"{name}.lock", studio, project)
        try:
            run = _Run(studio, project, folder / name, progress, int(found.get("task_number") or 0))
            run.whole(resume)
        except BaseException:
            lock.release()
            raise
    except OSError as error:
        raise LabelerError(
            f"{folder} cannot be written ({error.strerror or error}): check the disk, or set "
            "LABELER_CACHE_DIR to another."
        ) from error
    title, config = str(found.get("title") or ""), str(found.get("label_config") or "")
    return Download(folder / name, project, title, config, run.done, lock)


def studio_tasks(download: Download) -> Iterator[dict[str, Any]]:
    """Its tasks by rising id, one at a time, as they stand in a JSON export, predictions whole."""
    for page in _pages(download.folder):
        with page.open("rb") as lines:
            next(lines)
            for line in lines:
                yield json.loads(line)


@dataclass(slots=True)
class _Run:
    """One download at work.

    A page is a file: a line that says which range of ids it covers and what the server said of each task,
    then a task a line.

    Attributes:
        total: tasks in the project, as far as known.
        done: tasks that are here.
        size: tasks in the next request.
        most: in any; falls with each timeout.
    """

    studio: Studio
    project: int
    folder: Path
    progress: Progress
    total: int
    done: int = 0
    size: int = field(default_factory=lambda: FIRST_PAGE)
    most: int = field(default_factory=lambda: FIRST_PAGE)

    def whole(self, resume: bool) -> None:
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.progress(0, self.total)
        last = 0
        for page in _pages(self.folder):
            head = _head(page)
            if head is None or head["after"] < last:
                page.unlink()
                continue
            if head["after"] > last:
                self._fetch(last, head["after"])
            if self._stamps(head["after"], head["last"], len(head["stamps"])) == head["stamps"]:
                self._count(len(head["stamps"]))
            else:
                page.unlink()
                self._fetch(head["after"], head["last"])
            last = head["last"]
        self._fetch(last, None)

    def _fetch(self, after: int, last: int | None) -> None:
        """All tasks with ids above `after`, up to `last`."""
        while last is None or after < last:
            found = self._ask(_between(after, last), (), lambda: self.size)
            tasks = found["tasks"]
            if not tasks:
                return
            if last is None:
                self.total = self.done + int(found["total"])
            upto = max(task["id"] for task in tasks)
            if upto <= after:  # would go on for ever
                reason = f"{self.studio.url} sends tasks that were not asked for: update Label Studio."
                raise StudioError(reason)
            size = _write(self.folder, after, upto, tasks)
            self.size = max(1, min(self.most, len(tasks) * PAGE_BYTES // size))
            self._count(len(tasks))
            after = upto

    def _stamps(self, after: int, last: int, count: int) -> dict[str, list[Any]]:
        """What the server says of the tasks in a range; of one more than there should be, to see it."""
        fields = ("id", *_STAMPS)
        found = self._ask(_between(after, last), fields, lambda: count + 1, hidden=_HIDDEN)
        return {str(task["id"]): _stamp(task) for task in found["tasks"]}

    def _ask(
        self,
        conditions: Sequence[Mapping[str, Any]],
        fields: Sequence[str],
        limit: Callable[[], int],
        hidden: Sequence[str] = (),
    ) -> dict[str, Any]:
        """One request, again where that may help; for fewer tasks where it took too long."""
        for wait in (*WAITS, None):
            try:
                found = self.studio.find(self.project, conditions, fields, limit(), hidden=hidden)
            except StudioError as error:
                if not _may_pass(error):
                    raise
                if wait is None:
                    raise StudioError(_given_up(error), error.status) from error
                _LOG.debug("Again in %s s: %s", wait, error)
                if error.reached:
                    self.most = self.size = max(1, self.size // 4)
                time.sleep(wait)
            else:
                if isinstance(found, Mapping) and isinstance(found.get("tasks"), list):
                    return found
                raise StudioError(f"{self.studio.url} answers, but not as Label Studio does: check the URL.")
        raise AssertionError("the last attempt returns or raises")

    def _count(self, tasks: int) -> None:
        self.done += tasks
        self.progress(self.done, max(self.done, self.total))


def _between(after: int, last: int | None) -> list[dict[str, Any]]:
    if last is None:
        return [condition("id", "greater", after)]
    return [condition("id", "in", {"min": after + 1, "max": last})]


def _may_pass(error: StudioError) -> bool:
    return error.status is None or error.status >= 500 or error.status in (408, 429)


def _given_up(error: StudioError) -> str:
    text = str(error).rstrip(".")
    return f"{text}. That was attempt {len(WAITS) + 1}; what was downloaded is kept for the next run."


def _stamp(task: Mapping[str, Any]) -> list[Any]:
    values = [task.get(name) for name in _STAMPS]
    # Joined from a set: the order is another one each time.
    return [sorted(value.split(",")) if isinstance(value, str) else value for value in values]


def _write(folder: Path, after: int, last: int, tasks: Sequence[Mapping[str, Any]]) -> int:
    """One page → its bytes."""
    stamps = {str(task["id"]): _stamp(task) for task in tasks}
    kept = [{key: value for key, value in task.items() if key not in _LEFT_OUT} for task in tasks]
    head = {"format": _FORMAT, "after": after, "last": last, "stamps": stamps}
    data = "".join(json.dumps(line) + "\n" for line in (head, *kept)).encode("ascii")
    with replacing(folder / f"{after:016d}.jsonl") as part:
        part.write_bytes(data)
    return len(data)


def _pages(folder: Path) -> list[Path]:
    return sorted(page for page in folder.glob("*.jsonl") if not page.name.startswith("."))


def _head(page: Path) -> dict[str, Any] | None:
    """The first line of a page; None where it is none of ours."""
    try:
        with page.open("rb") as lines:
            head = json.loads(next(lines))
    except (StopIteration, ValueError):
        return None
    return head if isinstance(head, dict) and head.get("format") == _FORMAT else None


def _locked(path: Path, studio: Studio, project: int) -> BaseFileLock:
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LabelerError(
            f"Another labeler export works on project {project} of {studio.url}: wait for it to finish."
        ) from error
    return lock
