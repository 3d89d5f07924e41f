"""The output folder: what lies where in it, and what its file system's refusals mean for a run."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labeler_backend.batch.errors import OutputError
from labeler_backend.batch.types import Formats, Result
from labeler_backend.files import write_bytes

ANNOTATIONS, REPORT, FAILURES = "annotations.json", "report.html", "failures.jsonl"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BROKEN = frozenset({errno.EIO, errno.ESTALE, errno.ENODEV})


@contextmanager
def guarded(out: Path) -> Iterator[None]:
    """Turns a full, read-only or broken output folder into an OutputError; other OSErrors pass.

    Raises:
        OutputError: see above.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(_full(out)) from error
        if error.errno in _REFUSED:
            mend = "choose another --out or change its permissions"
            raise OutputError(f"{out} cannot be written to ({error.strerror}): {mend}.") from error
        if error.errno in _BROKEN:
            raise OutputError(
                f"{out} fails ({error.strerror}): check the disk, then go on with --resume."
            ) from error
        raise
    except sqlite3.OperationalError as error:
        raise OutputError(_database(out, str(error))) from error
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"The run's state in {out} is damaged ({error}): remove that folder and start anew."
        ) from error


def changed_settings(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The sentence for a run that is to go on with other settings."""
    names = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    was = ", ".join(f"{name}: {before.get(name)} then, {now.get(name)} now" for name in names)
    return f"The run in {out} has other settings ({was}): use those, or start anew with --overwrite."


def mask_path(out: Path, path: str) -> Path:
    """`a/b.jpg` → OUT/masks/a/b.jpg.png."""
    return out / "masks" / f"{path}.png"


def overlay_path(out: Path, path: str) -> Path:
    """`a/b.jpg` → OUT/overlays/a/b.jpg.jpg."""
    return out / "overlays" / f"{path}.jpg"


def store(out: Path, result: Result, formats: Formats) -> None:
    """Writes one image's files.

    Raises:
        OutputError: the folder takes no more.
        OSError: this one file cannot be written.
    """
    with guarded(out):
        formats.instance_png(mask_path(out, result.job.path), result.proposals, result.size)
        if result.overlay is not None:
            write_bytes(overlay_path(out, result.job.path), result.overlay)


def _full(out: Path) -> str:
    return f"No space is left for {out}; all that is finished is kept: make room, then go on with --resume."


def _database(out: Path, message: str) -> str:
    if "full" in message:
        return _full(out)
    if "locked" in message:
        return f"Another run is writing into {out}: wait for it, or choose another --out."
    return f"{out} cannot be written to ({message}): choose another --out or change its permissions."
