"""The one cache on disk: files under keys, the least recently used deleted first."""

from __future__ import annotations

import builtins
import contextlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

logger = logging.getLogger("labeler_backend")

_KEEP = 0.9  # of the cap, after making room: so that not every new entry has to
_RECOUNT = 0.02  # of the cap written by this process between two looks at what all processes have stored
_STALE_SECONDS = 3600.0  # a temporary file this old was left by a kill
_RETRY_SECONDS = 60.0  # after a failed write: a full disk is not asked again for each entry


class Store:
    """A folder of files, each whole or not there; any number of threads and processes may share it.

    What is gone or cannot be read is a miss. Where nothing can be written (full disk, read-only folder)
    `write` warns once and gives up for a minute at a time; reading goes on.

    No fsync: after a power cut an entry may be damaged. Who reads it checks it, and calls `discard`.
    """

    def __init__(self, root: Path, max_bytes: int, suffix: str) -> None:
        """`root` is made with the first entry; `max_bytes` is of all entries together, 0 = nothing is kept.

        Entries end in `suffix`; files that do not are neither counted nor deleted.
        """
        self.root = root
        self.max_bytes = max_bytes
        self.suffix = suffix
        self._lock = threading.Lock()  # of the numbers; never held while the disk is asked
        self._looking = threading.Lock()
        self._stored: int | None = None  # bytes, as far as this process knows; None = never looked
        self._written = 0  # bytes by this process since it looked
        self._hits = 0
        self._misses = 0
        self._warned = False
        self._resume_at = 0.0  # monotonic seconds; before it `write` does not try

    @property
    def hits(self) -> int:
        """How often an entry was there since this process started."""
        return self._hits

    @property
    def misses(self) -> int:
        """How often it was not."""
        return self._misses

    @property
    def bytes(self) -> int:
        """What all entries take on disk, as of the last look plus what was written since."""
        if self._stored is None:
            with self._looking:
                if self._stored is None:
                    self._look()
        return self._stored or 0

    def path(self, key: str) -> Path:
        """Where an entry stands: two levels of 256 folders keep each of them small. `key` is hexadecimal."""
        return self.root / key[:2] / key[2:4] / f"{key}{self.suffix}"

    def find(self, key: str) -> Path | None:
        """The entry's file, now the most recently used; another process may delete it at any time."""
        path = self.path(key)
        there = self.max_bytes > 0 and path.is_file()
        self._tally(there)
        if not there:
            return None
        _touch(path)
        return path

    def read(self, key: str) -> builtins.bytes | None:
        """The entry's content, or None."""
        data: builtins.bytes | None = None
        if self.max_bytes > 0:
            with contextlib.suppress(OSError):
                data = self.path(key).read_bytes()
        self._tally(data is not None)
        if data is not None:
            _touch(self.path(key))
        return data

    def discard(self, key: str) -> None:
        """Removes an entry that was found and is no good; the hit becomes a miss."""
        _remove(self.path(key))
        with self._lock:
            self._hits -= 1
            self._misses += 1

    def write(self, key: str, data: builtins.bytes) -> None:
        """Stores an entry, making room if need be; never raises because of the disk."""
        if len(data) > self.max_bytes or time.monotonic() < self._resume_at:
            return
        try:
            with self.incoming() as file:
                file.write(data)
                self.adopt(file, key)
        except OSError as error:
            self._resume_at = time.monotonic() + _RETRY_SECONDS
            if not self._warned:
                logger.warning(
                    "%s cannot be written (%s): nothing is kept there until it can.",
                    self.root,
                    error.strerror or error,
                )
            self._warned = True

    @contextlib.contextmanager
    def incoming(self) -> Iterator[IO[builtins.bytes]]:
        """A file to write an entry into piece by piece; gone when the block ends, unless `adopt` took it.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(prefix=".", suffix=".part", dir=self.root, delete=False)  # noqa: SIM115
        try:
            yield file
        finally:
            with contextlib.suppress(OSError):  # a full disk, seen a second time
                file.close()
            _remove(Path(file.name))

    def adopt(self, file: IO[builtins.bytes], key: str) -> Path:
        """Makes a file of `incoming` the entry `key`, and room for it; the newest entry itself stays.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        file.close()
        size = os.path.getsize(file.name)
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file.name, path)
        self._warned = False
        self._count(size)
        return path

    def _tally(self, hit: bool) -> None:
        with self._lock:
            self._hits += hit
            self._misses += not hit

    def _count(self, written: int) -> None:
        """Add to the total; look at the folder and make room when the total is old or over the cap."""
        with self._lock:
            self._written += written
            self._stored = None if self._stored is None else self._stored + written
        # who looks already also finds what was written meanwhile
        while self._is_old() and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()

    def _is_old(self) -> bool:
        with self._lock:
            old = self._written > _RECOUNT * self.max_bytes
            return self._stored is None or old or self._stored > self.max_bytes

    def _look(self) -> None:
        """Makes room; to be called with `_looking`, and without `_lock`: many entries take many seconds."""
        with self._lock:
            self._written = 0
        stored = _make_room(self.root, self.max_bytes, self.suffix)
        with self._lock:
            self._stored = stored + self._written  # of which some may be counted twice


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):  # a read-only store is still one, its entries only get no younger
        os.utime(path)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _make_room(root: Path, max_bytes: int, suffix: str) -> int:
    """Delete the least recently used entries while they exceed the cap; returns the bytes that stay."""
    entries: list[tuple[float, int, Path]] = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            try:
                status = path.stat()
            except OSError:  # another process was first
                continue
            if name.endswith(suffix):
                entries.append((status.st_mtime, status.st_size, path))
            elif name.endswith(".part") and time.time() - status.st_mtime > _STALE_SECONDS:
                _remove(path)
    total = sum(size for _, size, _ in entries)
    if total <= max_bytes:
        return total
    entries.sort()
    newest = entries[-1][1]
    for _, size, path in entries:
        # what was just written stays where it fits at all: somebody is about to read it
        if total <= max(_KEEP * max_bytes, newest if newest <= max_bytes else 0):
            break
        _remove(path)
        total -= size
    return total
