"""A project's training job on disk: who asked for one, how far it is, how it ended.

Two files in the project's folder, each with one kind of writer, so that any number of servers and workers may
share them: `wanted.json` is there while a training is asked for and has not begun; `job.json` is the last one
that began, written by the worker that holds `job.lock`. A worker that was killed leaves `job.json` saying
"running" and the lock free: that is how its death is seen.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from labeler_backend.files import write_bytes

logger = logging.getLogger("labeler_backend")

Kept = TypeVar("Kept")
State = Literal["queued", "running", "done", "failed", "not_promoted"]

KILLED = (
    "The training was killed before its end, most likely because memory ran out (the system's log says); "
    "what served before goes on serving. Start it again with less running beside it."
)
STOPPED = "The server was stopped during the training; it begins again when the server does."
_MOST_PUT_OFF = 60.0  # seconds that asking again and again can put off the beginning
_PATIENCE = 5.0  # seconds to wait for the lock, which a look at it takes for a moment
_RESERVE = 4096  # bytes kept back on the disk for a last word


@dataclass(frozen=True, slots=True)
class Asked:
    """That a training is wanted.

    Attributes:
        project: as Label Studio names it.
        why: who or what asked, a phrase.
        first: Unix time of when it was first asked for.
        due: Unix time before which it does not begin, so that several asks become one training.
    """

    project: str
    why: str
    first: float
    due: float


@dataclass(frozen=True, slots=True)
class Job:
    """One training.

    Attributes:
        project: as Label Studio names it.
        state: `done`: the new head serves; `not_promoted`: it was no better; `failed`: there is none.
        progress: in [0, 1].
        doing: what is being done, a phrase.
        why: who or what asked for it, a phrase.
        started, ended: Unix time; None = not yet.
        reason: how it ended and why, one sentence.
        version: the number of the head that came of it.
        again: whether another one is wanted afterwards; only in what `JobFolder.status` gives.
    """

    project: str
    state: State
    progress: float = 0.0
    doing: str = ""
    why: str = ""
    started: float | None = None
    ended: float | None = None
    reason: str = ""
    version: int | None = None
    again: bool = False


_ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)
_JOB: TypeAdapter[Job] = TypeAdapter(Job)


class JobFolder:
    """The files about training in one project's folder."""

    def __init__(self, folder: Path) -> None:
        """`folder` need not be there yet."""
        self.folder = folder
        self._wanted, self._job = folder / "wanted.json", folder / "job.json"
        self._lock = folder / "job.lock"
        self._reserve = folder / ".job.reserve"

    def ask(self, project: str, why: str, delay: float) -> bool:
        """Notes that a training is wanted, `delay` seconds from now → whether none was wanted before.

        Raises:
            OSError: it cannot be written.
        """
        now = time.time()
        known = self.asked()
        first = known.first if known else now
        due = min(now + delay, first + max(delay, _MOST_PUT_OFF))
        asked = Asked(project, why, first, due)
        write_bytes(self._wanted, json.dumps(asdict(asked)).encode())
        return known is None

    def asked(self) -> Asked | None:
        """What is wanted and has not begun."""
        return _read(self._wanted, _ASKED)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Whether this process now is the one that trains this project."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock, timeout=_PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def busy(self) -> bool:
        """Whether some process trains this project right now."""
        if not self._lock.exists():
            return False
        try:
            with FileLock(self._lock, timeout=0):
                return False
        except Timeout:
            return True

    def begin(self, job: Job) -> None:
        """What was wanted begins: `write`, and a little room kept on the disk for how it ends.

        Raises:
            OSError: it cannot be written.
        """
        self.write(job)
        self._wanted.unlink(missing_ok=True)  # only now, so that at any time one of the two says how it is
        with contextlib.suppress(OSError):
            self._reserve.write_bytes(os.urandom(_RESERVE))

    def write(self, job: Job) -> None:
        """The record, replaced whole; for who holds the lock.

        Raises:
            OSError: it cannot be written.
        """
        write_bytes(self._job, json.dumps(asdict(job)).encode())

    def end(self, job: Job) -> None:
        """`write`, also where the disk has become full.

        Raises:
            OSError: it cannot be written even so.
        """
        self._reserve.unlink(missing_ok=True)
        self.write(job)

    def job(self) -> Job | None:
        """The last training that began, as it was written down."""
        return _read(self._job, _JOB)

    def bury(self) -> None:
        """Writes down that the last training is dead where it says it runs; for who holds the lock."""
        job = self.job()
        if job is not None and job.state == "running":
            self.end(_dead(job))

    def status(self) -> Job | None:
        """The last or next training as it is: who was killed has failed, what is wanted is queued."""
        asked, job = self.asked(), self.job()
        if job is not None and job.state == "running":
            if self.busy():
                return replace(job, again=asked is not None)
            job = self.job() or job  # it may have ended just now
            if job.state == "running":
                job = _dead(job)
        if asked is None:
            return job
        return Job(asked.project, "queued", doing="waiting for its turn", why=asked.why)


def _dead(job: Job) -> Job:
    return replace(job, state="failed", reason=KILLED, ended=job.ended or time.time())


def _read(path: Path, kind: TypeAdapter[Kept]) -> Kept | None:
    """None where it is not there, or damaged."""
    try:
        return kind.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        logger.warning("%s cannot be read (%s) and is passed over.", path, type(error).__name__)
        return None
