"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; what was written there becomes `path` when the block ends well.

    Written beside `path` (which makes the rename atomic), flushed to the disk, then renamed. Parent folders
    are made. Whatever ends the block early, kill -9 included, leaves `path` as it was; an exception also
    leaves nothing beside it.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = part_of(path)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def part_of(path: Path, suffix: str = "") -> Path:
    """Where `path` is written until it is whole; its own for every process."""
    return path.with_name(f".{path.name}.{os.getpid()}{suffix}.part")


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)
