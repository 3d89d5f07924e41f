"""Tells Label Studio which version serves a project, whoever changed it: a training, or `labeler heads`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from labeler_backend.errors import LabelerError
from labeler_backend.server.connections import Connections, logged_in
from labeler_backend.server.live import Live
from labeler_backend.server.protocol import project_id
from labeler_backend.studio.following import follow

logger = logging.getLogger("labeler_backend")

_EVERY = 2.0  # seconds between two looks at one small file per project
_AGAIN = (10.0, 60.0, 600.0)  # seconds before the next try after one, two, … failures in a row


@dataclass
class _Told:
    """Of one project.

    Attributes:
        version: that Label Studio was told; empty = none yet.
        failures: in a row since then.
        due: monotonic time before which there is no other try.
    """

    version: str = ""
    failures: int = 0
    due: float = 0.0


class Telling:
    """A thread that notices another version, also one that another process has made serve."""

    def __init__(
        self, live: Live, connections: Connections, tell: Callable[[str, str], None], every: float = _EVERY
    ) -> None:
        """Args:
        live: what serves.
        connections: which projects there are.
        tell: tells Label Studio of a project and its version; raises LabelerError where that cannot be.
        every: seconds between two looks.
        """
        self._live, self._connections, self._tell, self._every = live, connections, tell, every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="telling", daemon=True)
        self._told: dict[str, _Told] = {}

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Ends; a Label Studio that is being told gets `grace` seconds to answer."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(grace)

    def look(self) -> None:
        """Once, at all projects for which anything was ever learned: Label Studio knows of no others."""
        for project in self._connections.projects():
            version = self._live.glance(project)
            if version is not None and not self._stopping.is_set():
                self._look_at(project, version, self._told.setdefault(project, _Told()))

    def _look_at(self, project: str, version: str, told: _Told) -> None:
        if version == told.version or time.monotonic() < told.due:
            return
        try:
            self._tell(project, version)
        except LabelerError as error:
            wait = _AGAIN[min(told.failures, len(_AGAIN) - 1)]
            told.failures, told.due = told.failures + 1, time.monotonic() + wait
            logger.warning("Label Studio does not show the scores of %s yet: %s", version, error)
        else:
            told.version, told.failures, told.due = version, 0, 0.0

    def _watch(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self.look()
            except Exception:
                logger.exception("What serves could not be looked at.")


def telling(live: Live, connections: Connections) -> Telling:
    """As the server does it."""

    def tell(project: str, version: str) -> None:
        access = connections.access(project)
        if access is None:
            return  # its Label Studio is not known, and /setup will be new to it
        with logged_in(access) as studio:
            for sentence in follow(studio, int(project_id(project)), live.base, version):
                logger.info("%s", sentence)

    return Telling(live, connections, tell)
