"""A log to which lines are added and from which none is ever taken; the last state of everything is in it."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Entry = Mapping[str, Any]


class Place(NamedTuple):
    """Where a line stands: its first byte and its length."""

    start: int
    length: int


class Log:
    """A JSONL file. Each line is `[CRC-32 of what follows, {…}]`, so that a damaged one is known for one.

    Whoever appends must be the only one at that time; any number may read meanwhile. What a kill or a full
    disk left of a line at the end counts for nothing: whoever appended it was never told that it is kept.

    Attributes:
        path: of the file; it is made with the first entry.
        damaged: numbers of bytes at which lines that cannot be read begin.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged: list[int] = []
        self._read = 0  # bytes, up to the end of a line

    def append(self, entries: Sequence[Entry]) -> None:
        """All of them, on the disk when this returns; where it raises, none of them counts.

        Raises:
            OSError: the disk is full, or the file may not be written.
        """
        lines = b"".join(_line(entry) for entry in entries)
        with open(self.path, "a+b", buffering=0) as file:  # a buffer would be written again when it is closed
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 1))
            if file.read(1) not in (b"", b"\n"):
                lines = b"\n" + lines
            try:
                written = 0
                while written < len(lines):
                    written += file.write(lines[written:])
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(end)
                raise

    def news(self) -> Iterator[tuple[Place, dict[str, Any]]]:
        """The entries that were added since the last call, by whichever process.

        Raises:
            OSError: the file is there and cannot be read.
        """
        try:
            file = open(self.path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            return
        with file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):  # somebody is writing it, or was killed
                    return
                place = Place(self._read, len(line))
                self._read += len(line)
                entry = _entry(line)
                if entry is not None:
                    yield place, entry
                elif line.rstrip().endswith(b"]"):  # else it was cut off, and nobody relies on it
                    self.damaged.append(place.start)

    def read(self, place: Place) -> dict[str, Any] | None:
        """The entry that stands there; None where it is damaged by now.

        Raises:
            OSError: the file cannot be read.
        """
        with open(self.path, "rb") as file:
            file.seek(place.start)
            return _entry(file.read(place.length))

    @property
    def shrank(self) -> bool:
        """Whether the file is another one than was read so far: removed, or replaced."""
        try:
            return self.path.stat().st_size < self._read
        except FileNotFoundError:
            return self._read > 0


def _line(entry: Entry) -> bytes:
    body = json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    data = body.encode("utf-8", "surrogatepass")
    return b"[%d,%b]\n" % (zlib.crc32(data), data)


def _entry(line: bytes) -> dict[str, Any] | None:
    head, comma, rest = line.rstrip(b"\n").partition(b",")
    body = rest[:-1]
    if not comma or head != b"[%d" % zlib.crc32(body):
        return None
    found = json.loads(body.decode("utf-8", "surrogatepass"))
    return found if isinstance(found, dict) else None
