"""Everything about training on the server's side: who asks for it, the process that does it, how it fares."""

from __future__ import annotations

from dataclasses import asdict
from typing import Protocol

from labeler_backend.server.asking import Asking
from labeler_backend.server.protocol import TrainingStatus, WebhookEvent


class Process(Protocol):
    """The worker; `Supervisor`."""

    def start(self) -> None: ...
    def stop(self, grace: float) -> None: ...


class Trainings:
    """What the service needs of it."""

    def __init__(self, asking: Asking, process: Process) -> None:
        self._asking, self._process = asking, process

    def start(self) -> None:
        """Has the worker run."""
        self._process.start()

    def stop(self, grace: float) -> None:
        """What runs begins again at the next start."""
        self._process.stop(grace)
        self._asking.close()

    def event(self, event: WebhookEvent) -> None:
        """Something happened in Label Studio; takes note at once."""
        self._asking.event(event)

    def status(self, project: str) -> TrainingStatus:
        """Of one project; reads files."""
        job, left = self._asking.status(project), self._asking.left(project)
        if job is None:
            return TrainingStatus(state="none", left=left)
        return TrainingStatus.model_validate(asdict(job) | {"left": left})
