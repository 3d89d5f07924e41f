"""When a project is trained: Start Training was pressed, or enough annotations came in."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labeler_backend.errors import LabelerError
from labeler_backend.projects import project_folder
from labeler_backend.server.jobs import Job, JobFolder
from labeler_backend.server.protocol import WebhookEvent, project_uid
from labeler_backend.server.queue import Queue
from labeler_backend.server.tally import Tally

logger = logging.getLogger("labeler_backend")

START = "START_TRAINING"
BUTTON = "Start Training"
_PROBLEMS = 1000
_SOON, _SETTLED = 1.0, 10.0  # seconds from a button, and from an annotation after which more may come

Name = Callable[[str], str | None]
"""A project as Label Studio names it → what it is kept under; None where its Label Studio is unknown."""


class Asking:
    """Turns events into wishes for a training. Costs the event loop nothing: all is done in one thread."""

    def __init__(self, data_dir: Path, name: Name, queue: Queue, tally: Tally, every: int) -> None:
        """`every` how many submitted annotations there is a training; 0 = only when it is asked for."""
        self._data_dir, self._name, self._queue = data_dir, name, queue
        self._tally, self._every = tally, every
        self._thread = ThreadPoolExecutor(1, "asking")
        self._problems: dict[str, str] = {}

    def event(self, event: WebhookEvent) -> None:
        """Something happened in Label Studio."""
        with contextlib.suppress(
            RuntimeError
        ):  # closed: only requests that outlived their grace come so late
            self._thread.submit(self._logged, event)

    def close(self) -> None:
        """Returns when what came in is dealt with."""
        self._thread.shutdown()
        self._tally.close()

    def status(self, project: str) -> Job | None:
        """The last or next training of a project; None where there was none."""
        name = self._name(project)
        job = self._folder(name).status() if name else None
        problem = self._problems.get(project)
        if problem is None or (job is not None and job.state == "running"):
            return job
        return Job(project, "failed", reason=problem)

    def left(self, project: str) -> int | None:
        """How many annotations until the next training; None where there is none by itself."""
        return max(0, self._every - self._tally.count(project)) if self._every else None

    def _folder(self, name: str) -> JobFolder:
        return JobFolder(project_folder(self._data_dir, name))

    def _logged(self, event: WebhookEvent) -> None:
        try:
            self._event(event)
        except Exception:
            logger.exception("An event could not be looked at for trainings.")

    def _event(self, event: WebhookEvent) -> None:
        project = project_uid((event.model_extra or {}).get("project"))
        if not project:
            return
        if event.action == START:
            self._ask(project, BUTTON, _SOON)
            return
        try:
            count = self._tally.note(project, event)
        except sqlite3.Error as error:
            logger.error("An annotation could not be counted for the next training: %s", error)
            return
        if count is not None and self._every and count >= self._every:
            self._ask(project, f"{self._every} annotations", _SETTLED)

    def _ask(self, project: str, why: str, delay: float) -> None:
        failed = self._problems.pop(project, None) is not None
        try:
            name = self._name(project)
            if name is None:
                raise LabelerError(
                    "Which Label Studio this project belongs to is not known: open Settings > Model there "
                    "once, or set LABEL_STUDIO_URL."
                )
            new = self._folder(name).ask(project, why, delay)
            if new or failed or why == BUTTON:  # pressed again, perhaps since nothing happened
                self._queue.put(name, delay)
        except (LabelerError, OSError) as error:
            text = (
                str(error)
                if isinstance(error, LabelerError)
                else f"A training cannot be noted down ({error})."
            )
            logger.error("Project %s is not trained: %s", project, text)
            if len(self._problems) >= _PROBLEMS:  # anybody who may ask can name any number of projects
                del self._problems[next(iter(self._problems))]
            self._problems[project] = text
