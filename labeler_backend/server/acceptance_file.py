"""The SQLite file of what became of the proposals: its tables, and how earlier files come along."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from labeler_backend.errors import LabelerError

FILE = "acceptance.sqlite"

_FORMAT = 1  # PRAGMA user_version; 0: new, or of version 0.1, which did not say
_FORGOTTEN_FOR = 30 * 86400.0  # seconds; by then no event is under way any more

# As version 0.1 made them, so that both kinds of file take the same way from here.
_TABLES = """
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
# version: NULL = not recorded, '' = began with no prediction; exact: Label Studio itself said the version.
_REGIONS = """
ALTER TABLE annotations ADD COLUMN redrawn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE annotations ADD COLUMN version TEXT;
ALTER TABLE annotations ADD COLUMN exact INTEGER NOT NULL DEFAULT 0;
ALTER TABLE annotations ADD COLUMN parent INTEGER;
ALTER TABLE annotations ADD COLUMN created REAL;
ALTER TABLE annotations ADD COLUMN seconds REAL;
ALTER TABLE annotations ADD COLUMN bulk INTEGER NOT NULL DEFAULT 0;
CREATE TABLE regions (
    project TEXT NOT NULL, annotation INTEGER NOT NULL, task INTEGER NOT NULL, outcome TEXT NOT NULL,
    kind TEXT NOT NULL, iou REAL, proposed TEXT, submitted TEXT, clicked INTEGER NOT NULL,
    reshaped INTEGER NOT NULL
);
CREATE INDEX regions_of ON regions (project, annotation);
CREATE INDEX regions_by_task ON regions (project, task);
PRAGMA user_version = 1;
"""


def open_file(path: Path) -> sqlite3.Connection:
    """Opens `path`, or makes it, with its folder; brings a file of an earlier version up to date.

    Raises:
        LabelerError: it cannot be opened or made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        _bring_up_to_date(db)
        db.execute("DELETE FROM forgotten WHERE at < ?", (time.time() - _FORGOTTEN_FOR,))
    except (OSError, sqlite3.Error) as error:
        raise LabelerError(
            f"{path}, which counts accepted proposals, cannot be used ({error}): move it away, or name "
            "another folder in LABELER_DATA_DIR."
        ) from error
    return db


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """In one transaction: several processes may open the file at once, and any may be killed."""
    if db.execute("PRAGMA user_version").fetchone()[0] >= _FORMAT:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.split(";"):
            db.execute(statement)
        if db.execute("PRAGMA user_version").fetchone()[0] < _FORMAT:
            for statement in _REGIONS.split(";"):
                db.execute(statement)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
