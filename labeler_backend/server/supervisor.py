"""Keeps the worker process running beside the server, and takes it along when the server ends."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time

from labeler_backend.settings import ServerSettings

logger = logging.getLogger("labeler_backend")

WORKER = "labeler_backend.server.worker"
_AGAIN = (0.2, 1.0, 5.0, 15.0, 60.0)  # seconds before the next start after one, two, … deaths in a row
_LIVED = 60.0  # seconds after which a death is no longer one in a row


class Supervisor:
    """Starts the worker again whenever it ends.

    The worker's stdin is a pipe: it reads the settings from it, and its end tells that the server is gone,
    however that came to be.

    Attributes:
        restarts: how often it was started again.
        last_exit: the exit code of the last one that ended; None = there was none, or it did not start.
    """

    def __init__(self, settings: ServerSettings, module: str = WORKER) -> None:
        """`module` is what runs, as `python -m` takes it."""
        self._settings, self._module = settings, module
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="worker", daemon=True)
        self.restarts = 0
        self.last_exit: int | None = None

    @property
    def pid(self) -> int | None:
        """Of the worker, where it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Begins to keep a worker running."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """Ends the worker: it is asked to, and killed after `grace` seconds."""
        self._stopping.set()
        process = self._process
        if process is not None:
            _end(process, grace)
        if self._thread.is_alive():
            self._thread.join(grace + 5)

    def _watch(self) -> None:
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self.last_exit = self._run()
            if self._stopping.is_set():
                return
            self.restarts += 1
            deaths = 0 if code == 0 or time.monotonic() - began > _LIVED else deaths + 1
            if code != 0:
                logger.warning("The training worker ended (exit code %s) and is started again.", code)
            self._stopping.wait(_AGAIN[min(deaths, len(_AGAIN) - 1)])

    def _run(self) -> int | None:
        """One life of the worker → its exit code; None where it could not be started."""
        try:
            process = subprocess.Popen([sys.executable, "-m", self._module], stdin=subprocess.PIPE)
        except OSError as error:
            logger.error("The training worker cannot be started (%s).", error)
            return None
        self._process = process
        try:
            assert process.stdin is not None
            process.stdin.write(self._settings.handed_over() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # it is dead already; its exit code says so
        if self._stopping.is_set():  # between `stop` and here
            _end(process, 1.0)
        return process.wait()


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
