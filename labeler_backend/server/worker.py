"""The process beside the server in which training jobs run: `python -m labeler_backend.server.worker`.

It reads its settings from stdin, and ends when stdin does: the server is gone. After a job it ends, too, and
is started afresh: what a training took of memory is given back.
"""

from __future__ import annotations

import contextlib
import logging.config
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labeler_backend.errors import LabelerError
from labeler_backend.projects import names, project_folder
from labeler_backend.server import tally
from labeler_backend.server.jobs import STOPPED, JobFolder
from labeler_backend.server.queue import Queue
from labeler_backend.server.running import Outcome, Progress, Runner, Waker
from labeler_backend.server.tally import Tally
from labeler_backend.settings import ServerSettings

if TYPE_CHECKING:
    from huey.consumer import Consumer

logger = logging.getLogger("labeler_backend")

_NICE = 10
_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"labeler_backend": {"level": "INFO", "handlers": ["stderr"], "propagate": False}},
}


def main() -> int:
    """Works until the server is gone or a job is done → the exit code."""
    logging.config.dictConfig(_LOGGING)
    settings = ServerSettings.taken_over(sys.stdin.buffer.readline())
    runner = make_runner(settings)
    threading.Thread(target=_end_with_server, args=(runner,), name="server", daemon=True).start()
    with contextlib.suppress(OSError, AttributeError):
        os.nice(_NICE)
    queue = Queue.of(settings)
    sweep(settings.data_dir, queue)
    consumer: Consumer

    def work(name: str) -> None:
        if runner.look_at(name, queue):
            consumer.stop_flag.set()

    consumer = queue.consumer(work)
    consumer.run()
    return 0


def make_runner(settings: ServerSettings) -> Runner:
    """What trains, and tells the tally that it begins."""

    def train(project: str, progress: Progress) -> Outcome:
        # only here, since it takes torch along: a worker that waits is to be small
        from labeler_backend.server.project_training import train_project

        return train_project(settings, project, progress)

    def begun(project: str) -> None:
        with contextlib.closing(Tally(settings.data_dir / tally.FILE)) as counted:
            counted.clear(project)

    return Runner(settings.data_dir, train, begun)


def sweep(data_dir: Path, queue: Waker) -> None:
    """What a worker that was killed has left: its job is declared dead, and what is wanted queued again."""
    for name in names(data_dir):
        folder = JobFolder(project_folder(data_dir, name))
        try:
            if not folder.busy():
                with folder.locked() as mine:
                    if mine:
                        folder.bury()
            asked = folder.asked()
            if asked is not None:
                queue.put(name, asked.due - time.time())
        except (LabelerError, OSError) as error:
            logger.error("The training of %s cannot be looked at: %s", name, error)


def _end_with_server(runner: Runner) -> None:
    while os.read(
        sys.stdin.fileno(), 1024
    ):  # sys.stdin itself has a lock, which the end of Python trips over
        pass
    with contextlib.suppress(Exception):
        runner.put_off(STOPPED)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
