from __future__ import annotations

import errno
import gzip
import hashlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.store import Store
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.media.types import Access, Media, MediaError, MediaPolicy
from tests.studio.test_tokens import PAT, giving, jwt
from tests.studio.web import PNG, Handler, Route, Server, redirect, saying, serving

TOKEN = "0123456789abcdef0123456789abcdef01234567"
UPLOAD = "/data/upload/1/a.png"

Make = Callable[..., MediaStore]


def _entry(**changes: object) -> str:
    """A line of the index."""
    good = {"sha256": "a" * 64, "size": 3, "etag": None, "last_modified": None, "fetched_at": 1e9}
    return json.dumps(good | changes)


@pytest.fixture
def studio() -> Iterator[Server]:
    """Plays Label Studio: 401 without the token."""
    with serving() as server:
        server.routes[UPLOAD] = guarded()
        yield server


@pytest.fixture
def other() -> Iterator[Server]:
    with serving() as server:
        server.routes["/b.png"] = sending(b"other")
        yield server


@pytest.fixture
def access(studio: Server) -> Access:
    return Access(studio.url, TOKEN)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A store over one folder; settings of the policy by name."""

    def build(
        max_cache: int = 10_000_000, clock: Callable[[], float] = time.time, **policy: Any
    ) -> MediaStore:
        return MediaStore(Store(tmp_path / "media", max_cache, ".bin"), MediaPolicy(**policy), clock=clock)

    return build


def sending(body: bytes, **headers: str) -> Route:
    return lambda handler: handler.reply(200, body, **headers)


def guarded(body: bytes = PNG, header: str = f"Token {TOKEN}") -> Route:
    def answer(handler: Handler) -> None:
        good = handler.headers.get("Authorization") == header
        handler.reply(200 if good else 401, body if good else b"who?")

    return answer


def versioned(body: bytes, etag: str = '"v1"') -> Route:
    def answer(handler: Handler) -> None:
        same = handler.headers.get("If-None-Match") == etag
        handler.reply(304 if same else 200, body, ETag=etag)

    return answer


def host(server: Server) -> str:
    return server.url.removeprefix("http://")


def fails(store: MediaStore, url: str, access: Access | None = None, **options: Any) -> MediaError:
    with pytest.raises(MediaError) as error:
        store.fetch(url, access, **options)
    assert str(error.value).endswith(".")
    assert TOKEN not in str(error.value)
    return error.value


def content(media: Media) -> bytes:
    data = media.path.read_bytes()
    assert media.sha256 == hashlib.sha256(data).hexdigest()
    return data


class TestForms:
    def test_upload_with_the_token(self, make: Make, studio: Server, access: Access) -> None:
        media = make().fetch(UPLOAD, access)
        assert content(media) == PNG
        assert media.name == UPLOAD
        assert studio.seen[0].headers["Accept-Encoding"] == "identity"

    def test_absolute_urls_of_label_studio_and_of_its_aliases(
        self, make: Make, studio: Server, access: Access
    ) -> None:
        store = make()
        public = Access(studio.url, TOKEN, aliases=("https://label.example.com",))
        for url in (studio.url, "https://label.example.com"):
            assert content(store.fetch(f"{url}{UPLOAD}", public)) == PNG
        assert len(studio.seen) == 1  # one and the same

    def test_unicode_and_blanks(self, make: Make, studio: Server, access: Access) -> None:
        studio.routes["/data/upload/1/a%20b%20%C3%A4.png"] = guarded()
        for url in ("/data/upload/1/a b ä.png", "/data/upload/1/a%20b%20%C3%A4.png"):
            assert content(make().fetch(url, access)) == PNG
        assert len(studio.seen) == 1

    def test_local_files_are_read_where_they_lie_or_asked_for(
        self, make: Make, studio: Server, access: Access, tmp_path: Path
    ) -> None:
        (tmp_path / "a.png").write_bytes(b"local")
        studio.routes["/data/local-files/"] = guarded(b"served")
        url = "/data/local-files/?d=a.png"
        direct = make(media_roots=(tmp_path,)).fetch(url, access)
        assert (content(direct), direct.path, direct.name) == (b"local", tmp_path / "a.png", url)
        assert studio.seen == []
        assert content(make().fetch(url, access)) == b"served"

    def test_local_files_through_a_link_outside_are_for_label_studio_to_judge(
        self, make: Make, studio: Server, access: Access, tmp_path: Path
    ) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "secret.png").write_bytes(b"secret")
        (tmp_path / "root" / "link.png").symlink_to(tmp_path / "secret.png")
        error = fails(make(media_roots=(tmp_path / "root",)), "/data/local-files/?d=link.png", access)
        assert "404" in str(error)
        assert studio.seen[0].path == "/data/local-files/?d=link.png"

    def test_local_files_are_capped_and_may_be_unreadable(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"x" * 101)
        assert fails(make(media_roots=(tmp_path,), max_bytes=100), str(path)).final
        monkeypatch.setattr("builtins.open", _raising(PermissionError(errno.EACCES, "Permission denied")))
        error = fails(make(media_roots=(tmp_path,)), str(path))
        assert not error.final
        assert "Permission denied" in str(error)

    def test_data_uris_are_kept_by_content(self, make: Make) -> None:
        store = make()
        first = store.fetch("data:image/png;base64,aGkgeA==", None)
        second = store.fetch("data:,hi%20x", None)
        assert content(first) == content(second) == b"hi x"
        assert first.path == second.path

    def test_other_hosts_get_no_token(self, make: Make, other: Server, access: Access) -> None:
        assert content(make(allowed_hosts=(host(other),)).fetch(f"{other.url}/b.png", access)) == b"other"
        assert other.seen[0].authorization is None

    def test_a_login_page_is_just_bytes(self, make: Make, studio: Server, access: Access) -> None:
        studio.routes[UPLOAD] = redirect("/user/login")
        studio.routes["/user/login"] = sending(b"<html>", Content_Type="text/html")
        assert content(make().fetch(UPLOAD, access)) == b"<html>"

    def test_an_empty_body_is_just_bytes(self, make: Make, studio: Server, access: Access) -> None:
        studio.routes[UPLOAD] = sending(b"")
        assert content(make().fetch(UPLOAD, access)) == b""


class TestBuckets:
    """s3 and its like: Label Studio answers 303 with a signed address, or passes the file on itself."""

    PRESIGN = "/tasks/5/presign/"

    def test_passed_on_by_label_studio(self, make: Make, studio: Server, access: Access) -> None:
        studio.routes[self.PRESIGN] = guarded()
        assert content(make().fetch("s3://bucket/a b.png", access, task_id=5)) == PNG
        assert studio.seen[0].path == f"{self.PRESIGN}?fileuri=czM6Ly9idWNrZXQvYSBiLnBuZw=="

    def test_a_signed_address_gets_no_token(
        self, make: Make, studio: Server, other: Server, access: Access
    ) -> None:
        other.routes["/bucket/a.png"] = sending(b"s3")
        studio.routes[self.PRESIGN] = redirect(f"{other.url}/bucket/a.png?X-Amz-Signature=s", 303)
        store = make(allowed_hosts=(host(other),))
        assert content(store.fetch("s3://bucket/a.png", access, task_id=5)) == b"s3"
        assert [seen.authorization for seen in studio.seen + other.seen] == [f"Token {TOKEN}", None]
        assert other.seen[0].path.endswith("?X-Amz-Signature=s")

    def test_a_signed_address_may_be_public_without_being_listed_but_not_private(
        self, make: Make, studio: Server, other: Server, access: Access, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        studio.routes[self.PRESIGN] = redirect(f"http://s3.test:{other.server_port}/b.png", 303)
        _resolve(monkeypatch, "127.0.0.1")
        error = fails(make(), "s3://bucket/a.png", access, task_id=5)
        assert "s3.test is at 127.0.0.1" in str(error)
        assert "LABELER_ALLOWED_HOSTS" in str(error)
        assert not error.final
        assert other.seen == []
        monkeypatch.setattr("labeler_backend.studio.media.connections.refusal", lambda *_, **__: None)
        assert content(make().fetch("s3://bucket/a.png", access, task_id=5)) == b"other"

    def test_not_there(self, make: Make, studio: Server, access: Access) -> None:
        assert fails(make(), "gs://bucket/a.png", access, task_id=5).final


class TestRedirects:
    def test_within_one_origin_the_token_goes_on(self, make: Make, studio: Server, access: Access) -> None:
        studio.routes["/data/upload/1/old.png"] = redirect("a.png", 301)
        assert content(make().fetch("/data/upload/1/old.png", access)) == PNG

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_to_another_origin_it_does_not(
        self, status: int, make: Make, studio: Server, other: Server, access: Access
    ) -> None:
        studio.routes[UPLOAD] = redirect(f"{other.url}/b.png", status)
        assert content(make(allowed_hosts=("127.0.0.1",)).fetch(UPLOAD, access)) == b"other"
        assert other.seen[0].authorization is None
        assert TOKEN not in str(other.seen)

    def test_nor_does_it_come_back(self, make: Make, studio: Server, other: Server, access: Access) -> None:
        studio.routes["/data/upload/1/x.png"] = redirect(f"{other.url}/back")
        other.routes["/back"] = redirect(f"{studio.url}{UPLOAD}")
        error = fails(make(allowed_hosts=("127.0.0.1",)), "/data/upload/1/x.png", access)
        assert "401" in str(error)
        assert [seen.authorization for seen in studio.seen] == [f"Token {TOKEN}", None]

    def test_from_another_host_label_studio_gets_none_and_is_not_asked_unless_listed(
        self, make: Make, studio: Server, other: Server, access: Access
    ) -> None:
        other.routes["/to"] = redirect(f"{studio.url}{UPLOAD}")
        error = fails(make(allowed_hosts=(host(other),)), f"{other.url}/to", access)
        assert f"leads to {host(studio)}" in str(error)
        assert studio.seen == []
        assert "401" in str(fails(make(allowed_hosts=("127.0.0.1",)), f"{other.url}/to", access))
        assert studio.seen[0].authorization is None

    @pytest.mark.parametrize(
        ("to", "final", "says"),
        [
            pytest.param("http://169.254.169.254/latest/meta-data/", True, "never asked", id="metadata"),
            pytest.param("http://[::ffff:169.254.169.254]/", True, "never asked", id="metadata, mapped"),
            pytest.param("http://127.0.0.1:1/", False, "not a public address", id="loopback"),
            pytest.param("http://[::1]:1/", False, "not a public address", id="loopback IPv6"),
            pytest.param("http://10.0.0.1/", False, "not a public address", id="private"),
            pytest.param("//10.0.0.1/", False, "not a public address", id="without a scheme"),
            pytest.param("file:///etc/passwd", True, "file:", id="file"),
            pytest.param("ftp://example.com/", True, "ftp:", id="ftp"),
            pytest.param("data:,x", True, "data:", id="data"),
            pytest.param("s3://bucket/key", True, "s3:", id="s3"),
            pytest.param("http://user:pass@example.com/", True, "user name", id="user"),
            pytest.param("http://example.com:99999/", True, "malformed", id="port"),
            pytest.param("http://exa\x7fmple.com/", True, "malformed", id="control character"),
            pytest.param("http://\\\\evil/", True, "malformed", id="backslashes"),
            pytest.param("", False, "without saying where", id="empty"),
        ],
    )
    def test_to_where_none_may_lead(
        self, to: str, final: bool, says: str, make: Make, studio: Server, access: Access
    ) -> None:
        studio.routes[UPLOAD] = redirect(to)
        error = fails(make(), UPLOAD, access)
        assert says in str(error)
        assert "pass@" not in str(error)
        assert error.final == final

    def test_a_host_that_is_not_listed(self, make: Make, studio: Server, other: Server) -> None:
        studio.routes["/to"] = redirect("http://elsewhere.test/a.png?secret=1")
        error = fails(make(allowed_hosts=(host(studio),)), f"{studio.url}/to")
        assert "leads to elsewhere.test" in str(error)
        assert "LABELER_ALLOWED_HOSTS" in str(error)
        assert "secret" not in str(error)
        assert not error.final

    def test_in_a_circle(self, make: Make, studio: Server, access: Access) -> None:
        studio.routes[UPLOAD] = redirect(UPLOAD)
        assert "redirects" in str(fails(make(max_redirects=3), UPLOAD, access))
        assert len(studio.seen) == 4

    def test_exactly_as_many_as_are_allowed(self, make: Make, studio: Server, access: Access) -> None:
        for step in range(3):
            studio.routes[f"/data/upload/1/{step}"] = redirect(f"{step + 1}")
        studio.routes["/data/upload/1/3"] = guarded()
        assert content(make(max_redirects=3).fetch("/data/upload/1/0", access)) == PNG
        studio.routes["/data/upload/1/9"] = redirect("0")
        assert not fails(make(max_redirects=3), "/data/upload/1/9", access).final

    def test_to_https_of_the_same_host_the_mend_is_named(
        self, make: Make, studio: Server, other: Server, access: Access
    ) -> None:
        studio.routes[UPLOAD] = redirect(f"{other.url}{UPLOAD}")
        other.routes[UPLOAD] = guarded()
        assert "LABEL_STUDIO_URL" in str(fails(make(allowed_hosts=("127.0.0.1",)), UPLOAD, access))
        assert other.seen[0].authorization is None


class TestHosts:
    @pytest.mark.parametrize(
        ("allowed", "good"),
        [
            pytest.param((), False, id="nobody"),
            pytest.param(("*",), False, id="everyone who is public: this one is not"),
            pytest.param(("127.0.0.1",), True, id="by name"),
            pytest.param(("127.0.0.1:1",), False, id="another port"),
            pytest.param(("localhost",), False, id="another name of it"),
        ],
    )
    def test_a_private_one(self, allowed: tuple[str, ...], good: bool, make: Make, other: Server) -> None:
        store = make(allowed_hosts=allowed)
        if good:
            assert content(store.fetch(f"{other.url}/b.png", None)) == b"other"
            return
        error = fails(store, f"{other.url}/b.png?token=secret")
        assert f"add {host(other)} to LABELER_ALLOWED_HOSTS" in str(error)
        assert "secret" not in str(error)
        assert not error.final
        assert other.seen == []

    def test_metadata_is_refused_even_where_it_is_listed(self, make: Make) -> None:
        error = fails(make(allowed_hosts=("169.254.169.254",)), "http://169.254.169.254/latest/")
        assert error.final

    @pytest.mark.parametrize(
        "address",
        ["169.254.169.254", "169.254.1.1:8080", "100.100.100.200", "[fe80::1]", "[::ffff:169.254.169.254]"],
    )
    def test_metadata_is_final_where_it_is_not_listed_too(self, address: str, make: Make) -> None:
        """No setting would help, so none is named and Label Studio is not kept asking."""
        error = fails(make(), f"http://{address}/latest/a.png")
        assert error.final
        assert "never asked" in str(error)
        assert "LABELER_ALLOWED_HOSTS" not in str(error)

    def test_metadata_is_refused_even_as_label_studio(self, make: Make) -> None:
        assert fails(make(), UPLOAD, Access("http://169.254.169.254", TOKEN)).final

    def test_rebinding(self, make: Make, other: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        _resolve(monkeypatch, "198.51.100.7", "127.0.0.1")
        store = make(allowed_hosts=("*",), connect_timeout=0.2)
        for _ in range(2):
            fails(store, f"http://rebind.test:{other.server_port}/b.png")
        assert other.seen == []

    def test_a_host_taken_off_the_list_gives_nothing_from_the_cache(self, make: Make, other: Server) -> None:
        make(allowed_hosts=("127.0.0.1",)).fetch(f"{other.url}/b.png", None)
        assert "LABELER_ALLOWED_HOSTS" in str(fails(make(), f"{other.url}/b.png"))

    def test_a_list_that_cannot_be_read_is_a_sentence_at_the_start(self, make: Make) -> None:
        with pytest.raises(LabelerError, match="LABELER_ALLOWED_HOSTS"):
            make(allowed_hosts=("http://example.com",))


@pytest.mark.parametrize(
    ("status", "final", "says"),
    [
        (400, False, "400"),
        (401, False, "LABEL_STUDIO_API_KEY"),
        (403, False, "LABEL_STUDIO_API_KEY"),
        (404, True, "404"),
        (410, True, "410"),
        (408, False, "408"),
        (424, False, "424"),
        (429, False, "429"),
        (500, False, "500"),
        (503, False, "503"),
        (204, False, "204"),
        (206, False, "206"),
        (304, False, "304"),
        (300, False, "300"),
    ],
)
def test_statuses(status: int, final: bool, says: str, make: Make, studio: Server, access: Access) -> None:
    studio.routes[UPLOAD] = lambda handler: handler.reply(status, b"")
    error = fails(make(), UPLOAD, access)
    assert (error.final, says in str(error)) == (final, True)
    studio.routes[UPLOAD] = sending(PNG)  # nothing of the failure stays
    assert content(make().fetch(UPLOAD, access)) == PNG


def test_a_folder_that_label_studio_was_not_told_of_can_be_mended(
    make: Make, studio: Server, access: Access
) -> None:
    """It says 404 to every file of a folder without a storage: were that final, mending would not help."""
    studio.routes["/data/local-files/"] = lambda handler: handler.reply(404, b"")
    error = fails(make(), "/data/local-files/?d=photos/a.png", access)
    assert not error.final
    assert "Cloud Storage" in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_see_it_is_said_in_terms_of_who_refused(
    status: int, make: Make, studio: Server, other: Server, access: Access
) -> None:
    for server in (studio, other):
        server.routes["/x"] = server.routes["/data/local-files/"] = lambda handler: handler.reply(status, b"")
    store = make(allowed_hosts=(host(other),))
    assert "needs a token" in str(fails(store, f"{studio.url}/x", Access(studio.url, None)))
    assert "LOCAL_FILES_SERVING_ENABLED" in str(fails(store, "/data/local-files/?d=a", access))
    assert "without signing in" in str(fails(store, f"{other.url}/x", access))


class TestCaps:
    def test_a_declared_length_is_believed_before_a_byte_is_read(self, make: Make) -> None:
        def declare(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
            time.sleep(3)

        with saying(declare) as raw:
            started = time.monotonic()
            error = fails(make(allowed_hosts=("127.0.0.1",)), raw.url)
            assert time.monotonic() - started < 2
        assert error.final
        assert "100 MB" in str(error)
        assert "LABELER_MEDIA_MAX_MB" in str(error)

    @pytest.mark.parametrize(
        "head",
        [
            pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="until it closes"),
            pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunked"),
        ],
    )
    def test_without_one_it_is_counted(self, head: bytes, make: Make, tmp_path: Path) -> None:
        sent = [0]

        def flood(connection: socket.socket) -> None:
            connection.sendall(head)
            block = b"x" * 65536
            for _ in range(1000):
                connection.sendall(b"10000\r\n" + block + b"\r\n" if b"chunked" in head else block)
                sent[0] += len(block)

        with saying(flood) as raw:
            error = fails(make(allowed_hosts=("127.0.0.1",), max_bytes=200_000), raw.url)
        assert error.final
        assert sent[0] < 20_000_000
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_exactly_as_much_as_is_allowed(self, make: Make, studio: Server, access: Access) -> None:
        studio.routes[UPLOAD] = sending(b"x" * 1000)
        assert fails(make(max_bytes=999), UPLOAD, access).final
        assert len(content(make(max_bytes=1000).fetch(UPLOAD, access))) == 1000

    def test_nothing_is_decompressed(self, make: Make, studio: Server, access: Access) -> None:
        bomb = gzip.compress(bytes(50_000_000))
        studio.routes[UPLOAD] = sending(bomb, Content_Encoding="gzip")
        error = fails(make(), UPLOAD, access)
        assert error.final
        assert "compressed" in str(error)

    @pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
    def test_a_server_that_drips(self, head: bytes, make: Make) -> None:
        def drip(connection: socket.socket) -> None:
            connection.sendall(head)
            for _ in range(200):
                connection.sendall(b"X")
                time.sleep(0.03)

        with saying(drip) as raw:
            started = time.monotonic()
            error = fails(make(allowed_hosts=("127.0.0.1",), total_timeout=0.4), raw.url)
            assert time.monotonic() - started < 2
        assert not error.final
        assert "in time" in str(error)

    def test_redirects_share_the_time(self, make: Make, studio: Server, access: Access) -> None:
        def slow(handler: Handler) -> None:
            time.sleep(0.2)
            redirect(UPLOAD)(handler)

        studio.routes[UPLOAD] = slow
        started = time.monotonic()
        assert "in time" in str(fails(make(total_timeout=0.5), UPLOAD, access))
        assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", id="body cut off"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", id="chunks cut off"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="head cut off"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", id="length that is none"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", id="huge head"),
    ],
)
def test_what_is_cut_off_or_garbage_is_not_kept(answer: bytes, make: Make, tmp_path: Path) -> None:
    with saying(lambda connection: connection.sendall(answer)) as raw:
        error = fails(make(allowed_hosts=("127.0.0.1",)), f"{raw.url}/a.png")
    assert not error.final
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_nobody_there_is_not_final(make: Make) -> None:
    error = fails(make(), UPLOAD, Access("http://127.0.0.1:9", None))
    assert not error.final
    assert "refused" in str(error)


class TestPersonalAccessToken:
    def test_it_is_exchanged_once(self, make: Make, studio: Server) -> None:
        studio.routes["/api/token/refresh/"] = giving(300)
        studio.routes[UPLOAD] = sending(PNG)
        studio.routes["/data/upload/1/b.png"] = sending(b"b")
        store, access = make(), Access(studio.url, PAT)
        assert content(store.fetch(UPLOAD, access)) == PNG
        assert content(store.fetch("/data/upload/1/b.png", access)) == b"b"
        assert [seen.method for seen in studio.seen] == ["POST", "GET", "GET"]
        assert all(str(seen.authorization).startswith("Bearer ey") for seen in studio.seen[1:])
        assert PAT not in str([seen.headers for seen in studio.seen])

    def test_where_what_it_gave_is_refused_it_is_exchanged_again_once(
        self, make: Make, studio: Server
    ) -> None:
        studio.routes["/api/token/refresh/"] = giving(300)
        studio.routes[UPLOAD] = lambda handler: handler.reply(401 if len(studio.seen) < 4 else 200, PNG)
        assert content(make().fetch(UPLOAD, Access(studio.url, PAT))) == PNG
        assert [seen.method for seen in studio.seen] == ["POST", "GET", "POST", "GET"]
        assert studio.seen[1].authorization != studio.seen[3].authorization
        studio.routes["/data/upload/1/no.png"] = lambda handler: handler.reply(401, b"")
        error = fails(make(), "/data/upload/1/no.png", Access(studio.url, PAT))
        assert "LABEL_STUDIO_API_KEY" in str(error)

    def test_wrong(self, make: Make, studio: Server, caplog: pytest.LogCaptureFixture) -> None:
        wrong = jwt(token_type="refresh", jti="hush")
        studio.routes["/api/token/refresh/"] = lambda handler: handler.reply(401, b"{}")
        with caplog.at_level(logging.DEBUG):
            error = fails(make(), UPLOAD, Access(studio.url, wrong))
        assert not error.final
        assert UPLOAD in str(error)
        assert "LABEL_STUDIO_API_KEY" in str(error)
        assert wrong not in str(error) + caplog.text
        assert [seen.path for seen in studio.seen] == ["/api/token/refresh/"]

    def test_a_token_that_is_none_is_a_sentence(self, make: Make, studio: Server) -> None:
        error = fails(make(), UPLOAD, Access(studio.url, "a\r\nX-Evil: 1"))
        assert not error.final
        assert studio.seen == []


class TestCache:
    def test_uploads_are_asked_for_once(self, make: Make, studio: Server, access: Access) -> None:
        now = [1e9]
        store = make(clock=lambda: now[0])
        first = store.fetch(UPLOAD, access)
        now[0] += 1e8
        assert store.fetch(UPLOAD, access) == first
        assert make().fetch(UPLOAD, access) == first  # another process
        assert len(studio.seen) == 1
        assert (store.hits, store.misses, store.bytes) == (1, 1, len(PNG))

    def test_others_are_asked_about_after_five_minutes(self, make: Make, other: Server) -> None:
        now, url = [1e9], f"{other.url}/b.png"
        other.routes["/b.png"] = versioned(b"one")
        store = make(clock=lambda: now[0], allowed_hosts=("127.0.0.1",))
        assert content(store.fetch(url, None)) == b"one"
        now[0] += 299
        store.fetch(url, None)
        assert len(other.seen) == 1
        now[0] += 2
        assert content(store.fetch(url, None)) == b"one"
        assert other.seen[1].headers["If-None-Match"] == '"v1"'
        now[0] += 299  # the 304 made it fresh again
        store.fetch(url, None)
        assert len(other.seen) == 2
        other.routes["/b.png"] = versioned(b"two", '"v2"')
        now[0] += 2
        assert content(store.fetch(url, None)) == b"two"
        assert len(other.seen) == 3

    def test_last_modified_is_asked_about_too(self, make: Make, other: Server) -> None:
        now, date = [1e9], "Wed, 21 Oct 2015 07:28:00 GMT"
        other.routes["/b.png"] = sending(b"one", Last_Modified=date)
        store = make(clock=lambda: now[0], allowed_hosts=("127.0.0.1",))
        for now[0] in (1e9, 2e9):
            store.fetch(f"{other.url}/b.png", None)
        assert other.seen[1].headers["If-Modified-Since"] == date

    def test_a_clock_set_back_makes_nothing_fresh_for_long(self, make: Make, other: Server) -> None:
        now = [2e9]
        store = make(clock=lambda: now[0], allowed_hosts=("127.0.0.1",))
        for now[0] in (2e9, 1e9):
            store.fetch(f"{other.url}/b.png", None)
        assert len(other.seen) == 2

    @pytest.mark.parametrize("etag", ["ä" * 3, "x" * 2000, ""])
    def test_an_odd_etag_is_not_sent_back(self, etag: str, make: Make, other: Server) -> None:
        now = [1e9]
        other.routes["/b.png"] = sending(b"one", ETag=etag)
        store = make(clock=lambda: now[0], allowed_hosts=("127.0.0.1",))
        for now[0] in (1e9, 2e9):
            assert content(store.fetch(f"{other.url}/b.png", None)) == b"one"
        assert "If-None-Match" not in other.seen[1].headers

    def test_what_one_token_may_see_is_not_for_another(
        self, make: Make, studio: Server, access: Access
    ) -> None:
        store = make()
        store.fetch(UPLOAD, access)
        for token in ("another", None):
            assert "401" in str(fails(store, UPLOAD, Access(studio.url, token)))
        assert len(studio.seen) == 3

    def test_what_was_evicted_is_fetched_again(self, make: Make, studio: Server, access: Access) -> None:
        store = make()
        store.fetch(UPLOAD, access).path.unlink()
        assert content(store.fetch(UPLOAD, access)) == PNG
        assert len(studio.seen) == 2

    def test_no_question_is_asked_about_what_was_evicted(self, make: Make, other: Server) -> None:
        other.routes["/b.png"] = versioned(b"one")
        now = [1e9]
        store = make(clock=lambda: now[0], allowed_hosts=("127.0.0.1",))
        store.fetch(f"{other.url}/b.png", None).path.unlink()
        now[0] = 2e9
        assert content(store.fetch(f"{other.url}/b.png", None)) == b"one"
        assert "If-None-Match" not in other.seen[1].headers

    def test_evicted_while_the_question_is_asked(self, make: Make, other: Server) -> None:
        now = [1e9]
        other.routes["/b.png"] = versioned(b"one")
        store = make(clock=lambda: now[0], allowed_hosts=("127.0.0.1",))
        path = store.fetch(f"{other.url}/b.png", None).path

        def evict(handler: Handler) -> None:
            path.unlink(missing_ok=True)
            versioned(b"one")(handler)

        other.routes["/b.png"] = evict
        now[0] = 2e9
        assert content(store.fetch(f"{other.url}/b.png", None)) == b"one"
        assert len(other.seen) == 3

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda data: b"", id="empty"),
            pytest.param(lambda data: data[:-1], id="short"),
        ],
    )
    def test_a_body_a_power_cut_left_short_is_fetched_again(
        self, damage: Callable[[bytes], bytes], make: Make, studio: Server, access: Access
    ) -> None:
        path = make().fetch(UPLOAD, access).path
        path.write_bytes(damage(path.read_bytes()))
        assert content(make().fetch(UPLOAD, access)) == PNG

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("[]", id="list"),
            pytest.param("{}", id="nothing in it"),
            pytest.param('{"sha256": "../../x"', id="cut off"),
            pytest.param(
                _entry(sha256="../" * 20),
                id="path for a hash",
            ),
            pytest.param(
                _entry(fetched_at="x"),
                id="no time",
            ),
        ],
    )
    def test_a_damaged_index_is_a_miss(
        self, text: str, make: Make, studio: Server, access: Access, tmp_path: Path
    ) -> None:
        make().fetch(UPLOAD, access)
        (entry,) = (tmp_path / "media-index").rglob("*.json")
        assert TOKEN not in entry.read_text()
        entry.write_text(text)
        assert content(make().fetch(UPLOAD, access)) == PNG
        assert len(studio.seen) == 2

    def test_it_stays_below_its_cap(self, make: Make, studio: Server, access: Access, tmp_path: Path) -> None:
        store = make(max_cache=1000)
        for number in range(10):
            path = f"/data/upload/1/{number}.png"
            studio.routes[path] = sending(bytes([number]) * 300)
            assert len(content(store.fetch(path, access))) == 300
            stored = [path.stat().st_size for path in (tmp_path / "media").rglob("*.bin")]
            assert sum(stored) <= 1000

    def test_larger_than_the_cache(self, make: Make, studio: Server, access: Access, tmp_path: Path) -> None:
        error = fails(make(max_cache=100), UPLOAD, access)
        assert not error.final
        assert "LABELER_MEDIA_CACHE_GB" in str(error)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    @pytest.mark.parametrize("url", [UPLOAD, "data:,x"])
    def test_a_full_disk_is_a_sentence(
        self, url: str, make: Make, access: Access, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "replace", _raising(OSError(errno.ENOSPC, "No space left on device")))
        error = fails(make(), url, access)
        assert not error.final
        assert "No space left" in str(error)


class TestAtTheSameTime:
    def _all(self, work: Callable[[], object], count: int = 8) -> list[object]:
        results: list[object] = []

        def one() -> None:
            try:
                results.append(work())
            except MediaError as error:
                results.append((str(error), error.final))

        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(results) == count
        return results

    def test_one_download_for_all(self, make: Make, studio: Server, access: Access) -> None:
        def slow(handler: Handler) -> None:
            time.sleep(0.3)
            guarded()(handler)

        studio.routes[UPLOAD] = slow
        store = make()
        results = self._all(lambda: content(store.fetch(UPLOAD, access)))
        assert results == [PNG] * 8
        assert len(studio.seen) == 1

    def test_one_failure_for_all_and_none_for_later(self, make: Make, studio: Server, access: Access) -> None:
        def slow(handler: Handler) -> None:
            time.sleep(0.3)
            handler.reply(404, b"")

        studio.routes[UPLOAD] = slow
        store = make()
        results = self._all(lambda: store.fetch(UPLOAD, access))
        assert len(set(map(str, results))) == 1
        assert len(studio.seen) == 1
        studio.routes[UPLOAD] = guarded()
        assert content(store.fetch(UPLOAD, access)) == PNG

    def test_different_files_do_not_wait_for_each_other(
        self, make: Make, studio: Server, access: Access
    ) -> None:
        def slow(handler: Handler) -> None:
            time.sleep(0.3)
            handler.reply(200, handler.path.encode())

        numbers = iter(range(8))
        for number in range(8):
            studio.routes[f"/data/upload/1/{number}"] = slow
        store, started = make(), time.monotonic()
        results = self._all(lambda: content(store.fetch(f"/data/upload/1/{next(numbers)}", access)))
        assert len(set(map(str, results))) == 8
        assert time.monotonic() - started < 1.5


def _raising(error: OSError) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def _resolve(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Names get these addresses, one after the other, the last one for ever; numbers stay what they are."""
    real, left = socket.getaddrinfo, list(answers)

    def answer(name: Any, *rest: Any, **options: Any) -> Any:
        if not str(name).endswith(".test"):
            return real(name, *rest, **options)
        return real(left.pop(0) if len(left) > 1 else left[0], *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
