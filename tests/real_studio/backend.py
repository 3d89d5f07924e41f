"""The product's server as users start it: `labeler serve` in a process of its own."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from .processes import Server, clean_environment, free_port

SIZE = 224  # long side in pixels of what the model sees: quick enough for tests
ROOT = Path(__file__).parents[2]
_SERVE = [sys.executable, "-c", "from labeler_backend.cli import main; main()", "serve"]


class Backend:
    """A running `labeler serve`. Its port and folders stay the same when it is started again."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        *,
        auth: tuple[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        size: int = SIZE,
    ) -> None:
        """
        Args:
            folder: for its data and its log.
            cache: LABELER_CACHE_DIR, with the weights in it.
            auth: user and password it asks for.
            settings: further environment variables.
            size: long side in pixels of what the model sees.
        """
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.auth = auth
        self.data = folder / "data"
        self._size = size
        self._log = folder / "backend.log"
        self._env = clean_environment() | {
            "PYTHONPATH": str(ROOT),
            "LABELER_DATA_DIR": str(self.data),
            "LABELER_CACHE_DIR": str(cache),
            "LABELER_DEVICE": "cpu",
            "HF_HUB_OFFLINE": "1",
            **({"LABELER_BASIC_AUTH_USER": auth[0], "LABELER_BASIC_AUTH_PASS": auth[1]} if auth else {}),
            **(settings or {}),
        }
        self.http = httpx.Client(base_url=self.url, auth=auth, timeout=150, trust_env=False)
        self.start()

    def start(self) -> None:
        """Start it and wait for /health."""
        command = [*_SERVE, "--host", "127.0.0.1", "--port", str(self.port), "--size", str(self._size)]
        self._server = Server(command, self._env, self._log, f"{self.url}/health")
        try:
            self._server.wait(60)
        except AssertionError:
            self.stop()
            raise

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """→ its exit code."""
        return self._server.stop(how)

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it and start it again."""
        self.stop(how)
        self.start()

    def log(self) -> str:
        """All it printed."""
        return self._log.read_text(errors="replace")

    def status(self) -> dict[str, Any]:
        """GET /status.json."""
        answer = self.http.get("/status.json").raise_for_status()
        report: dict[str, Any] = answer.json()
        return report

    def wait_for_model(self) -> None:
        """Until the weights are loaded."""
        end = time.monotonic() + 60
        while (model := self.status()["model"])["state"] != "ready":
            assert time.monotonic() < end, model
            time.sleep(0.2)

    def project(self, uid: str) -> dict[str, Any]:
        """What /status.json says of a project, by its `Client.uid`."""
        projects = self.status()["projects"]
        found = [one for one in projects if one["id"] == uid]
        assert len(found) == 1, f"project {uid} among {[one['id'] for one in projects]}"
        return found[0]

    def counts(self, uid: str, **wanted: int) -> dict[str, int]:
        """Accepted, edited, rejected, drawn … of a project once they are `wanted`: events take a while."""
        end = time.monotonic() + 15
        while True:
            now = {name: self.project(uid)[name] for name in wanted}
            if now == wanted or time.monotonic() > end:
                return now
            time.sleep(0.2)

    def failures(self, uid: str) -> dict[int, dict[str, Any]]:
        """What /status.json says went wrong with a project's tasks, the newest of each task."""
        ours = [one for one in self.status()["failures"] if one["project"] == uid]
        return {one["task"]: one for one in reversed(ours)}


@contextmanager
def labeler_serve(folder: Path, cache: Path, **options: Any) -> Iterator[Backend]:
    """A backend, stopped at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    backend = Backend(folder, cache, **options)
    try:
        yield backend
    finally:
        backend.stop()
