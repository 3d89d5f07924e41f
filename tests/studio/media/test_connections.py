from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from labeler_backend.studio.media import connections as module
from labeler_backend.studio.media.connections import (
    AddressRefusedError,
    Connections,
    UnknownHostError,
    reason,
    time_limit,
)
from tests.studio.web import PNG, Server, saying, serving

PUBLIC = "93.184.216.34"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.routes["/a"] = lambda handler: handler.reply()
        yield running


def _get(connections: Connections, url: str, named: bool = True) -> bytes:
    with connections.open("GET", httpx.URL(url), {}, named=named) as response:
        return b"".join(response.iter_stream())


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Names get the given answers one after the other; numbers stay what they are. Returns what was asked."""
    real = socket.getaddrinfo

    def install(*answers: list[str]) -> list[str]:
        left, asked = list(answers), []

        def answer(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
            if host.replace(".", "").isdigit() or ":" in host:
                return real(host, port, *rest, **options)
            asked.append(host)
            found = left.pop(0) if len(left) > 1 else left[0]
            return [entry for address in found for entry in real(address, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return asked

    return install


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses connected to; those that are not this machine's refuse."""
    real, hosts = httpcore.SyncBackend.connect_tcp, []

    def connect(self: Any, host: str, *rest: Any, **options: Any) -> httpcore.NetworkStream:
        hosts.append(host)
        if not host.startswith("127."):
            raise httpcore.ConnectError("refused")
        return real(self, host, *rest, **options)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    return hosts


def test_rebinding_the_checked_address_is_the_one_dialled(
    server: Server, resolve: Callable[..., list[str]], dialled: list[str]
) -> None:
    asked = resolve([PUBLIC], ["127.0.0.1"])
    with pytest.raises(httpcore.ConnectError):
        _get(Connections(), f"http://rebind.test:{server.server_port}/a", named=False)
    assert asked == ["rebind.test"]
    assert dialled == [PUBLIC]
    with pytest.raises(AddressRefusedError):  # the second answer
        _get(Connections(), f"http://rebind.test:{server.server_port}/a", named=False)
    assert dialled == [PUBLIC]
    assert server.seen == []


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param([PUBLIC, "127.0.0.1"], id="private second"),
        pytest.param(["127.0.0.1", PUBLIC], id="private first"),
        pytest.param(["::1"], id="IPv6"),
        pytest.param(["169.254.169.254"], id="metadata"),
    ],
)
def test_one_bad_address_spoils_the_name(
    addresses: list[str], resolve: Callable[..., list[str]], dialled: list[str]
) -> None:
    resolve(addresses)
    with pytest.raises(AddressRefusedError, match=r"mixed\.test is at"):
        _get(Connections(), "http://mixed.test/", named=False)
    assert dialled == []


def test_the_other_end_is_checked_again_after_connecting(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = httpcore.SyncBackend.connect_tcp

    def misled(self: Any, host: str, *rest: Any, **options: Any) -> httpcore.NetworkStream:
        return real(self, "127.0.0.1", *rest, **options)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", misled)
    with pytest.raises(AddressRefusedError):
        _get(Connections(), f"http://{PUBLIC}:{server.server_port}/a", named=False)
    assert server.seen == []


def test_a_named_host_may_be_private_but_never_link_local(
    server: Server, resolve: Callable[..., list[str]]
) -> None:
    resolve(["127.0.0.1"], ["169.254.169.254"])
    connections = Connections()
    assert _get(connections, f"http://ours.test:{server.server_port}/a") == PNG
    assert server.seen[0].headers["Host"] == f"ours.test:{server.server_port}"
    with pytest.raises(AddressRefusedError) as error:
        _get(Connections(), f"http://ours.test:{server.server_port}/a")
    assert error.value.never


def test_a_connection_to_a_named_host_serves_nobody_else(server: Server) -> None:
    connections = Connections()
    assert _get(connections, f"{server.url}/a", named=True) == PNG
    with pytest.raises(AddressRefusedError):
        _get(connections, f"{server.url}/a", named=False)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises((AddressRefusedError, UnknownHostError)):
        _get(Connections(), f"http://{host}:1/", named=False)


def test_the_next_address_is_tried(
    server: Server, resolve: Callable[..., list[str]], dialled: list[str]
) -> None:
    resolve(["10.255.255.1", "127.0.0.1"])
    assert _get(Connections(), f"http://two.test:{server.server_port}/a") == PNG
    assert dialled == ["10.255.255.1", "127.0.0.1"]


def test_ipv6_literals_and_their_host_header() -> None:
    try:
        with serving("::1") as server:
            server.routes["/a"] = lambda handler: handler.reply()
            assert _get(Connections(), f"{server.url}/a") == PNG
            assert server.seen[0].headers["Host"] == f"[::1]:{server.server_port}"
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")


def test_connections_are_kept(server: Server, dialled: list[str]) -> None:
    connections = Connections()
    for _ in range(3):
        assert _get(connections, f"{server.url}/a") == PNG
    assert dialled == ["127.0.0.1"]
    connections.close()


def test_proxies_of_the_environment_are_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert _get(Connections(), f"{server.url}/a") == PNG
        assert proxy.seen == []


class TestTimeLimit:
    @pytest.mark.parametrize(
        "head",
        [
            pytest.param(b"", id="head byte by byte"),
            pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", id="body byte by byte"),
        ],
    )
    def test_a_server_that_drips_is_cut_off(self, head: bytes) -> None:
        def drip(connection: socket.socket) -> None:
            connection.sendall(head)
            for _ in range(200):
                connection.sendall(b"X")
                time.sleep(0.03)

        with saying(drip) as raw:
            started = time.monotonic()
            with pytest.raises(httpcore.ReadTimeout), time_limit(0.4):
                _get(Connections(), raw.url)
            assert 0.3 < time.monotonic() - started < 2

    def test_a_server_that_says_nothing_is_cut_off(self) -> None:
        with (
            saying(lambda connection: time.sleep(3)) as raw,
            pytest.raises(httpcore.ReadTimeout),
            time_limit(0.2),
        ):
            _get(Connections(), raw.url)

    def test_the_inner_limit_cannot_stretch_the_outer(self, server: Server) -> None:
        with time_limit(0.05):
            time.sleep(0.06)
            with time_limit(10), pytest.raises(httpcore.ReadTimeout):
                _get(Connections(), f"{server.url}/a")
        assert _get(Connections(), f"{server.url}/a") == PNG

    def test_each_thread_has_its_own(self, server: Server) -> None:
        answers: list[bytes] = []
        with time_limit(0.0):
            thread = threading.Thread(target=lambda: answers.append(_get(Connections(), f"{server.url}/a")))
            thread.start()
            thread.join(10)
        assert answers == [PNG]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        pytest.param(
            "http://no-such-host.invalid/", "no address is known for no-such-host.invalid", id="name"
        ),
        pytest.param("http://127.0.0.1:9/", "Connection refused", id="nobody there"),
        pytest.param(f"http://{'a' * 70}.test/", "no address is known", id="a label that is too long"),
    ],
)
def test_reasons(url: str, words: str) -> None:
    with pytest.raises(module.FAILURES) as error:
        _get(Connections(), url)
    assert words in reason(error.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of pictures.test, signed by itself: key and certificate in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=pictures.test -keyout key -out cert"
    )
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:pictures.test"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return both


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_checked_against_the_name_though_an_address_is_dialled(
    trusted: bool,
    certificate: Path,
    server: Server,
    resolve: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context, names = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    resolve(["127.0.0.1"])
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    connections = Connections()
    if trusted:
        assert _get(connections, f"https://pictures.test:{server.server_port}/a") == PNG
        with pytest.raises(httpcore.ConnectError):
            _get(connections, f"https://other.test:{server.server_port}/a")
        assert names == ["pictures.test", "other.test"]
    else:
        with pytest.raises(httpcore.ConnectError) as error:
            _get(connections, f"https://pictures.test:{server.server_port}/a")
        assert "SSL_CERT_FILE" in reason(error.value)
