"""HTTP connections that go only where they may, and end in time.

The address is resolved once, every answer is checked, and the connection goes to a checked one while Host and
SNI keep the name: no second look-up, so no DNS rebinding. Proxies of the environment are not used: behind one
nothing could be checked. Bodies come as they were sent: nothing is decompressed.
"""

from __future__ import annotations

import contextlib
import contextvars
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpcore
import httpx

from labeler_backend.studio.media.addresses import is_never, refusal

_TRIED = 4  # addresses of one host; they share the time there is to connect
_POOL_SIZE = 64
_USER_AGENT = "emergent-labeler"

_deadline: contextvars.ContextVar[float] = contextvars.ContextVar("deadline", default=float("inf"))


class AddressRefusedError(Exception):
    """A host resolves to an address that may not be connected to; the text says which.

    Attributes:
        never: no setting allows it.
    """

    def __init__(self, text: str, *, never: bool) -> None:
        super().__init__(text)
        self.never = never


class UnknownHostError(httpcore.ConnectError):
    """No address is known for this name."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Everything this thread does on connections within the block is over after `seconds`.

    A server that sends a byte now and then cannot stretch it. Only the system's look-up of a name can: it has
    limits of its own.
    """
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


class Connections:
    """Open connections, kept for the next request to the same server. Thread-safe."""

    def __init__(self, connect_timeout: float = 5.0) -> None:
        """`connect_timeout`: seconds until a connection stands."""
        self._connect_timeout = connect_timeout
        context = httpx.create_ssl_context()
        # Apart: a connection that was made to a private address of a named host must not serve a request that
        # may only go to public ones.
        self._pools = {named: _pool(named, context) for named in (True, False)}

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        *,
        named: bool,
        content: bytes | None = None,
    ) -> Iterator[httpcore.Response]:
        """Sends one request; the body is read by the caller, redirects are not followed.

        Args:
            method: GET or POST.
            url: absolute, http or https.
            headers: besides Host.
            named: the host may lie at a private address.
            content: the body.

        Raises:
            AddressRefusedError: the host is where it may not be.
            httpcore.TimeoutException, httpcore.NetworkError (UnknownHostError among them),
                httpcore.ProtocolError: as their names say.
        """
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path or b"/"
        )
        every = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": _USER_AGENT,
            "Accept-Encoding": "identity",
            **headers,
        }
        seconds = {"connect": self._connect_timeout, "read": None, "write": None, "pool": _remaining(None)}
        with self._pools[named].stream(
            method, target, headers=list(every.items()), content=content, extensions={"timeout": seconds}
        ) as response:
            yield response

    def close(self) -> None:
        """Closes what is open."""
        for pool in self._pools.values():
            pool.close()


FAILURES = (
    AddressRefusedError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)
"""All that `Connections.open` and reading its body raise because of the other side."""


def reason(error: Exception) -> str:
    """Why a request came to nothing, as words for a sentence."""
    cause = error.args[0] if error.args else None  # httpcore wraps what the system raised
    if isinstance(error, httpcore.TimeoutException):
        return "it did not answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here ({cause.verify_message}); SSL_CERT_FILE can name another"
    if isinstance(error, httpcore.RemoteProtocolError):
        return f"it broke off or does not speak HTTP ({error})"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(error) or "the connection broke"


def _pool(named: bool, context: ssl.SSLContext) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=context,
        max_connections=_POOL_SIZE,
        max_keepalive_connections=8,
        keepalive_expiry=5.0,
        network_backend=_CheckedBackend(named),
    )


class _CheckedBackend(httpcore.NetworkBackend):
    def __init__(self, named: bool) -> None:
        self._named = named
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolve(host, port)
        for address in addresses:
            self._check(host, address)
        tried = addresses[:_TRIED]
        share = None if timeout is None else timeout / len(tried)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout
        for address in tried:
            try:
                stream = self._sockets.connect_tcp(
                    address, port, _remaining(share), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            try:
                self._check(host, stream.get_extra_info("server_addr")[0])
            except BaseException:
                stream.close()
                raise
            return _TimedStream(stream)
        raise failure

    def _check(self, host: str, address: str) -> None:
        words = refusal(address, named=self._named)
        if words is not None:
            where = f"{host} is" if host == address else f"{host} is at {address},"
            raise AddressRefusedError(f"{where} {words}", never=is_never(address))


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline of the thread that uses it."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, _remaining(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _remaining(timeout: float | None) -> float | None:
    """The shorter of `timeout` and what is left until the deadline; None = no limit at all."""
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    shortest = min(left, float("inf") if timeout is None else timeout)
    return None if shortest == float("inf") else shortest


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownHostError(f"no address is known for {host}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
