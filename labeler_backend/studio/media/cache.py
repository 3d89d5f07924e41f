"""Media on disk: bodies by content, and an index of which URL gave which body."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from labeler_backend.store import Store
from labeler_backend.studio.media.types import MediaError

FRESH_SECONDS = 300.0
"""How long a copy is used without asking whether it is still the same."""

_INDEX_BYTES = 50_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Validators:
    """What a server calls the version it sent."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A body on disk: where, its hexadecimal SHA-256, and which version the server calls it."""

    path: Path
    sha256: str
    validators: Validators


@dataclass(frozen=True, slots=True)
class _Entry:
    """Of the index: what a URL gave when it was last asked."""

    sha256: str
    size: int
    etag: str | None
    last_modified: str | None
    fetched_at: float  # Unix seconds: other processes read it


class MediaCache:
    """Two stores that work together: a body may go at any time, its index entry then finds nothing."""

    def __init__(self, bodies: Store, clock: Callable[[], float] = time.time) -> None:
        """The index stands in a folder beside that of the bodies; `clock` gives Unix seconds."""
        self.bodies = bodies
        self._index = Store(bodies.root.with_name(f"{bodies.root.name}-index"), _INDEX_BYTES, ".json")
        self._clock = clock

    def fresh(self, key: str, *, lasting: bool) -> Kept | None:
        """The copy that need not be asked for again: a young one, or any where it never changes."""
        entry = self._entry(key)
        if entry is None or not (lasting or 0 <= self._clock() - entry.fetched_at < FRESH_SECONDS):
            return None
        return self._kept(entry)

    def last(self, key: str) -> Kept | None:
        """The copy that is there, however old."""
        entry = self._entry(key)
        return None if entry is None else self._kept(entry)

    def renew(self, key: str) -> Kept | None:
        """The copy that is there, which the server says is still the same; None where it was deleted."""
        entry = self._entry(key)
        kept = None if entry is None else self._kept(entry)
        if entry is not None and kept is not None:
            self._remember(key, replace(entry, fetched_at=self._clock()))
        return kept

    def body(self, data: bytes, name: str) -> Kept:
        """Keeps what came without a URL of its own.

        Raises:
            MediaError: it cannot be kept.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._find(sha256, len(data))
        if path is not None:
            return Kept(path, sha256, Validators())
        with self.incoming(name) as file:
            file.write(data)
            return self._adopt(file, sha256, len(data), Validators(), name)

    @contextmanager
    def incoming(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write a body into, as `Store.incoming`; the disk's errors within become sentences.

        Raises:
            MediaError: the folder cannot be written, or the disk is full.
        """
        try:
            with self.bodies.incoming() as file:
                yield file
        except OSError as error:
            raise MediaError(
                f"{name} could not be kept in {self.bodies.root} ({error.strerror or error}): make room, or "
                "set LABELER_CACHE_DIR.",
                final=False,
            ) from error

    def add(
        self, key: str, file: IO[bytes], sha256: str, size: int, validators: Validators, name: str
    ) -> Kept:
        """Keeps a file of `incoming` as what the URL behind `key` gives now.

        Raises:
            MediaError: it is larger than the cache.
            OSError: the disk's; `incoming` makes it a sentence.
        """
        kept = self._adopt(file, sha256, size, validators, name)
        self._remember(key, _Entry(sha256, size, validators.etag, validators.last_modified, self._clock()))
        return kept

    def _adopt(self, file: IO[bytes], sha256: str, size: int, validators: Validators, name: str) -> Kept:
        cap = self.bodies.max_bytes
        path = self.bodies.adopt(file, sha256) if size <= cap else None
        if path is None or not path.is_file():
            raise MediaError(
                f"{name} does not fit into the media cache ({cap / 1e6:g} MB): raise LABELER_MEDIA_CACHE_GB.",
                final=False,
            )
        return Kept(path, sha256, validators)

    def _kept(self, entry: _Entry) -> Kept | None:
        path = self._find(entry.sha256, entry.size)
        validators = Validators(entry.etag, entry.last_modified)
        return None if path is None else Kept(path, entry.sha256, validators)

    def _find(self, sha256: str, size: int) -> Path | None:
        """A body, if it is there and whole (a power cut may leave it short)."""
        path = self.bodies.find(sha256)
        if path is None:
            return None
        try:
            if path.stat().st_size == size:
                return path
        except OSError:  # deleted just now
            pass
        self.bodies.discard(sha256)
        return None

    def _entry(self, key: str) -> _Entry | None:
        data = self._index.read(key)
        if data is None:
            return None
        try:
            entry = _Entry(**json.loads(data))
            if _SHA256.fullmatch(entry.sha256) and isinstance(entry.fetched_at, float):
                return entry
        except (ValueError, TypeError):
            pass
        self._index.discard(key)
        return None

    def _remember(self, key: str, entry: _Entry) -> None:
        self._index.write(key, json.dumps(asdict(entry)).encode())
