"""A backend that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], Any]
"""A task → its element of `results`."""


class Scripted:
    """What was asked, and what to answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[list[int]] = []  # per /predict the ids of its tasks
        self.bodies: list[tuple[str, dict[str, Any]]] = []  # path and body of everything that had one

    def reply(self, path: str, body: dict[str, Any]) -> Any:
        self.bodies.append((path, body))
        if path == "/setup":
            return {"model_version": "scripted-1"}
        if path == "/predict":
            self.asked.append([task["id"] for task in body["tasks"]])
            return {"results": [self.answer(task) for task in body["tasks"]]}
        return {"status": "UP"}


@contextmanager
def scripted(answer: Answer) -> Iterator[tuple[str, Scripted]]:
    """Its URL and what it remembers."""
    script = Scripted(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def _reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            data = json.dumps(script.reply(self.path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", script
        finally:
            server.shutdown()
            thread.join()
