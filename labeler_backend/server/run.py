"""Serving in one process: the port, the signals, the end."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging.config
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from labeler_backend.errors import LabelerError
from labeler_backend.server.app import create_app
from labeler_backend.server.types import Backend
from labeler_backend.settings import ServerSettings

logger = logging.getLogger("labeler_backend")

_OPEN = (
    "Anybody who reaches %s may use this backend and name hosts for it to ask: "
    "set LABELER_BASIC_AUTH_USER and LABELER_BASIC_AUTH_PASS."
)
_HINT = "choose another with --port or LABELER_PORT"
_SWITCH = (
    0.001  # seconds: a short request passes through several threads, and each waits for the others' turns
)
_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "labeler_backend": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
        "uvicorn": {"level": "WARNING", "handlers": ["stderr"], "propagate": False},
    },
}


def serve(
    settings: ServerSettings, service: Backend, ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serves until SIGTERM or SIGINT (Ctrl-C), then returns.

    On the first signal nothing new is taken and what runs gets `settings.grace` seconds to answer; a second
    Ctrl-C cuts it off.

    Args:
        settings: where to listen and whom to let in.
        service: started before the first request and stopped after the last.
        ready: is told the URL once requests are answered.

    Raises:
        LabelerError: the port cannot be had, or what `service.start` raises.
    """
    with _listen(settings.host, settings.port) as listener:
        logging.config.dictConfig(_LOGGING)
        if settings.basic_auth_user is None and not _is_loopback(listener):
            logger.warning(_OPEN, settings.host)
        sys.setswitchinterval(_SWITCH)
        config = uvicorn.Config(
            create_app(service, settings),
            lifespan="off",  # the service is started and stopped by the server below
            log_config=None,
            access_log=False,  # the app writes its own, without query strings
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=max(1, round(settings.grace)),
        )
        server = _Server(config, service, settings.grace, lambda: ready(_url(listener)))
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, with the service's life tied to its own, and a signal being a normal end."""

    def __init__(
        self, config: uvicorn.Config, service: Backend, grace: float, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._service = service
        self._grace = grace
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._service.start()
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # at once, so that requests that wait for the model answer with what is ready
        stopping = asyncio.create_task(self._service.stop(self._grace))
        await super().shutdown(sockets)
        if self.server_state.tasks:  # cancelled just now: they still say so to their clients
            await asyncio.wait(self.server_state.tasks, timeout=1)
        if self.force_exit:  # a second Ctrl-C
            stopping.cancel()
        await asyncio.wait({stopping}, timeout=self._grace + 5)
        if stopping.done() and not stopping.cancelled():
            stopping.result()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, which raises the signal again afterwards: then the exit code would not be 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to `host` and `port`.

    Raises:
        LabelerError: it cannot be bound; says why.
    """
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        if sys.platform != "win32":  # there it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)  # not only when the app is up: a taken port may show only here
    except OSError as error:
        if listener is not None:
            listener.close()
        raise LabelerError(_why(host, port, error)) from error
    return listener


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(str(listener.getsockname()[0]).partition("%")[0]).is_loopback


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program: stop that, or {_HINT}."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has: {_HINT}; above 1023 none are needed."
    return (
        f"{host} is no address of this machine ({error.strerror or error}): set --host or LABELER_HOST to "
        "127.0.0.1, or to 0.0.0.0 for all of its addresses."
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"
