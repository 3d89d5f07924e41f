"""Real HTTP servers on loopback, for tests of what fetches."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


class Handler(BaseHTTPRequestHandler):
    """Looks its path up in the server's routes; an answer is written with `reply`."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        seen = Seen(self.command, self.path, dict(self.headers), body, self.headers.get("Authorization"))
        self.server.seen.append(seen)
        route = self.server.routes.get(self.path) or self.server.routes.get(self.path.partition("?")[0])
        (route or Handler.missing)(self)

    do_POST = do_GET

    def reply(self, status: int = 200, body: bytes = PNG, **headers: str) -> None:
        """Headers in Python's spelling: content_type="image/png"."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers and status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if status == 304 else body)

    def missing(self) -> None:
        self.reply(404, b"no")

    def log_message(self, *_: object) -> None:
        pass


Route = Callable[[Handler], None]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    authorization: str | None


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    daemon_threads = True

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), Handler)
        self.routes: dict[str, Route] = {}
        self.seen: list[Seen] = []

    def handle_error(self, *_: object) -> None:
        """A client that hung up is nothing to print."""

    @property
    def url(self) -> str:
        host = self.server_address[0]
        return f"http://{f'[{host!s}]' if ':' in str(host) else host!s}:{self.server_port}"


@contextlib.contextmanager
def serving(address: str = "127.0.0.1") -> Iterator[Server]:
    with Server(address) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def redirect(to: str, status: int = 302) -> Route:
    return lambda handler: handler.reply(status, b"", Location=to)


@dataclass
class Raw:
    """A server that says exactly these bytes, whatever it is asked."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def saying(answer: Callable[[socket.socket], None]) -> Iterator[Raw]:
    """`answer` gets the connection after the request's head was read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        raw = Raw(listener.getsockname()[1])

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.settimeout(10)
                        head = b""
                        while b"\r\n\r\n" not in head:
                            head += connection.recv(65536)
                        raw.requests.append(head)
                        answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield raw
