"""The state of a run: one SQLite row per image, in OUT/.labeler/state.sqlite.

It alone says what is done, so that --resume after kill -9 neither redoes nor loses an image: a row is
committed only after the image's files are whole. annotations.json, failures.jsonl and report.html are made
from it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from labeler_backend.batch.inputs import STATE_FILE
from labeler_backend.batch.output import changed_settings, guarded
from labeler_backend.batch.types import Failure, Job, Result
from labeler_backend.errors import LabelerError

# Paths are bytes: a file name need not be valid text.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,
    uri BLOB NOT NULL,
    position INTEGER NOT NULL,
    listing INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'done', 'failed')),
    height INTEGER, width INTEGER, proposals INTEGER, annotations BLOB, preview BLOB, note TEXT,
    stage TEXT, reason TEXT
);
CREATE INDEX IF NOT EXISTS by_status ON images (status, position, id);
"""
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Counts:
    """Images per status, and proposals over all."""

    pending: int
    done: int
    failed: int
    proposals: int

    @property
    def images(self) -> int:
        """All."""
        return self.pending + self.done + self.failed


class State:
    """One run's state, open and locked. Use it from the thread that opened it.

    Raises:
        OutputError: from any method, when the output folder takes no more or another run holds it.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        with guarded(out):
            (out / STATE_FILE).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(out / STATE_FILE, timeout=1.0, isolation_level=None)
            try:
                # One process only; and with this lock WAL needs no shared memory, so it works on network
                # drives.
                self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.executescript(_SCHEMA)
            except sqlite3.Error:
                self._db.close()
                raise

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def start(self, settings: dict[str, Any]) -> None:
        """Notes the settings of a new run, or checks that a resumed one has the same; failed images are due
        again.

        Raises:
            LabelerError: the run was started with other settings.
        """
        with guarded(self._out):
            stored = self._meta("settings")
            if stored is None:
                self._db.execute("INSERT INTO meta VALUES ('settings', ?)", (json.dumps(settings),))
            elif json.loads(stored) != settings:
                raise LabelerError(changed_settings(self._out, json.loads(stored), settings))
            self._db.execute("UPDATE images SET status = 'pending' WHERE status = 'failed'")

    def add(self, found: Iterable[tuple[str, str]]) -> None:
        """Adds (path, uri) in their order; a known path keeps its row, one that repeats counts once."""
        with guarded(self._out):
            (listing,) = self._db.execute("SELECT coalesce(max(listing), 0) + 1 FROM images").fetchone()
        numbered = enumerate(found)
        # Pulled outside of `guarded`: what goes wrong while inputs are listed is not the output's fault.
        while page := list(islice(numbered, _PAGE)):
            rows = [(os.fsencode(path), os.fsencode(uri), i, listing) for i, (path, uri) in page]
            with guarded(self._out), self._db:
                self._db.execute("BEGIN")
                self._db.executemany(
                    "INSERT INTO images (path, uri, position, listing) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (path) DO UPDATE SET position = excluded.position, "
                    "listing = excluded.listing WHERE listing < excluded.listing",
                    rows,
                )

    def pending(self) -> Iterator[Job]:
        """What is still to do, by position."""
        for row in self._pages("id, position, path, uri", "pending"):
            yield Job(row[1], os.fsdecode(row[2]), os.fsdecode(row[3]))

    def save(self, result: Result) -> None:
        """Commits one finished image, whose files must already stand."""
        with guarded(self._out):
            self._db.execute(
                "UPDATE images SET status = 'done', height = ?, width = ?, proposals = ?, annotations = ?, "
                "preview = ?, note = ?, stage = NULL, reason = NULL WHERE path = ?",
                (
                    *result.size,
                    len(result.annotations),
                    _pack(result.annotations),
                    _pack(result.preview) if result.preview is not None else None,
                    result.note,
                    os.fsencode(result.job.path),
                ),
            )

    def fail(self, failure: Failure) -> None:
        """Commits one image that cannot be done."""
        with guarded(self._out):
            self._db.execute(
                "UPDATE images SET status = 'failed', stage = ?, reason = ? WHERE path = ?",
                (failure.stage, failure.reason, os.fsencode(failure.job.path)),
            )

    def counts(self) -> Counts:
        """How far the run is."""
        with guarded(self._out):
            query = "SELECT status, count(*), coalesce(sum(proposals), 0) FROM images GROUP BY status"
            found = {status: (n, proposals) for status, n, proposals in self._db.execute(query)}
        number = {status: found.get(status, (0, 0))[0] for status in ("pending", "done", "failed")}
        return Counts(**number, proposals=found.get("done", (0, 0))[1])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Finished images by position, as COCO's image rows with their `annotations`; ids count from 1.

        JSON is UTF-8: in a name that is not, the bytes that are no text are spelt out.
        """
        done = self._pages("id, position, path, height, width, annotations", "done")
        for number, (_, _, path, height, width, packed) in enumerate(done, 1):
            yield {
                "id": number,
                "file_name": path.decode("utf-8", "backslashreplace"),
                "width": width,
                "height": height,
                "annotations": _unpack(packed),
            }

    def previews(self) -> Iterator[dict[str, Any]]:
        """What the report shows of the images that have a preview, by position; `path` and `note` added."""
        for row in self._pages("id, position, path, preview, note", "done", "AND preview IS NOT NULL"):
            yield {**_unpack(row[3]), "path": os.fsdecode(row[2]), "note": row[4]}

    def failures(self) -> Iterator[Failure]:
        """Failed images by position."""
        for row in self._pages("id, position, path, uri, stage, reason", "failed"):
            yield Failure(Job(row[1], os.fsdecode(row[2]), os.fsdecode(row[3])), row[4], row[5])

    def paths(self) -> Iterator[str]:
        """Relative paths of all images, whatever their status."""
        for status in ("pending", "done", "failed"):
            yield from (os.fsdecode(row[2]) for row in self._pages("id, position, path", status))

    def _meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def _pages(self, columns: str, status: str, also: str = "") -> Iterator[tuple[Any, ...]]:
        """Rows in pages, so that others may be written meanwhile; `columns` begin with id, position."""
        query = (
            f"SELECT {columns} FROM images WHERE status = ? AND (position, id) > (?, ?) {also} "
            f"ORDER BY position, id LIMIT {_PAGE}"
        )
        last = (-1, -1)
        while True:
            with guarded(self._out):
                page = self._db.execute(query, (status, *last)).fetchall()
            if not page:
                return
            yield from page
            last = (page[-1][1], page[-1][0])


def _pack(value: Any) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode())


def _unpack(data: bytes) -> Any:
    return json.loads(zlib.decompress(data))
