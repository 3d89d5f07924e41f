"""A real HTTP server on loopback around a service, and what Label Studio 1.23.2 was recorded to send."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from labeler_backend.server.app import create_app
from labeler_backend.server.types import Backend
from labeler_backend.settings import ServerSettings

RECORDED: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "recorded.jsonl").read_text().splitlines()
]


def recorded(path: str, action: str | None = None) -> dict[str, Any]:
    """The first body recorded for `path`, with this action."""
    return next(
        request["body"]
        for request in RECORDED
        if request["path"] == path and action in (None, request["body"].get("action"))
    )


@contextmanager
def running(service: Backend, **settings: Any) -> Iterator[httpx.Client]:
    """A client of the app around `service`, served by uvicorn in a thread."""
    app = create_app(service, ServerSettings(**settings))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        with httpx.Client(base_url=f"http://{host}:{port}", timeout=20, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
