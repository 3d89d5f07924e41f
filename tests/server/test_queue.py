"""The queue of trainings, in a SQLite file and in a real Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.server.queue import FILE, Queue


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The address of a Redis of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    process = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < end, "redis-server did not start"
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(params=["sqlite", "redis"])
def redis_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
    elif shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    else:
        with redis_server(tmp_path) as url:
            yield url


@contextmanager
def consuming(queue: Queue, seen: list[tuple[str, float]], most: int) -> Iterator[None]:
    """Works off `most` messages in a thread, as the worker does in its main one."""

    def work(project: str) -> None:
        seen.append((project, time.monotonic()))
        if len(seen) >= most:
            consumer.stop_flag.set()

    consumer = queue.consumer(work)
    consumer._set_signal_handlers = lambda: None  # only the main thread may
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield
        thread.join(20)
        assert not thread.is_alive()
    finally:
        consumer.stop_flag.set()
        thread.join(20)


def test_messages_arrive_in_another_process_each_once_and_late_where_that_is_wanted(
    tmp_path: Path, redis_url: str | None
) -> None:
    ours, theirs = Queue(tmp_path, redis_url), Queue(tmp_path, redis_url)
    begun, seen = time.monotonic(), list[tuple[str, float]]()
    ours.put("later", 2.0)
    ours.put("now")
    ours.put("now")
    assert ours.waiting() == 3
    with consuming(theirs, seen, 3):
        pass
    assert sorted(name for name, _ in seen) == ["later", "now", "now"]
    [late] = [at for name, at in seen if name == "later"]
    assert late - begun > 1.9
    assert ours.waiting() == 0


def test_a_project_that_fails_does_not_stop_the_next(tmp_path: Path, redis_url: str | None) -> None:
    queue, seen = Queue(tmp_path, redis_url), list[str]()

    def work(project: str) -> None:
        seen.append(project)
        if len(seen) == 2:
            consumer.stop_flag.set()
        raise ValueError("oh")

    consumer = queue.consumer(work)
    consumer._set_signal_handlers = lambda: None
    queue.put("a")
    queue.put("b")
    thread = threading.Thread(target=consumer.run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert seen == ["a", "b"]


def test_nothing_in_it_is_pickled(tmp_path: Path) -> None:
    Queue(tmp_path).put("0123abcd-1", 3.0)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    assert b'"args": ["0123abcd-1"]' in stored
    assert b"cnamedtuple" not in stored
    assert b"huey.registry" not in stored


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("redis://:secret@127.0.0.1:1/0", "cannot be used", id="nobody there"),
        pytest.param("http://:secret@127.0.0.1", "redis://host:6379/0", id="another scheme"),
    ],
)
def test_a_redis_that_cannot_be_used_says_so(tmp_path: Path, url: str, expected: str) -> None:
    with pytest.raises(LabelerError, match=expected) as raised:
        Queue(tmp_path, url).put("0123abcd-1")
    assert "secret" not in str(raised.value)


def test_a_file_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("this is no database, it only has a name like one")
    with pytest.raises(LabelerError, match="LABELER_DATA_DIR"):
        Queue(tmp_path)
