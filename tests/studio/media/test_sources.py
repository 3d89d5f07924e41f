from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.studio.media.sources import Inline, Local, Remote, locate
from labeler_backend.studio.media.types import Access, MediaError, MediaPolicy

LS = Access("http://ls.test:8080", "token", aliases=("https://label.example.com/studio",))
BELOW = Access("https://example.com/ls", "token")
NOTHING = MediaPolicy()


def _remote(url: str, access: Access | None = LS, task_id: int | None = 7) -> Remote:
    source = locate(url, access, task_id, NOTHING)
    assert isinstance(source, Remote)
    return source


@pytest.mark.parametrize(
    ("url", "access", "asked"),
    [
        ("/data/upload/1/a.jpg", LS, "http://ls.test:8080/data/upload/1/a.jpg"),
        (" /data/upload/1/a.jpg\n", LS, "http://ls.test:8080/data/upload/1/a.jpg"),
        ("/data/upload/1/a b ä.jpg", LS, "http://ls.test:8080/data/upload/1/a%20b%20%C3%A4.jpg"),
        ("/data/upload/1/a%20b.jpg", LS, "http://ls.test:8080/data/upload/1/a%20b.jpg"),
        ("/data/upload/1/a%23b.jpg", LS, "http://ls.test:8080/data/upload/1/a%23b.jpg"),
        ("/data/local-files/?d=i/a.jpg", LS, "http://ls.test:8080/data/local-files/?d=i/a.jpg"),
        ("/storage-data/uploaded/?filepath=u", LS, "http://ls.test:8080/storage-data/uploaded/?filepath=u"),
        ("/tasks/3/resolve/?fileuri=eA==", LS, "http://ls.test:8080/tasks/3/resolve/?fileuri=eA=="),
        ("http://ls.test:8080/data/upload/1/a.jpg", LS, "http://ls.test:8080/data/upload/1/a.jpg"),
        ("HTTP://LS.test.:8080/data/upload/1/a.jpg", LS, "http://ls.test:8080/data/upload/1/a.jpg"),
        (
            "https://label.example.com/studio/data/upload/1/a.jpg",
            LS,
            "http://ls.test:8080/data/upload/1/a.jpg",
        ),
        ("https://label.example.com:443/studio/x.jpg?y=1#z", LS, "http://ls.test:8080/x.jpg?y=1"),
        ("/studio/data/upload/1/a.jpg", LS, "http://ls.test:8080/data/upload/1/a.jpg"),
        ("/ls/data/upload/1/a.jpg", BELOW, "https://example.com/ls/data/upload/1/a.jpg"),
        ("/data/upload/1/a.jpg", BELOW, "https://example.com/ls/data/upload/1/a.jpg"),
        ("https://example.com/ls/data/upload/1/a.jpg", BELOW, "https://example.com/ls/data/upload/1/a.jpg"),
        ("https://example.com/elsewhere.jpg", BELOW, "https://example.com/elsewhere.jpg"),
    ],
)
def test_of_label_studio(url: str, access: Access, asked: str) -> None:
    remote = _remote(url, access)
    assert str(remote.url) == asked
    assert remote.own is not None
    assert str(remote.own).rstrip("/") == access.url
    assert remote.lasting == ("/data/upload/" in asked)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://ls.test/data/upload/1/a.jpg", id="other port"),
        pytest.param("https://ls.test:8080/data/upload/1/a.jpg", id="other scheme"),
        pytest.param("http://ls.test.evil:8080/a.jpg", id="longer name"),
        pytest.param("http://evil/ls.test:8080/a.jpg", id="name in the path"),
        pytest.param("http://evil#@ls.test:8080/", id="name in the fragment"),
        pytest.param("http://evil?@ls.test:8080/", id="name in the query"),
        pytest.param("https://label.example.com/other/a.jpg", id="beside an alias"),
        pytest.param("https://label.example.com/studious/a.jpg", id="alias as a prefix"),
    ],
)
def test_of_others(url: str) -> None:
    assert _remote(url).own is None


def test_without_a_label_studio_all_are_others() -> None:
    assert _remote("http://ls.test:8080/data/upload/1/a.jpg", access=None).own is None


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a b/ä.jpg", "gs://b/k?x=1", "azure-blob://container/k", "S3://b/k"]
)
def test_buckets_go_through_label_studio(uri: str) -> None:
    remote = _remote(uri)
    assert remote.own is not None
    assert str(remote.url).startswith("http://ls.test:8080/tasks/7/presign/?fileuri=")
    assert base64.urlsafe_b64decode(remote.url.params["fileuri"]).decode() == uri


@pytest.mark.parametrize(
    ("url", "access", "task_id", "final", "says"),
    [
        pytest.param("", LS, 1, True, "empty", id="empty"),
        pytest.param("  ", LS, 1, True, "empty", id="blanks"),
        pytest.param("//ls.test:8080/a.jpg", LS, 1, True, "http:", id="no scheme"),
        pytest.param("ftp://h/a.jpg", LS, 1, True, "not supported", id="ftp"),
        pytest.param("javascript:alert(1)", LS, 1, True, "not supported", id="javascript"),
        pytest.param("gopher://127.0.0.1:6379/_x", LS, 1, True, "not supported", id="gopher"),
        pytest.param("http://127.0.0.1:8080.evil/", LS, 1, True, "malformed", id="host after the port"),
        pytest.param("http://ls.test:8080@evil/", LS, 1, True, "user name", id="host as user"),
        pytest.param("http://ls.test@evil/", LS, 1, True, "user name", id="host as user, no port"),
        pytest.param("http://ls.test:8080\\@evil/", LS, 1, True, "user name", id="backslash and user"),
        pytest.param("http://ls.test\\.evil/", LS, 1, True, "malformed", id="backslash in the host"),
        pytest.param("http:\\\\ls.test\\a.jpg", LS, 1, True, "malformed", id="backslashes"),
        pytest.param("http://ls.test:8080/a\r\nX: y", LS, 1, True, "malformed", id="CRLF in the path"),
        pytest.param("http://ls.test:8080\r\n/a", LS, 1, True, "malformed", id="CRLF in the host"),
        pytest.param("/data/upload/1/a\r\nX: y", LS, 1, True, "malformed", id="CRLF in an upload"),
        pytest.param("http:///a.jpg", LS, 1, True, "malformed", id="no host"),
        pytest.param("http:a.jpg", LS, 1, True, "malformed", id="no slashes"),
        pytest.param("http://h:0/", LS, 1, True, "malformed", id="port 0"),
        pytest.param("http://h:99999/", LS, 1, True, "malformed", id="port too large"),
        pytest.param("http://[::1/", LS, 1, True, "malformed", id="bracket"),
        pytest.param("http://[fe80::1%25eth0]/", LS, 1, True, "malformed", id="IPv6 zone"),
        pytest.param("http://ex%61mple/", LS, 1, True, "malformed", id="host in percent"),
        pytest.param("http://" + "a" * 70_000, LS, 1, True, "malformed", id="very long"),
        pytest.param("http://h/\ud800.jpg", LS, 1, True, "malformed", id="half a character"),
        pytest.param("/data/upload/1/a.jpg", None, 1, False, "LABEL_STUDIO_URL", id="no Label Studio"),
        pytest.param("s3://b/k", None, 1, False, "LABEL_STUDIO_URL", id="bucket, no Label Studio"),
        pytest.param("s3://b/k", LS, None, False, "id", id="bucket, no task"),
        pytest.param(
            "/data/upload/1/a", Access("ls:8080", None), 1, False, "LABEL_STUDIO_URL", id="bad base"
        ),
        pytest.param(
            "http://h/a", Access("http://u:p@h", None), 1, False, "LABEL_STUDIO_URL", id="base with user"
        ),
        pytest.param(
            "/data/local-files/?d=../../etc/passwd", LS, 1, True, "leads out", id="local file, dots"
        ),
        pytest.param(
            "/data/local-files/?d=a/%2e%2e/../x", LS, 1, True, "leads out", id="local file, dots within"
        ),
        pytest.param("/etc/passwd", LS, 1, True, "LABELER_MEDIA_ROOTS", id="path"),
        pytest.param("/data/other/a.jpg", LS, 1, True, "LABELER_MEDIA_ROOTS", id="path that looks served"),
        pytest.param("a.jpg", LS, 1, True, "LABELER_MEDIA_ROOTS", id="relative path"),
        pytest.param("file:///etc/passwd", LS, 1, True, "LABELER_MEDIA_ROOTS", id="file URL"),
        pytest.param("file://host/a.jpg", LS, 1, True, "another machine", id="file of another machine"),
        pytest.param("data:image/png;base64", LS, 1, True, "comma", id="data without a comma"),
        pytest.param("data:image/png;base64,a*b", LS, 1, True, "base64", id="data not base64"),
        pytest.param("data:image/png;base64,a", LS, 1, True, "base64", id="data of one letter"),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence(
    url: str, access: Access | None, task_id: int | None, final: bool, says: str
) -> None:
    with pytest.raises(MediaError, match=says) as error:
        locate(url, access, task_id, NOTHING)
    assert error.value.final == final
    text = str(error.value)
    assert text.endswith(".")
    assert text.isprintable()
    assert ":p@" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("data:image/png;base64,aGkgeA==", b"hi x"),
        ("DATA:image/png;BASE64,aGkgeA", b"hi x"),
        ("data:;base64,aGkg\n eA%3D%3D", b"hi x"),
        ("data:,hi%20x", b"hi x"),
        ("data:text/plain;charset=utf-8,a+b%ff", b"a+b\xff"),
        ("data:,", b""),
    ],
)
def test_data_uris(uri: str, data: bytes) -> None:
    assert locate(uri, None, None, NOTHING) == Inline(data)


@given(st.binary(max_size=300))
def test_any_bytes_survive_a_data_uri(data: bytes) -> None:
    coded = base64.b64encode(data).decode()
    percent = "".join(f"%{byte:02x}" for byte in data)
    for uri in (f"data:image/png;base64,{coded}", f"data:image/png,{percent}"):
        assert locate(uri, None, None, NOTHING) == Inline(data)


@pytest.mark.parametrize(
    "body", ["," + "a" * 101, "," + "%41" * 101, ";base64," + "QUFB" * 34, "," + "a" * 9999]
)
def test_data_uris_are_capped(body: str) -> None:
    with pytest.raises(MediaError, match="larger") as error:
        locate("data:image/png" + body, None, None, MediaPolicy(max_bytes=100))
    assert error.value.final
    assert len(str(error.value)) < 200


@given(
    st.text(max_size=60),
    st.sampled_from(["", "http://", "http://ls.test:8080", "/data/upload/", "s3://", "file:"]),
)
def test_whatever_stands_there_is_a_source_or_a_sentence(text: str, before: str) -> None:
    try:
        source = locate(before + text, LS, 1, NOTHING)
    except MediaError as error:
        source, said = None, str(error)
    else:
        said = source.name if isinstance(source, Remote) else ""
    assert said.isprintable()
    if isinstance(source, Remote) and source.own is not None:
        assert (source.url.host, source.url.port) == ("ls.test", 8080)


class TestLocalFiles:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        (root / "sub").mkdir(parents=True)
        (root / "a b ä.jpg").write_bytes(b"a")
        (root / "sub" / "b#%41.jpg").write_bytes(b"b")
        (tmp_path / "secret.jpg").write_bytes(b"s")
        (tmp_path / "rooted").mkdir()
        (tmp_path / "rooted" / "c.jpg").write_bytes(b"c")
        (root / "out.jpg").symlink_to(tmp_path / "secret.jpg")
        (root / "outside").symlink_to(tmp_path)
        (root / "in.jpg").symlink_to(root / "a b ä.jpg")
        (root / "loop").symlink_to(root / "loop")
        os.mkfifo(root / "pipe")
        return root

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("/data/local-files/?d=a%20b%20ä.jpg", "a b ä.jpg"),
            ("/data/local-files/?d=a+b+%C3%A4.jpg", "a b ä.jpg"),
            ("/data/local-files/?d=/a b ä.jpg", "a b ä.jpg"),
            ("/data/local-files/?d=sub/../a b ä.jpg", "a b ä.jpg"),
            ("/data/local-files?d=in.jpg", "a b ä.jpg"),
            ("/data/local-files/?d=no&d=sub/b%23%2541.jpg", "sub/b#%41.jpg"),
            ("http://ls.test:8080/data/local-files/?d=sub%2Fb%23%2541.jpg", "sub/b#%41.jpg"),
            ("https://label.example.com/studio/data/local-files/?d=in.jpg", "a b ä.jpg"),
            ("file://ROOT/a%20b%20%C3%A4.jpg", "a b ä.jpg"),
            ("file:ROOT/sub/b%23%2541.jpg", "sub/b#%41.jpg"),
            ("file://localhostROOT/in.jpg", "a b ä.jpg"),
            ("ROOT/a b ä.jpg", "a b ä.jpg"),
            ("ROOT/sub/b#%41.jpg", "sub/b#%41.jpg"),
            ("sub/b#%41.jpg", "sub/b#%41.jpg"),
        ],
    )
    def test_below_a_root_they_are_read(self, url: str, name: str, root: Path) -> None:
        policy = MediaPolicy(media_roots=(root.parent / "missing", root))
        source = locate(url.replace("ROOT", str(root)), LS, None, policy)
        assert source == Local((root / name).resolve())

    @pytest.mark.parametrize(
        "path",
        [
            pytest.param("../secret.jpg", id="dots"),
            pytest.param("sub/../../secret.jpg", id="dots within"),
            pytest.param("../root/../secret.jpg", id="out, in and out"),
            pytest.param("../rooted/c.jpg", id="a folder whose name begins alike"),
            pytest.param("out.jpg", id="link to a file outside"),
            pytest.param("outside/secret.jpg", id="link to a folder outside"),
            pytest.param("loop", id="loop of links"),
            pytest.param("pipe", id="pipe"),
            pytest.param("sub", id="folder"),
            pytest.param("missing.jpg", id="missing"),
            pytest.param("a\x00.jpg", id="NUL"),
            pytest.param("a" * 300, id="too long a name"),
        ],
    )
    def test_elsewhere_they_are_not(self, path: str, root: Path) -> None:
        policy = MediaPolicy(media_roots=(root,))
        for url in (path, f"{root}/{path}", f"file://{root}/{path}"):
            with pytest.raises(MediaError, match="LABELER_MEDIA_ROOTS") as error:
                locate(url, LS, None, policy)
            assert error.value.final
        if "\x00" not in path and ".." not in path:  # Label Studio is asked, which has rules of its own
            assert isinstance(locate(f"/data/local-files/?d={path}", LS, None, policy), Remote)

    def test_it_does_not_say_whether_a_file_outside_is_there(self, root: Path) -> None:
        texts = []
        for name in ("secret.jpg", "nobody.jpg"):
            with pytest.raises(MediaError) as error:
                locate(str(root.parent / name), None, None, MediaPolicy(media_roots=(root,)))
            texts.append(str(error.value).replace(name, ""))
        assert texts[0] == texts[1]

    def test_a_root_may_be_a_link_itself(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(root)
        source = locate(
            "/data/local-files/?d=in.jpg", LS, None, MediaPolicy(media_roots=(tmp_path / "link",))
        )
        assert source == Local((root / "in.jpg").resolve())


def test_access_does_not_print_its_token() -> None:
    assert "hush" not in repr(Access("http://h", "hush"))
    assert repr(Access("http://h", None)) == "Access(url='http://h', token=None, aliases=())"
