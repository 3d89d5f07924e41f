"""The output folder: what lies where in it, and how far the run in it has come."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from labeler_backend.batch.errors import OutputError
from labeler_backend.batch.inputs import STATE_FILE
from labeler_backend.batch.output import FAILURES, changed_settings, guarded
from labeler_backend.errors import LabelerError
from labeler_backend.files import write_bytes
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.propagate import Carried

Existing = Literal["refuse", "resume", "overwrite"]
MASKS, TRACKS, BOXES, OVERLAY = "masks", "tracks.json", "tracks.txt", "overlay.mp4"

_STATE = Path(".labeler") / "track"
_SETTINGS, _LOG, _REACHED, _LOCK = "settings.json", "frames.jsonl", "reached", "lock"


@dataclass(frozen=True, slots=True)
class Done:
    """What is noted of a frame beside its mask.

    Attributes:
        frame: from 0.
        confidence: by object id, in [0, 1].
        given: whether its mask was given.
        problem: why there is no mask, or nothing.
    """

    frame: int
    confidence: dict[int, float]
    given: bool = False
    problem: str = ""


class Folder:
    """One run's output folder; made with `opened`, which locks it."""

    def __init__(self, out: Path, png: Callable[[Any], bytes]) -> None:
        """Args: the folder; (H, W) uint8 ids → an indexed PNG."""
        self.out = out
        self._png = png
        self._log = out / _STATE / _LOG
        self._settings: Mapping[str, Any] | None = None
        self.done: list[Done] = []

    @property
    def reached(self) -> Path:
        """Where the propagation's own state is kept."""
        return self.out / _STATE / _REACHED

    def mask(self, frame: int) -> Path:
        """MASKS/00000.png."""
        return self.out / MASKS / f"{frame:05d}.png"

    def go_on(self, frames: int) -> None:
        """Reads what is noted of the first `frames` frames; what is noted of later ones is forgotten.

        Raises:
            OutputError: it is not there.
        """
        with guarded(self.out):
            lines = self._log.read_text("utf-8").splitlines()[:frames] if self._log.exists() else []
            try:
                self.done = [_done(line) for line in lines]
            except (ValueError, TypeError, KeyError):
                self.done = []
            if [one.frame for one in self.done] != list(range(frames)):
                raise OutputError(
                    f"The state of the run in {self.out} is damaged: start anew with --overwrite."
                )
            write_bytes(self._log, "".join(f"{line}\n" for line in lines).encode())

    def save(self, carried: Carried) -> None:
        """Writes a frame's mask, and then that it is done."""
        done = Done(carried.index, carried.confidence, carried.given, carried.problem)
        with guarded(self.out):
            if self._settings is not None:  # from here on there is a run: what failed before left none
                write_bytes(self.out / _STATE / _SETTINGS, json.dumps(self._settings, indent=1).encode())
                self._settings = None
            write_bytes(self.mask(carried.index), self._png(carried.labels.astype(np.uint8)))
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(done)) + "\n")
        self.done.append(done)

    def flush(self) -> None:
        """Has the disk keep what is noted."""
        if self._log.exists():
            with guarded(self.out), self._log.open("rb+") as file:
                os.fsync(file.fileno())

    def carried(self) -> Iterator[Carried]:
        """Frames done, as they were carried."""
        for one in self.done:
            labels = self.labels(one.frame)
            there = frozenset(int(number) for number in np.unique(labels) if number)
            yield Carried(one.frame, labels, one.confidence, there, one.given, one.problem)

    def labels(self, frame: int) -> LabelMap:
        """(H, W) ids of a frame that is done."""
        path = self.mask(frame)
        try:
            with Image.open(path) as image:
                return np.asarray(image).astype(np.uint16)
        except OSError as error:
            raise OutputError(f"{path} is gone or damaged: start anew with --overwrite.") from error

    def keep_settings(self, settings: Mapping[str, Any], resumed: bool) -> None:
        """Checks that a resumed run has the settings it had; those of a new one come with its first frame.

        Raises:
            LabelerError: it has not.
        """
        path = self.out / _STATE / _SETTINGS
        if resumed and path.exists():
            before = json.loads(path.read_text("utf-8"))
            if before != settings:
                raise LabelerError(changed_settings(self.out, before, settings))
        else:
            self._settings = settings


@contextmanager
def opened(out: Path, existing: Existing, png: Callable[[Any], bytes]) -> Iterator[Folder]:
    """Makes `out` ready, and locks it.

    Raises:
        OutputError: it is a file, cannot be written to, is in use, or holds something that nobody said to
            resume or overwrite.
    """
    _check(out, existing)
    lock = FileLock(out / _STATE / _LOCK)
    try:
        with guarded(out):
            (out / _STATE).mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(
            f"Another run is writing into {out}: wait for it, or choose another --out."
        ) from error
    except OSError as error:  # below a file, a name too long
        raise OutputError(f"{out} cannot be written to ({error.strerror}): choose another --out.") from error
    try:
        with guarded(out):
            if existing == "overwrite":
                _remove_run(out)
            _sweep(out)
        yield Folder(out, png)
    finally:
        lock.release()


def _check(out: Path, existing: Existing) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: give --out a folder.")
    if (out / _STATE / _SETTINGS).exists():
        if existing == "refuse":
            raise OutputError(
                f"{out} already holds a run: go on with it by --resume, or replace it by --overwrite."
            )
        return
    if (out / STATE_FILE).exists():
        raise OutputError(f"{out} holds a run of `labeler masks`: choose another --out.")
    for name in (MASKS, TRACKS, BOXES, OVERLAY):
        if (out / name).exists():
            raise OutputError(f"{out / name} is there already, and not of a run: choose another --out.")


def _remove_run(out: Path) -> None:
    """Removes what the run wrote and nothing else; what says that there is one goes last."""
    if not (out / _STATE / _SETTINGS).exists():
        return
    for line in (
        (out / _STATE / _LOG).read_text("utf-8").splitlines() if (out / _STATE / _LOG).exists() else []
    ):
        with suppress(ValueError, TypeError, KeyError):
            (out / MASKS / f"{_done(line).frame:05d}.png").unlink(missing_ok=True)
    for name in (TRACKS, BOXES, OVERLAY, FAILURES):
        (out / name).unlink(missing_ok=True)
    with suppress(OSError):  # not empty: somebody else's files
        (out / MASKS).rmdir()
    for name in (_REACHED, _LOG, _SETTINGS):
        (out / _STATE / name).unlink(missing_ok=True)


def _sweep(out: Path) -> None:
    """Removes half-written files of a killed run."""
    for folder in (out, out / MASKS, out / _STATE):
        for part in folder.glob(".*.part"):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def _done(line: str) -> Done:
    row = json.loads(line)
    confidence = {int(number): float(sure) for number, sure in row["confidence"].items()}
    return Done(int(row["frame"]), confidence, bool(row["given"]), str(row["problem"]))
