"""One training after another in the worker: taken from its folder, run, and how it went written down."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from labeler_backend.errors import LabelerError
from labeler_backend.projects import project_folder
from labeler_backend.server.jobs import Asked, Job, JobFolder, State

logger = logging.getLogger("labeler_backend")

Progress = Callable[[float, str], None]
_WRITTEN_EVERY = 0.5  # seconds between two records of progress


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    Attributes:
        version: the new head's number.
        promoted: whether it serves now.
        reason: why (not), one sentence.
    """

    version: int
    promoted: bool
    reason: str


class Train(Protocol):
    """Trains a project, as Label Studio names it."""

    def __call__(self, project: str, progress: Progress) -> Outcome:
        """Raises:
        LabelerError: nothing came of it; one sentence.
        """


class Waker(Protocol):
    """What has a project looked at later; the queue."""

    def put(self, project: str, delay: float = 0.0) -> None: ...


class Runner:
    """Runs what is wanted. One job at a time; `put_off` may come from another thread."""

    def __init__(
        self, data_dir: Path, train: Train, begun: Callable[[str], None] = lambda project: None
    ) -> None:
        """`begun` is told of each training that begins."""
        self._data_dir, self._train, self._begun = data_dir, train, begun
        self._current: tuple[JobFolder, Asked, Job] | None = None

    def look_at(self, name: str, queue: Waker) -> bool:
        """Trains the project in the folder called `name` while that is wanted → whether it was."""
        folder, ran = JobFolder(project_folder(self._data_dir, name)), False
        while (asked := folder.asked()) is not None:
            if (wait := asked.due - time.time()) > 0:
                queue.put(name, wait)
                break
            with folder.locked() as mine:
                if not mine:  # whoever has it looks for what is wanted when it is through
                    break
                folder.bury()
                if (asked := folder.asked()) is None:
                    break
                self._run(folder, asked)
                ran = True
        return ran

    def put_off(self, why: str) -> None:
        """The process ends now: what runs has failed for that reason, and is wanted again."""
        if self._current is None:
            return
        folder, asked, job = self._current
        folder.ask(asked.project, asked.why, 0.0)
        folder.end(replace(job, state="failed", reason=why, ended=time.time()))

    def _run(self, folder: JobFolder, asked: Asked) -> None:
        job = Job(asked.project, "running", doing="getting ready", why=asked.why, started=time.time())
        written = 0.0

        def progress(share: float, doing: str) -> None:
            nonlocal job, written
            told = replace(job, progress=min(max(share, 0.0), 1.0), doing=doing)
            if told.doing != job.doing or time.monotonic() - written > _WRITTEN_EVERY:
                folder.write(told)
                written = time.monotonic()
            job = told
            self._current = (folder, asked, job)

        try:
            self._current = (folder, asked, job)
            folder.begin(job)
            self._begun(asked.project)
            done = self._train(asked.project, progress)
        except Exception as error:
            ended = replace(job, state="failed", reason=_reason(asked.project, error))
        else:
            state: State = "done" if done.promoted else "not_promoted"
            ended = replace(job, state=state, progress=1.0, reason=done.reason, version=done.version)
        self._current = None
        logger.info("Training of project %s: %s. %s", asked.project, ended.state, ended.reason)
        folder.end(replace(ended, doing="", ended=time.time()))


def _reason(project: str, error: Exception) -> str:
    """One sentence."""
    said = " ".join(str(error).split())
    if isinstance(error, LabelerError):
        return said
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"The disk is full{where}: make room in LABELER_DATA_DIR and LABELER_CACHE_DIR, then train again."
        )
    if isinstance(error, MemoryError):
        return "The training ran out of memory: start it again with less running beside it."
    logger.exception("The training of project %s failed.", project, exc_info=error)
    if isinstance(error, OSError):
        return f"A file could not be used ({said}): mend that, then train again."
    return f"This is a mistake in the program ({type(error).__name__}: {said}): please report it."
