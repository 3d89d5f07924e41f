"""What to do with an output folder that already holds a run."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Literal

from labeler_backend.batch.errors import OutputError
from labeler_backend.batch.inputs import STATE_FILE
from labeler_backend.batch.output import (
    ANNOTATIONS,
    FAILURES,
    REPORT,
    guarded,
    mask_path,
    overlay_path,
)
from labeler_backend.batch.state import State


def prepare(out: Path, existing: Literal["refuse", "resume", "overwrite"]) -> None:
    """Makes `out` ready, before anything slow is begun.

    Raises:
        OutputError: it is a file, cannot be written to, or holds a run that nobody said to resume or
            overwrite.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: give --out a folder.")
    holds_run = (out / STATE_FILE).exists()
    if holds_run and existing == "refuse":
        raise OutputError(
            f"{out} already holds a run: go on with it by --resume, or replace it by --overwrite."
        )
    try:
        with guarded(out):
            if holds_run and existing == "overwrite":
                _remove_run(out)
            (out / STATE_FILE).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # below a file, a name too long
        raise OutputError(f"{out} cannot be written to ({error.strerror}): choose another --out.") from error


def sweep(out: Path) -> None:
    """Removes half-written files of a killed run; with the state open, so that no other run writes them."""
    for folder in (out / "masks", out / "overlays"):
        for part in folder.rglob(".*.part"):
            part.unlink(missing_ok=True)
    for name in (ANNOTATIONS, FAILURES, REPORT):
        for part in out.glob(f".{name}*.part"):
            part.unlink(missing_ok=True)


def _remove_run(out: Path) -> None:
    """Removes what the run wrote and nothing else; the state goes last: a killed removal can be repeated."""
    with State(out) as state:
        for path in state.paths():
            for file in (mask_path(out, path), overlay_path(out, path)):
                file.unlink(missing_ok=True)
        sweep(out)
    for name in (ANNOTATIONS, FAILURES, REPORT):
        (out / name).unlink(missing_ok=True)
    for name in ("masks", "overlays"):
        _remove_empty(out / name)
    shutil.rmtree((out / STATE_FILE).parent)


def _remove_empty(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        with contextlib.suppress(OSError):  # not empty: somebody else's files
            os.rmdir(folder)
