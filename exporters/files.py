"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new binary file that takes the place of `path` once the block ends well.

    Written beside `path` (which makes the rename atomic), flushed to the disk, then renamed. When the block
    raises, `path` stays as it was and nothing is left beside it. Folders are made.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path, suffix: str = "") -> Path:
    """Where `path` is written until it is whole; its own for every process."""
    return path.with_name(f".{path.name}.{os.getpid()}{suffix}.part")
