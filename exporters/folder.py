"""Folders that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from exporters.report import REPORT
from labeler_backend.errors import LabelerError
from labeler_backend.files import part_of

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def building(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Gives an empty temporary folder; what is written there becomes `folder` when the block ends well.

    It lies beside `folder`, which makes the rename atomic. An exception, Ctrl-C too, leaves `folder` as it
    was and nothing beside it. kill -9 leaves the temporary folder, and in the moment between two renames the
    replaced one under another name: the next run for the same folder clears up the one and restores the
    other.

    Args:
        folder: is not there, empty, or with `overwrite` an earlier export, which goes with all it holds.
        overwrite: whether an earlier export may be replaced.

    Raises:
        LabelerError: `folder` holds anything else, cannot be made or replaced, the disk is full, or another
            run works on it.
    """
    target = _replaceable(folder)
    with _sentences(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _held(target):
            _repair(target)
            _check(target, folder, overwrite)
            part = part_of(target)
            part.mkdir()
            try:
                yield part
                _flush()
                _swap(part, target)
            finally:
                shutil.rmtree(part, ignore_errors=True)


def _replaceable(folder: Path) -> Path:
    """Where `folder` leads to, links followed."""
    target = Path(os.path.realpath(folder))
    problem = ""
    if target == target.parent or os.path.ismount(target):
        problem = "is a disk or a mounted folder"
    elif target in (here := Path(os.path.realpath(os.curdir)), *here.parents):
        problem = "is the folder you work in, or one above it"
    if problem:
        raise LabelerError(
            f"{folder} {problem}, and cannot be replaced: give one below it, {folder / 'export'}."
        )
    return target


@contextmanager
def _held(target: Path) -> Iterator[None]:
    """One run at a time. The lock goes with the process that holds it."""
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise LabelerError(
            f"Another export into {target} is running: wait for it, or give another --out."
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows deletes no open file
            path.unlink()
        lock.release()


def _repair(target: Path) -> None:
    """Clears up after runs that were killed; whoever holds the lock knows that none is left."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.\d+(\.old)?\.part")
    for left in sorted(target.parent.iterdir()):
        if (match := pattern.fullmatch(left.name)) and left.is_dir():
            if match[1] and _is_free(target):
                _move(left, target)
            else:
                shutil.rmtree(left, ignore_errors=True)


def _check(target: Path, folder: Path, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise LabelerError(f"{folder} is a file: give a folder that is not there yet.")
    if _is_free(target):
        return
    if not (target / REPORT).is_file():
        raise LabelerError(
            f"{folder} holds files that are no export of ours (no {REPORT}), and stays as it is: "
            "give a folder that is empty or not there yet."
        )
    if not overwrite:
        raise LabelerError(
            f"{folder} holds an earlier export: replace it with --overwrite, or give another folder."
        )


def _is_free(target: Path) -> bool:
    return not target.exists() or (target.is_dir() and not any(target.iterdir()))


def _move(folder: Path, target: Path) -> None:
    if target.exists():  # empty; Windows renames over nothing
        target.rmdir()
    folder.rename(target)


def _flush() -> None:
    """All files onto the disk, so that after a power cut a folder that is there is whole. One call for all:
    flushing a hundred thousand files one by one takes minutes."""
    if hasattr(os, "sync"):
        os.sync()


def _swap(part: Path, target: Path) -> None:
    aside = part_of(target, ".old")
    replaces = not _is_free(target)
    if replaces:
        target.rename(aside)
    try:
        _move(part, target)
    except BaseException:
        if replaces and not target.exists():
            aside.rename(target)
        raise
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    if replaces:  # under a name that nobody restores any more
        aside.rename(part)


@contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise LabelerError(
                f"The disk is full, {folder} was not written: make room, and run this again."
            ) from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise LabelerError(
                f"{folder} cannot be made, a folder above it is a file: give another --out."
            ) from error
        detail = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        raise LabelerError(
            f"{folder} cannot be written ({detail}): check the permissions of the folder it lies in."
        ) from error
