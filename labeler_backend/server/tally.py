"""Which annotations were submitted since a project's last training, so that every N of them start one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labeler_backend.errors import LabelerError
from labeler_backend.server.protocol import WebhookEvent

FILE = "tally.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS submitted (
    project TEXT NOT NULL, annotation INTEGER NOT NULL, PRIMARY KEY (project, annotation)
) WITHOUT ROWID;
"""
_SUBMITTED = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"})


class Tally:
    """One SQLite file. Safe to share between threads and processes."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it, with its folder.

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
        except (OSError, sqlite3.Error) as error:
            raise LabelerError(
                f"{path}, which counts annotations until the next training, cannot be used ({error}): move "
                "it away, or name another folder in LABELER_DATA_DIR."
            ) from error

    def close(self) -> None:
        """Nothing can be counted afterwards."""
        with self._lock:
            self._db.close()

    def note(self, project: str, event: WebhookEvent) -> int | None:
        """How many annotations there are since the last training; None where the event submits none.

        One that is submitted again counts once, a skipped or deleted one not at all.

        Raises:
            sqlite3.Error: it cannot be written.
        """
        extra = event.model_extra or {}
        if event.action == "ANNOTATIONS_DELETED":
            self._remove(project, _numbers(extra.get("annotations")))
            return None
        if event.action not in _SUBMITTED:
            return None
        made = [one for one in _listed(extra.get("annotation")) if not one.get("was_cancelled")]
        rows = [(project, number) for number in _numbers(made)]
        if not rows:
            return None
        with self._lock:
            self._db.executemany("INSERT OR IGNORE INTO submitted VALUES (?,?)", rows)
        return self.count(project)

    def count(self, project: str) -> int:
        """Annotations since the last training."""
        with self._lock:
            found = self._db.execute("SELECT COUNT(*) FROM submitted WHERE project = ?", (project,))
            return int(found.fetchone()[0])

    def clear(self, project: str) -> None:
        """A training begins: what comes from now on counts for the next one."""
        with self._lock:
            self._db.execute("DELETE FROM submitted WHERE project = ?", (project,))

    def _remove(self, project: str, numbers: list[int]) -> None:
        with self._lock:
            rows = [(project, number) for number in numbers]
            self._db.executemany("DELETE FROM submitted WHERE project = ? AND annotation = ?", rows)


def _listed(value: Any) -> list[Mapping[str, Any]]:
    many = value if isinstance(value, list) else [value]
    return [one for one in many if isinstance(one, Mapping)]


def _numbers(value: Any) -> list[int]:
    found = [one.get("id") for one in _listed(value)]
    return [n for n in found if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 2**63]
