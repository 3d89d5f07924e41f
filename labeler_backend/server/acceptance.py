"""What became of the proposals, kept in one SQLite file: what was answered, and what was submitted since."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labeler_backend.errors import LabelerError
from labeler_backend.server.outcomes import Outcome, compare
from labeler_backend.server.protocol import Prediction, WebhookEvent
from labeler_backend.server.shapes import Shape, pack, shapes, unpack

log = logging.getLogger(__name__)

FILE = "acceptance.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    project TEXT NOT NULL, task INTEGER NOT NULL, version TEXT NOT NULL, clicked INTEGER NOT NULL,
    at REAL NOT NULL, shapes BLOB NOT NULL,
    PRIMARY KEY (project, task, version, clicked)
);
CREATE TABLE IF NOT EXISTS annotations (
    project TEXT NOT NULL, id INTEGER NOT NULL, task INTEGER NOT NULL, updated REAL NOT NULL,
    counted INTEGER NOT NULL, accepted INTEGER NOT NULL, edited INTEGER NOT NULL, rejected INTEGER NOT NULL,
    drawn INTEGER NOT NULL,
    PRIMARY KEY (project, id)
);
CREATE INDEX IF NOT EXISTS by_task ON annotations (project, task);
CREATE TABLE IF NOT EXISTS forgotten (
    project TEXT NOT NULL, kind TEXT NOT NULL, id INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (project, kind, id)
);
"""
_FORGET_OLD = """
DELETE FROM answers WHERE project = ?1 AND task = ?2 AND clicked = 0 AND version NOT IN (
    SELECT version FROM answers WHERE project = ?1 AND task = ?2 AND clicked = 0 ORDER BY at DESC LIMIT ?3
)
"""
_VERSIONS_KEPT = 3  # per task: somebody may have had it open for long
_CLICKED_KEPT = 50  # regions per task
_FORGOTTEN_FOR = 30 * 86400.0  # seconds; by then no event is under way any more
_BELONGS = (("annotations", "id", "annotation"), ("annotations", "task", "task"), ("answers", "task", "task"))
_CREATED = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})


@dataclass(frozen=True, slots=True)
class Counts:
    """One project's; see `protocol.ProjectStatus`."""

    predicted_tasks: int
    annotated_tasks: int
    accepted: int
    edited: int
    rejected: int
    drawn: int


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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
            self._db.execute("DELETE FROM forgotten WHERE at < ?", (time.time() - _FORGOTTEN_FOR,))
        except (OSError, sqlite3.Error) as error:
            raise LabelerError(
                f"{path}, which counts accepted proposals, cannot be used ({error}): move it away, or name "
                "another folder in LABELER_DATA_DIR."
            ) from error

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
            known = _clicked(db, project, task) if clicked else []
            kept = pack([*known, *sent][-_CLICKED_KEPT:] if clicked else sent)
            db.execute("INSERT OR REPLACE INTO answers VALUES (?,?,?,?,?,?)", (*key, time.time(), kept))
            db.execute(_FORGET_OLD, (project, task, _VERSIONS_KEPT))

        self._write(write)

    def record_event(self, project: str, event: WebhookEvent) -> None:
        """Whatever /webhook got; what has nothing to do with annotations is ignored."""
        extra = event.model_extra or {}
        if event.action in _CREATED:
            self.record_annotations(project, _listed(extra.get("annotation")), _listed(extra.get("task")))
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
            annotations: `id`, `task`, `result`, `was_cancelled`, `parent_prediction`, `created_at`,
                `updated_at`.
            tasks: theirs, in the same order, for annotations that do not name their task.
        """
        for place, annotation in enumerate(annotations):
            named = [annotation.get("task"), tasks[place].get("id") if place < len(tasks) else None]
            task = next(filter(_storable, named), None)
            if task is not None and _storable(annotation.get("id")):
                self._record(project, task, annotation)

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
            predicted = self._db.execute(
                "SELECT COUNT(DISTINCT task) FROM answers WHERE project = ? AND clicked = 0", (project,)
            ).fetchone()
            made = self._db.execute(
                "SELECT COUNT(DISTINCT task), TOTAL(accepted), TOTAL(edited), TOTAL(rejected), TOTAL(drawn) "
                "FROM annotations WHERE project = ? AND counted",
                (project,),
            ).fetchone()
        return Counts(*(int(number) for number in (*predicted, *made)))

    def projects(self) -> list[str]:
        """Those with an answer or an annotation."""
        with self._lock:
            rows = self._db.execute("SELECT project FROM answers UNION SELECT project FROM annotations")
            return sorted(row[0] for row in rows)

    def _record(self, project: str, task: int, annotation: Mapping[str, Any]) -> None:
        number, updated = annotation["id"], _seconds(annotation.get("updated_at"), time.time())
        made = shapes(_listed(annotation.get("result")))

        def write(db: sqlite3.Connection) -> None:
            if _obsolete(db, project, task, annotation, updated):
                return
            outcome = Outcome()
            if counted := not annotation.get("was_cancelled"):
                outcome = _outcome(db, project, task, made, annotation.get("parent_prediction") is not None)
            db.execute(
                "INSERT OR REPLACE INTO annotations VALUES (?,?,?,?,?,?,?,?,?)",
                (project, number, task, updated, counted, *astuple(outcome)),
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


def _outcome(
    db: sqlite3.Connection, project: str, task: int, made: Mapping[str, Shape], began_with_some: bool
) -> Outcome:
    rows = db.execute(
        "SELECT shapes FROM answers WHERE project = ? AND task = ? AND clicked = 0 ORDER BY at DESC",
        (project, task),
    )
    answers = [dict(unpack(row[0])) for row in rows]
    clicked: dict[str, list[Shape]] = {}
    for region, shape in _clicked(db, project, task):
        clicked.setdefault(region, []).append(shape)
    if not answers and not clicked and began_with_some:
        return Outcome()  # predictions that nobody here knows: nothing can be said
    return compare(answers, clicked, made)


def _obsolete(
    db: sqlite3.Connection, project: str, task: int, annotation: Mapping[str, Any], updated: float
) -> bool:
    """Whether a newer state is known, or the annotation is deleted.

    A Label Studio that was set up anew uses its numbers again: what was made after a deletion is not what was
    deleted.
    """
    known = db.execute(
        "SELECT updated FROM annotations WHERE project = ? AND id = ?", (project, annotation["id"])
    ).fetchone()
    if known is not None and known[0] >= updated:
        return True
    created = _seconds(annotation.get("created_at"), 0.0)
    gone = db.execute(
        "SELECT MAX(at) FROM forgotten WHERE project = ?1 AND ((kind = 'annotation' AND id = ?2) OR "
        "(kind = 'task' AND id = ?3))",
        (project, annotation["id"], task),
    ).fetchone()[0]
    return gone is not None and created <= gone


def _clicked(db: sqlite3.Connection, project: str, task: int) -> list[tuple[str, Shape]]:
    row = db.execute(
        "SELECT shapes FROM answers WHERE project = ? AND task = ? AND clicked = 1", (project, task)
    ).fetchone()
    return unpack(row[0]) if row else []


def _storable(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63


def _listed(value: Any) -> list[Mapping[str, Any]]:
    """An event's one thing or its list of things; what is no object is left out."""
    many = value if isinstance(value, list) else [value]
    return [one for one in many if isinstance(one, Mapping)]


def _ids(value: Any) -> list[int]:
    return [one.get("id", -1) for one in _listed(value)]


def _seconds(text: Any, otherwise: float) -> float:
    """Unix time of an ISO 8601 date."""
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError, OSError):
        return otherwise
