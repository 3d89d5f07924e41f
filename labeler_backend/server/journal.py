"""What the backend has done, what went wrong, and what became of it: the memory behind the status page."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, TypeVar

from labeler_backend.errors import LabelerError
from labeler_backend.report.costs import CostModel
from labeler_backend.report.learning import by_version
from labeler_backend.report.versions import head_number
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.connections import Connections, usable
from labeler_backend.server.protocol import (
    Failure,
    ProjectStatus,
    VersionStatus,
    WebhookEvent,
    project_uid,
)
from labeler_backend.studio.prediction import Prediction

V = TypeVar("V")
logger = logging.getLogger("labeler_backend")

_FAILURES = 100
_NOTES = 20  # of one project
_PROJECTS = 1000  # kept in memory: anybody who may ask can name any number of them
_TITLE = 200  # characters
_WINDOW = 60.0  # seconds over which images/s is counted


class Journal:
    """Taking note costs nothing on the event loop: what goes to disk is written in order, in one thread.

    Attributes:
        done: tasks answered since the start.
        failed: tasks that failed since the start.
    """

    def __init__(
        self, acceptance: Acceptance, connections: Connections, costs: CostModel | None = None
    ) -> None:
        """`costs` are what the time that proposals save is estimated by."""
        self.done = self.failed = 0
        self._costs = costs or CostModel()
        self._acceptance, self._connections = acceptance, connections
        self._writer = ThreadPoolExecutor(1, "journal")
        self._failures: deque[Failure] = deque(maxlen=_FAILURES)
        self._notes: dict[str, Sequence[str]] = {}
        self._clicks: dict[str, Sequence[tuple[int, str]]] = {}
        self._titles: dict[str, str] = {}
        self._finished: deque[float] = deque(maxlen=10_000)

    def later(self, work: Callable[..., object], *args: Any) -> None:
        """Has `work` done by the writing thread, after what it was given before; not once it is closed."""
        with contextlib.suppress(RuntimeError):  # only requests that outlived their grace come that late
            self._writer.submit(_logged, work, *args)

    def noted(self, project: str, notes: Sequence[str]) -> None:
        """What in a project's labelling config gets no answer."""
        _keep(self._notes, project, notes)

    def noted_video(self, project: str, note: str) -> None:
        """What is wrong with how one of its videos is shown; forgotten at the project's next request."""
        known = list(self._notes.get(project, ()))
        if note not in known and len(known) < _NOTES:
            _keep(self._notes, project, [*known, note])

    def noted_click(self, project: str, task: int, note: str) -> None:
        """What of a prompt could not be used; the last few of a project are kept until the server ends."""
        known = [one for one in self._clicks.get(project, ()) if one != (task, note)]
        _keep(self._clicks, project, [*known, (task, note)][-_NOTES:])

    def answered(self, project: str, task: int, answer: bytes, clicked: bool) -> None:
        """A task has its answer: a `Prediction` as JSON."""
        self.later(self._record, project, task, answer, clicked)

    def finished(self) -> None:
        """A task is through."""
        self.done += 1
        self._finished.append(time.monotonic())

    def failure(self, project: str, task: object, error: Exception, final: bool) -> None:
        """A task has no answer for now or, if `final`, for good."""
        self.failed += 1
        reason = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, LabelerError):
            reason = f"This is a mistake in the program ({type(error).__name__}: {reason}): please report it."
        number = task.get("id") if isinstance(task, dict) else None
        number = number if isinstance(number, int) and not isinstance(number, bool) else None
        self._failures.appendleft(
            Failure(
                at=time.time(),
                project=project,
                task=number,
                link=self.link(project, number),
                reason=reason,
                final=final,
            )
        )

    def event(self, event: WebhookEvent) -> None:
        """Something happened in Label Studio."""
        self.later(self._happened, event)

    def close(self) -> None:
        """Returns when all is written."""
        self._writer.shutdown()
        self._acceptance.close()

    def images_per_second(self) -> float:
        """Over the last minute."""
        since = time.monotonic() - _WINDOW
        return sum(at > since for at in list(self._finished)) / _WINDOW

    def failures(self) -> list[Failure]:
        """The last ones, newest first."""
        return list(self._failures)

    def projects(self) -> list[ProjectStatus]:
        """Those seen so far."""
        names = sorted({*self._acceptance.projects(), *self._notes, *self._clicks, *self._titles})
        return [
            ProjectStatus(
                id=name,
                title=self._titles.get(name),
                link=self.link(name),
                notes=[*self._notes.get(name, ()), *self._said_of_clicks(name)],
                **asdict(self._acceptance.counts(name)),
                **self._learning(name),
            )
            for name in names
        ]

    def _said_of_clicks(self, project: str) -> list[str]:
        """The newest first."""
        return [f"Click in task {task}: {note}" for task, note in reversed(self._clicks.get(project, ()))]

    def _learning(self, project: str) -> dict[str, Any]:
        """`versions` and `seconds_saved` of its status."""
        versions = by_version(self._acceptance.summaries(project), self._costs)
        shown = [
            VersionStatus(
                version=version,
                head=head_number(version),
                annotations=one.annotations,
                bulk=one.bulk,
                relabelled=one.relabelled,
                mean_iou=one.mean_iou,
                seconds_saved=one.saved,
                **{str(outcome): number for outcome, number in one.outcomes.items()},
            )
            for version, one in versions.items()
        ]
        return {"versions": shown, "seconds_saved": sum(one.saved for one in versions.values())}

    def _record(self, project: str, task: int, answer: bytes, clicked: bool) -> None:
        self._acceptance.record_answer(project, task, Prediction.model_validate_json(answer), clicked)

    def _happened(self, event: WebhookEvent) -> None:
        about = (event.model_extra or {}).get("project")
        if isinstance(about, dict) and (project := project_uid(about)):
            _keep(self._titles, project, str(about.get("title") or "")[:_TITLE])
            self._acceptance.record_event(project, event)

    def link(self, project: str, task: int | None = None) -> str | None:
        """Where a project, or a task of it, is in Label Studio; None where that is not known."""
        hostname, number = usable(self._connections.of(project).hostname), project.partition(".")[0]
        if not hostname or not number.isdigit():
            return None
        return f"{hostname}/projects/{number}/data" + (f"?task={task}" if task is not None else "")


def _keep(known: dict[str, V], project: str, value: V) -> None:
    """Sets `value`, and drops what was set longest ago where there is too much."""
    known.pop(project, None)
    known[project] = value
    if len(known) > _PROJECTS:
        del known[next(iter(known))]


def _logged(work: Callable[..., object], *args: Any) -> None:
    try:
        work(*args)
    except Exception:
        logger.exception("Something could not be written down.")
