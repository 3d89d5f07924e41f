"""What became of the proposals, kept in one SQLite file: what was answered, and what was submitted since."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from labeler_backend.report.fates import OUTCOMES, Fate, Submission
from labeler_backend.server import acceptance_reading as reading
from labeler_backend.server.acceptance_file import open_file
from labeler_backend.server.acceptance_matching import answered, clicked_before, fates_of, listed
from labeler_backend.server.acceptance_reading import Counts
from labeler_backend.server.protocol import WebhookEvent
from labeler_backend.server.shapes import pack, shapes
from labeler_backend.studio.prediction import Prediction

log = logging.getLogger(__name__)

_FORGET_OLD = """
DELETE FROM answers WHERE project = ?1 AND task = ?2 AND clicked = 0 AND version NOT IN (
    SELECT version FROM answers WHERE project = ?1 AND task = ?2 AND clicked = 0 ORDER BY at DESC LIMIT ?3
) AND version NOT IN (
    SELECT version FROM annotations WHERE project = ?1 AND task = ?2 AND version IS NOT NULL
)
"""
_ANNOTATION = """
INSERT OR REPLACE INTO annotations (
    project, id, task, updated, counted, accepted, edited, redrawn, rejected, drawn,
    version, exact, parent, created, seconds, bulk
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_VERSIONS_KEPT = 3  # per task: somebody may have had it open for long
_CLICKED_KEPT = 50  # regions per task
_BELONGS = (
    ("annotations", "id", "annotation"),
    ("annotations", "task", "task"),
    ("regions", "annotation", "annotation"),
    ("regions", "task", "task"),
    ("answers", "task", "task"),
)
_CREATED = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})


class Acceptance:
    """The record. Safe to share between threads and processes; every call is whole or did not happen.

    `project` is any name of a project that is its own: where several Label Studios use one backend it must
    hold more than the number. That a count could not be written is logged and never costs anybody an answer.
    """

    def __init__(self, path: Path) -> None:
        """Opens the SQLite file `path`, or makes it, with its folder.

        Raises:
            LabelerError: it cannot be opened or made.
        """
        self._lock = threading.Lock()
        self._db = open_file(path)

    def close(self) -> None:
        """Nothing can be recorded afterwards."""
        with self._lock:
            self._db.close()

    def record_answer(self, project: str, task: int, answer: Prediction, clicked: bool = False) -> None:
        """What /predict is about to answer for a task; call it before the answer leaves.

        Args:
            project: see the class.
            task: its number in Label Studio.
            answer: with its regions; an earlier one of the same version is replaced.
            clicked: whether it answers a click. Then it adds to what was answered before, and what the
                annotator does not take of it is no rejection.
        """
        if not _storable(task):
            return
        sent = list(shapes(answer.result).items())
        key = (project, task, "" if clicked else answer.model_version, int(clicked))

        def write(db: sqlite3.Connection) -> None:
            known = clicked_before(db, project, task) if clicked else []
            kept = pack([*known, *sent][-_CLICKED_KEPT:] if clicked else sent)
            db.execute("INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?,?)", (*key, time.time(), kept))
            db.execute(_FORGET_OLD, (project, task, _VERSIONS_KEPT))

        self._write(write)

    def record_event(self, project: str, event: WebhookEvent) -> None:
        """Whatever /webhook got; what has nothing to do with annotations is ignored."""
        extra = event.model_extra or {}
        if event.action in _CREATED:
            self.record_annotations(project, listed(extra.get("annotation")), listed(extra.get("task")))
        elif event.action == "ANNOTATIONS_DELETED":
            self.forget(project, annotations=_ids(extra.get("annotations")))
        elif event.action == "TASKS_DELETED":
            self.forget(project, tasks=_ids(extra.get("tasks")))

    def record_annotations(
        self,
        project: str,
        annotations: Sequence[Mapping[str, Any]],
        tasks: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Submitted or changed annotations, as they stand in Label Studio's events.

        Each is compared with what was answered for its task so far. Events may come twice or late: the newest
        state of each annotation counts, and a deleted one stays deleted. Skipped ones do not count.

        Args:
            project: see the class.
            annotations: `id`, `task`, `result`, `was_cancelled`, `parent_prediction`, `lead_time`,
                `created_at`, `updated_at`.
            tasks: theirs, in the same order, for annotations that do not name their task.
        """
        for place, annotation in enumerate(annotations):
            named = [annotation.get("task"), tasks[place].get("id") if place < len(tasks) else None]
            task = next(filter(_storable, named), None)
            if task is not None and _storable(annotation.get("id")):
                self._record(project, task, annotation)

    def record_tasks(self, project: str, tasks: Iterable[Mapping[str, Any]]) -> int:
        """Annotations as they stand in an export of Label Studio, with the predictions they began with.

        That says for certain which prediction an annotation began with, where events leave it to be found
        out. What is known already of an annotation is replaced, unless it is newer.

        Args:
            project: see the class.
            tasks: with `id`, `annotations` and `predictions`, each of these with `id`, `model_version` and
                `result`; where predictions are only numbers, as in some exports, they are passed over.

        Returns:
            How many annotations there were.
        """
        found = 0
        for task in tasks:
            if not _storable(task.get("id")):
                continue
            sent = {one["id"]: one for one in listed(task.get("predictions")) if _storable(one.get("id"))}
            for annotation in listed(task.get("annotations")):
                if _storable(annotation.get("id")):
                    self._record(project, task["id"], annotation, sent)
                    found += 1
        return found

    def forget(self, project: str, annotations: Iterable[int] = (), tasks: Iterable[int] = ()) -> None:
        """Annotations, or tasks with all that belongs to them, were deleted in Label Studio."""
        now = time.time()
        gone = {"annotation": list(filter(_storable, annotations)), "task": list(filter(_storable, tasks))}

        def write(db: sqlite3.Connection) -> None:
            for kind, numbers in gone.items():
                rows = [(project, kind, number, now) for number in numbers]
                db.executemany("INSERT OR REPLACE INTO forgotten VALUES (?,?,?,?)", rows)
            for table, column, kind in _BELONGS:
                db.executemany(
                    f"DELETE FROM {table} WHERE project = ? AND {column} = ?",
                    [(project, number) for number in gone[kind]],
                )

        self._write(write)

    def counts(self, project: str) -> Counts:
        """So far."""
        with self._lock:
            return reading.counts(self._db, project)

    def submissions(self, project: str) -> list[Submission]:
        """Every annotation that counts, with its regions, in the order in which they were made."""
        with self._lock:
            return reading.submissions(self._db, project)

    def summaries(self, project: str) -> list[Submission]:
        """The same with all annotations of a version as one, which is much quicker where there are many."""
        with self._lock:
            return reading.summaries(self._db, project)

    def projects(self) -> list[str]:
        """Those with an answer or an annotation."""
        with self._lock:
            rows = self._db.execute("SELECT project FROM answers UNION SELECT project FROM annotations")
            return sorted(row[0] for row in rows)

    def _record(
        self,
        project: str,
        task: int,
        annotation: Mapping[str, Any],
        predictions: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """`predictions` are those of the task in Label Studio, by their numbers, where they are known."""
        number, updated = annotation["id"], _seconds(annotation.get("updated_at"), time.time())
        made = shapes(listed(annotation.get("result")))
        parent = annotation.get("parent_prediction")
        parent = parent if _storable(parent) else None
        said = (predictions or {}).get(parent) if parent is not None else None
        exact = answered(said) if said is not None else None
        lead = _duration(annotation.get("lead_time"))
        created = _seconds(annotation.get("created_at"), updated)
        counted = not annotation.get("was_cancelled")

        def write(db: sqlite3.Connection) -> None:
            if _obsolete(db, project, task, annotation, updated, again=predictions is not None):
                return
            version, fates = None, tuple[Fate, ...]()
            if counted:
                version, fates = fates_of(db, project, task, number, made, parent, exact)
            if exact is not None:
                row = (project, task, exact.version, 0, created, pack(list(exact.sent.items())))
                db.execute("INSERT OR IGNORE INTO answers VALUES (?,?,?,?,?,?)", row)
            known = exact is not None
            bulk = parent is not None and lead is None
            row = (project, number, task, updated, counted, *_totals(fates))
            db.execute(_ANNOTATION, (*row, version, known, parent, created, lead, bulk))
            db.execute("DELETE FROM regions WHERE project = ? AND annotation = ?", (project, number))
            db.executemany(
                "INSERT INTO regions VALUES (?,?,?,?,?,?,?,?,?,?)",
                [(project, number, task, *_columns(fate)) for fate in fates],
            )

        self._write(write)

    def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """`work` as one transaction."""
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    work(self._db)
                    self._db.execute("COMMIT")
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            log.error("What became of proposals could not be written down: %s", error)


def _totals(fates: Iterable[Fate]) -> list[int]:
    counted = Counter(fate.outcome for fate in fates)
    return [counted[outcome] for outcome in OUTCOMES]


def _columns(fate: Fate) -> tuple[Any, ...]:
    labels = fate.proposed, fate.submitted
    return (fate.outcome, fate.kind, fate.iou, *labels, fate.clicked, fate.reshaped)


def _obsolete(
    db: sqlite3.Connection,
    project: str,
    task: int,
    annotation: Mapping[str, Any],
    updated: float,
    again: bool,
) -> bool:
    """Whether a newer state is known (with `again`, the same one does not count), or it is deleted.

    A Label Studio that was set up anew uses its numbers again: what was made after a deletion is not what was
    deleted.
    """
    known = db.execute(
        "SELECT updated FROM annotations WHERE project = ? AND id = ?", (project, annotation["id"])
    ).fetchone()
    if known is not None and (known[0] > updated or (known[0] == updated and not again)):
        return True
    created = _seconds(annotation.get("created_at"), 0.0)
    gone = db.execute(
        "SELECT MAX(at) FROM forgotten WHERE project = ?1 AND ((kind = 'annotation' AND id = ?2) OR "
        "(kind = 'task' AND id = ?3))",
        (project, annotation["id"], task),
    ).fetchone()[0]
    return gone is not None and created <= gone


def _storable(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63


def _ids(value: Any) -> list[int]:
    return [one.get("id", -1) for one in listed(value)]


def _duration(value: Any) -> float | None:
    """Seconds; None for what is no sensible number of them."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e7
    return float(value) if number else None


def _seconds(text: Any, otherwise: float) -> float:
    """Unix time of an ISO 8601 date."""
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        return otherwise
