"""`serve` as a process of its own: signals, ports, what it says."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.server.run import serve
from labeler_backend.settings import ServerSettings
from tests.server.fakes import FakeService

PROGRAM = """
import sys
from labeler_backend.errors import LabelerError
from labeler_backend.server.run import serve
from labeler_backend.settings import ServerSettings
from tests.server.fakes import FakeService

class Stubborn(FakeService):
    async def stop(self, grace):
        self.stopped.append(grace)
service = (Stubborn if "stubborn" in sys.argv else FakeService)(seconds=float(sys.argv[1]))
serve(ServerSettings(port=0, grace=float(sys.argv[2])), service, lambda url: print(url, flush=True))
print("stopped", service.started, service.stopped, flush=True)
"""


@contextmanager
def process(*arguments: str, program: str = PROGRAM) -> Iterator[tuple[subprocess.Popen[str], str]]:
    root = Path(__file__).parents[2]
    running = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        yield running, running.stdout.readline().strip()
    finally:
        running.kill()
        running.communicate()


def ask(url: str) -> tuple[threading.Thread, list[Any]]:
    """POST /predict with one task in a thread; the answer, or what went wrong, comes into the list."""
    got: list[Any] = []

    def post() -> None:
        try:
            got.append(
                httpx.post(f"{url}/predict", json={"tasks": [{"id": 1}], "label_config": ""}, timeout=30)
            )
        except httpx.HTTPError as error:
            got.append(error)

    thread = threading.Thread(target=post)
    thread.start()
    time.sleep(0.5)
    return thread, got


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_signal_lets_running_requests_answer_and_exits_0(number: signal.Signals) -> None:
    with process("20", "5") as (running, url):
        assert httpx.get(f"{url}/health").status_code == 200
        thread, got = ask(url)
        begun = time.monotonic()
        running.send_signal(number)
        out, err = running.communicate(timeout=20)
        thread.join(5)
    assert running.returncode == 0
    # the service was told at once, so that the request did not need its 20 s, nor all of its grace
    assert time.monotonic() - begun < 5
    assert got[0].json()["results"][0]["result"][0]["id"] == "r0"
    assert out == "stopped 1 [5.0]\n"
    assert "Traceback" not in err


def test_request_that_outlives_the_grace_is_told_so() -> None:
    with process("20", "1", "stubborn") as (running, url):
        thread, got = ask(url)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=20)
        thread.join(5)
    assert running.returncode == 0
    assert out.startswith("stopped")
    assert (got[0].status_code, got[0].json()["detail"]) == (503, "The backend is being stopped; ask again.")
    assert "Traceback" not in err


def test_taken_port_is_said_in_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = FakeService()
        with pytest.raises(LabelerError) as caught:
            serve(ServerSettings(port=port), service)
    assert f"Port {port} on 127.0.0.1 is taken" in str(caught.value)
    assert "LABELER_PORT" in str(caught.value)
    assert service.started == 0


@pytest.mark.parametrize(
    ("variables", "warned"),
    [
        pytest.param({"LABELER_HOST": "127.0.0.1"}, False, id="this machine only"),
        pytest.param({"LABELER_HOST": "0.0.0.0"}, True, id="open to all"),
        pytest.param(
            {"LABELER_HOST": "0.0.0.0", "LABELER_BASIC_AUTH_USER": "me", "LABELER_BASIC_AUTH_PASS": "x"},
            False,
            id="open with a login",
        ),
    ],
)
def test_a_backend_open_to_all_is_warned_of(
    variables: dict[str, str], warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with process("0", "1") as (running, url):
        assert url.startswith("http://127.0.0.1:")
        running.terminate()
        assert running.stderr is not None
        said = running.stderr.read()
    assert ("LABELER_BASIC_AUTH_USER" in said) == warned


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_address_of_another_machine_is_said_in_one_sentence(host: str) -> None:
    with pytest.raises(LabelerError, match="is no address of this machine"):
        serve(ServerSettings(host=host, port=0), FakeService())


def test_failure_at_the_start_reaches_the_caller() -> None:
    class Broken(FakeService):
        async def start(self) -> None:
            raise LabelerError("The data folder cannot be written: choose another.")

    with pytest.raises(LabelerError, match="data folder"):
        serve(ServerSettings(port=0), Broken())


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")],
)
def test_url_can_be_opened(host: str, url: str) -> None:
    from labeler_backend.server.run import _listen, _url

    try:
        with _listen(host, 0) as listener:
            assert _url(listener).startswith(url)
    except LabelerError:
        if host != "::1":
            raise
        pytest.skip("no IPv6 on this machine")


def test_a_signal_while_the_model_is_being_loaded_ends_it_at_once(tmp_path: Path) -> None:
    """Fetching weights may take minutes."""
    program = """
import sys, time
from pathlib import Path
from labeler_backend.server.run import serve
from labeler_backend.settings import ServerSettings
from tests.server import standin

def load():
    time.sleep(60)
service = standin.make_service(Path(sys.argv[1]), standin.Control())
service._proposing._load = load
serve(ServerSettings(port=0, grace=1), service, lambda url: print(url, flush=True))
"""
    with process(str(tmp_path), program=program) as (running, url):
        assert httpx.get(f"{url}/health").status_code == 200
        begun = time.monotonic()
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
    assert running.returncode == 0
    assert time.monotonic() - begun < 8
