"""A job's record: who wrote what, and what is seen of it when somebody was killed in between."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.server import jobs as module
from labeler_backend.server.jobs import KILLED, STOPPED, Job, JobFolder
from labeler_backend.server.running import Outcome, Progress, Runner

PROJECT, NAME = "1.1795428142", "0123abcd-1"


class Waker:
    """A queue that only notes."""

    def __init__(self) -> None:
        self.put_off: list[tuple[str, float]] = []

    def put(self, project: str, delay: float = 0.0) -> None:
        self.put_off.append((project, delay))


def folder_in(data: Path) -> JobFolder:
    return JobFolder(data / "projects" / NAME)


def well(project: str, progress: Progress) -> Outcome:
    progress(0.5, "fitting")
    return Outcome(3, True, "It is better.")


def run(data: Path, train: Callable[[str, Progress], Outcome], delay: float = 0.0) -> Job:
    folder_in(data).ask(PROJECT, "Start Training", delay)
    assert Runner(data, train).look_at(NAME, Waker())
    job = folder_in(data).status()
    assert job is not None
    return job


def test_a_training_that_nobody_asked_for_does_not_begin(tmp_path: Path) -> None:
    assert folder_in(tmp_path).status() is None
    assert not Runner(tmp_path, well).look_at(NAME, Waker())
    assert folder_in(tmp_path).status() is None


def test_a_job_from_its_asking_to_its_end(tmp_path: Path) -> None:
    folder, seen = folder_in(tmp_path), []

    def train(project: str, progress: Progress) -> Outcome:
        seen.append(folder.status())
        progress(0.25, "fitting")
        seen.append(folder.status())
        return well(project, progress)

    folder.ask(PROJECT, "Start Training", 0.0)
    queued = folder.status()
    assert queued is not None
    assert (queued.state, queued.why) == ("queued", "Start Training")
    job = run(tmp_path, train)
    assert [(one.state, one.progress, one.doing) for one in seen if one] == [
        ("running", 0.0, "getting ready"),
        ("running", 0.25, "fitting"),
    ]
    assert (job.state, job.version, job.reason, job.progress) == ("done", 3, "It is better.", 1.0)
    assert job.started is not None
    assert job.ended is not None
    assert job.started <= job.ended
    assert folder.asked() is None


def raising(error: BaseException) -> Callable[[str, Progress], Outcome]:
    def train(project: str, progress: Progress) -> Outcome:
        raise error

    return train


@pytest.mark.parametrize(
    ("train", "state", "reason"),
    [
        pytest.param(lambda p, s: Outcome(2, False, "No better."), "not_promoted", "No better.", id="worse"),
        pytest.param(raising(LabelerError("Nothing\n there.")), "failed", "Nothing there.", id="sentence"),
        pytest.param(
            raising(OSError(errno.ENOSPC, "No space left", "/data/x")), "failed", "disk is full", id="disk"
        ),
        pytest.param(raising(PermissionError(13, "denied", "/data/x")), "failed", "/data/x", id="rights"),
        pytest.param(raising(MemoryError()), "failed", "out of memory", id="memory"),
        pytest.param(raising(ZeroDivisionError("oh")), "failed", "please report it", id="mistake"),
    ],
)
def test_how_it_ended_is_one_sentence(
    tmp_path: Path, train: Callable[[str, Progress], Outcome], state: str, reason: str
) -> None:
    job = run(tmp_path, train)
    assert job.state == state
    assert reason in job.reason
    assert job.ended is not None
    assert run(tmp_path, well).state == "done"


def test_asking_many_times_is_one_training(tmp_path: Path) -> None:
    folder, ran = folder_in(tmp_path), []

    def train(project: str, progress: Progress) -> Outcome:
        ran.append(project)
        return well(project, progress)

    assert [folder.ask(PROJECT, "10 annotations", 0.0) for _ in range(5)] == [True] + [False] * 4
    runner, waker = Runner(tmp_path, train), Waker()
    assert [runner.look_at(NAME, waker) for _ in range(5)] == [True] + [False] * 4
    assert ran == [PROJECT]


def test_what_is_asked_for_while_one_runs_is_run_once_more(tmp_path: Path) -> None:
    folder, again = folder_in(tmp_path), []

    def train(project: str, progress: Progress) -> Outcome:
        if not again:
            for _ in range(3):
                folder.ask(PROJECT, "10 annotations", 0.0)
        status = folder.status()
        assert status is not None
        again.append(status.again)
        return well(project, progress)

    run(tmp_path, train)
    assert again == [True, False]


def test_it_begins_when_things_have_settled(tmp_path: Path) -> None:
    folder, waker = folder_in(tmp_path), Waker()
    folder.ask(PROJECT, "10 annotations", 10.0)
    assert not Runner(tmp_path, well).look_at(NAME, waker)
    [(name, delay)] = waker.put_off
    assert name == NAME
    assert 9 < delay <= 10
    first = folder.asked()
    time.sleep(0.05)
    folder.ask(PROJECT, "10 annotations", 10.0)
    second = folder.asked()
    assert first is not None
    assert second is not None
    assert second.due > first.due
    assert second.first == first.first


def test_it_cannot_be_put_off_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_in(tmp_path)
    now = time.time()
    for seconds in range(0, 300, 5):
        monkeypatch.setattr(module.time, "time", lambda moment=now + seconds: moment)
        folder.ask(PROJECT, "10 annotations", 10.0)
    asked = folder.asked()
    assert asked is not None
    assert asked.due == pytest.approx(now + 60)


def test_two_at_once_become_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    folder, running, most, ran = folder_in(tmp_path), 0, 0, 0
    begun, go = threading.Event(), threading.Event()

    def train(project: str, progress: Progress) -> Outcome:
        nonlocal running, most, ran
        running, ran = running + 1, ran + 1
        most = max(most, running)
        begun.set()
        assert go.wait(10)
        running -= 1
        return well(project, progress)

    folder.ask(PROJECT, "Start Training", 0.0)
    one = threading.Thread(target=Runner(tmp_path, train).look_at, args=(NAME, Waker()))
    one.start()
    assert begun.wait(10)
    folder.ask(PROJECT, "Start Training", 0.0)
    assert not Runner(tmp_path, train).look_at(NAME, Waker())  # another replica's worker
    go.set()
    one.join(10)
    assert (most, ran) == (1, 2)


def test_who_was_killed_is_seen_as_dead(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    folder.write(Job(PROJECT, "running", 0.4, "fitting", started=time.time()))
    job = folder.status()
    assert job is not None
    assert (job.state, job.reason) == ("failed", KILLED)
    with folder.locked() as mine:
        assert mine
        alive = folder.status()
        assert alive is not None
        assert alive.state == "running"
    assert run(tmp_path, well).state == "done"


def test_who_has_to_go_begins_again(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)

    def train(project: str, progress: Progress) -> Outcome:
        runner.put_off(STOPPED)
        os_exit = SystemExit()
        raise os_exit

    folder.ask(PROJECT, "Start Training", 0.0)
    runner = Runner(tmp_path, train)
    with pytest.raises(SystemExit):
        runner.look_at(NAME, Waker())
    job, asked = folder.job(), folder.asked()
    assert job is not None
    assert (job.state, job.reason) == ("failed", STOPPED)
    assert asked is not None
    assert asked.why == "Start Training"


@pytest.mark.parametrize("file", ["job.json", "wanted.json"])
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"project": 1}', b"\xff\xfe"], ids=["empty", "cut", "list", "other", "bytes"]
)
def test_a_damaged_file_does_not_stop_the_next_training(tmp_path: Path, file: str, data: bytes) -> None:
    folder = folder_in(tmp_path)
    folder.folder.mkdir(parents=True)
    (folder.folder / file).write_bytes(data)
    assert folder.status() is None
    assert run(tmp_path, well).state == "done"


def test_how_it_ended_is_also_written_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_in(tmp_path)
    write = module.write_bytes

    def on_a_full_disk(path: Path, data: bytes) -> None:
        if (folder.folder / ".job.reserve").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, data)

    def train(project: str, progress: Progress) -> Outcome:
        monkeypatch.setattr(module, "write_bytes", on_a_full_disk)
        progress(0.5, "fitting")
        raise AssertionError("it could be written")

    job = run(tmp_path, train)
    assert job.state == "failed"
    assert "The disk is full" in job.reason


def test_the_record_is_small_and_can_be_read_by_others(tmp_path: Path) -> None:
    job = run(tmp_path, well)
    found: dict[str, Any] = json.loads((folder_in(tmp_path).folder / "job.json").read_bytes())
    assert Job(**found) == replace(job, again=False)
