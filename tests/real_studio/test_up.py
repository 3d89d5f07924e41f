"""`labeler up` from an empty folder: its own Label Studio and backend, a project, predictions."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
import uuid
from pathlib import Path

import httpx
import pytest

from .client import Client, Json
from .commands import Commands
from .conftest import installed
from .pictures import Picture
from .processes import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc"),
]

MARK = "LABELER_TEST_MARK"


def test_up_and_up_again(tmp_path: Path, cache: Path, pictures: list[Picture]) -> None:
    """All of it, then a second run that finds everything again and is stopped by SIGTERM."""
    photos = tmp_path / "my photos"
    photos.mkdir()
    for number, picture in enumerate([*pictures, pictures[0]]):
        shutil.copy(picture.path, photos / f"photo {number} & ü.jpg")
    mark = uuid.uuid4().hex
    login = {"LABELER_BASIC_AUTH_USER": "somebody", "LABELER_BASIC_AUTH_PASS": "something"}
    labeler = Commands(tmp_path / "data", cache, settings={MARK: mark, **login})
    ports = free_port(), free_port()
    executable = installed("label-studio", "label-studio") / "bin" / "label-studio"
    arguments = ["up", "--images", photos, "--label-studio", executable, "--no-browser"]
    arguments += ["--port", ports[0], "--backend-port", ports[1]]

    first = labeler.json(*arguments, "--once")
    assert (first["tasks"], first["pre_annotated"], first["failures"]) == (4, 4, [])
    assert first["folder"] == str(tmp_path / "data" / "label-studio")
    assert_gone(mark, ports)

    process = labeler.start(*arguments, "--json")
    try:
        assert process.stdout
        second = json.loads(process.stdout.readline())
        predictions = look_around(second)
        assert len(alive(mark)) >= 3, "Label Studio, the backend, and what started them"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert second == first
    assert {len(ones) for ones in predictions.values()} == {1}
    assert_gone(mark, ports)


def look_around(up: Json) -> dict[int, list[Json]]:
    """With the token and with the password that were printed → all predictions."""
    client = Client(up["label_studio"], up["token"])
    predictions = client.predictions(up["project"])
    assert len(predictions) == up["tasks"]
    assert all(task["predictions_score"] for task in client.tasks(up["project"]))
    with httpx.Client(base_url=up["label_studio"], follow_redirects=True, trust_env=False) as browser:
        browser.get("/user/login/")
        form = {"email": up["email"], "password": up["password"]}
        browser.post("/user/login/", data={**form, "csrfmiddlewaretoken": browser.cookies["csrftoken"]})
        assert browser.get("/api/current-user/whoami").json()["email"] == up["email"]
        picture = browser.get(client.tasks(up["project"])[0]["data"]["image"])
        assert picture.headers["content-type"] == "image/jpeg"
    return predictions


def test_stopped_while_it_starts(tmp_path: Path, cache: Path, pictures: list[Picture]) -> None:
    """Killed with -9 before Label Studio is up: what it started ends by itself."""
    mark = uuid.uuid4().hex
    labeler = Commands(tmp_path / "data", cache, settings={MARK: mark})
    ports = free_port(), free_port()
    executable = installed("label-studio", "label-studio") / "bin" / "label-studio"
    process = labeler.start(
        *("up", "--images", pictures[0].path.parent, "--label-studio", executable, "--no-browser"),
        *("--port", ports[0], "--backend-port", ports[1]),
    )
    try:
        assert process.stderr
        while not process.stderr.readline().startswith("Starting"):
            assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert_gone(mark, ports, seconds=30)


def assert_gone(mark: str, ports: tuple[int, int], seconds: float = 0) -> None:
    """No process that inherited the mark is there (within that time), and both ports are free."""
    end = time.monotonic() + seconds
    while (left := alive(mark)) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == {}
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def alive(mark: str) -> dict[int, str]:
    """Processes with the mark in their environment, whoever started them → their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it ended, or is somebody else's
    return found
