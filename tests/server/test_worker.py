"""The worker: a real process, beside a made-up Label Studio, with a tiny model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.heads.versions import Versions
from labeler_backend.server.jobs import KILLED, STOPPED, Job, JobFolder
from labeler_backend.server.supervisor import Supervisor
from labeler_backend.settings import ServerSettings
from tests.server.learning import annotate, ask
from tests.studio.fake_studio import FakeStudio

SECONDS = 90.0
BACKEND = "http://backend.internal:9090"


@contextmanager
def working(settings: ServerSettings) -> Iterator[Supervisor]:
    worker = Supervisor(settings, "tests.server.hurried_worker")
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(5)


def until(said: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + SECONDS
    while not (found := said()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


def ended(folder: JobFolder) -> Job:
    def over() -> Job | None:
        job = folder.status()
        return job if job is not None and job.state not in ("queued", "running") else None

    found: Job = until(over, "the job's end")
    return found


def reading(folder: JobFolder) -> Callable[[], bool]:
    def at_it() -> bool:
        job = folder.status()
        return job is not None and job.state == "running" and "reading" in job.doing

    return at_it


class Gate:
    """Holds back Label Studio's answers about tasks."""

    def __init__(self, fake: FakeStudio) -> None:
        self.open = threading.Event()
        fake.faults = self

    def __call__(self, method: str, path: str) -> None:
        if path == "/api/tasks":
            self.open.wait(SECONDS)


def test_annotations_become_a_head_also_after_a_worker_was_killed(
    settings: ServerSettings, fake: FakeStudio
) -> None:
    annotate(fake, 6)
    gate = Gate(fake)
    folder = ask(settings, fake)
    with working(settings) as worker:
        until(reading(folder), "the job to begin")
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        job = ended(folder)
        assert (job.state, job.reason) == ("failed", KILLED)
        gate.open.set()
        until(lambda: worker.restarts, "another worker")
        assert Versions(folder.folder / "heads").serving() is None

        ask(settings, fake)
        job = ended(folder)
        assert (job.state, job.version, job.progress) == ("done", 1, 1.0), job
        head = Versions(folder.folder / "heads").load(1)
        assert (head.classes, head.n_images) == (("thing",), 6)
        until(lambda: worker.restarts > 1, "a fresh worker")  # so that memory is given back
        assert worker.last_exit == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_the_worker_goes_with_the_server_and_its_job_begins_again(
    settings: ServerSettings, fake: FakeStudio, how: signal.Signals
) -> None:
    annotate(fake, 3)
    gate = Gate(fake)
    folder = ask(settings, fake)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(settings.handed_over().decode() + "\n")
    server.stdin.flush()
    worker = int(server.stdout.readline())
    until(reading(folder), "the job to begin")
    server.send_signal(how)
    server.wait(20)
    until(lambda: gone(worker), "the worker's end")
    asked = folder.asked()
    assert asked is not None
    job = folder.job()
    assert job is not None
    assert (job.state, job.reason) == ("failed", STOPPED)
    gate.open.set()
    with working(settings):
        until(lambda: folder.asked() is None, "its beginning again")


SERVER = """
import sys, time
from labeler_backend.server.supervisor import Supervisor
from labeler_backend.settings import ServerSettings
worker = Supervisor(ServerSettings.taken_over(sys.stdin.readline().encode()))
worker.start()
while worker.pid is None:
    time.sleep(0.01)
print(worker.pid, flush=True)
time.sleep(300)
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")  # a zombie that nobody waits for
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_the_worker_gives_way(settings: ServerSettings) -> None:
    with working(settings) as worker:
        pid = until(lambda: worker.pid, "the worker")
        until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 10, "its being nice")
