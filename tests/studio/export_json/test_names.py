from __future__ import annotations

import base64
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labeler_backend.studio.export_json.names import Names, file_name

INNER = base64.urlsafe_b64encode(b"s3://bucket/deep/c.png").decode()


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        pytest.param("/data/upload/3/ab12cd34-name.jpg", "ab12cd34-name.jpg", id="upload"),
        pytest.param("/data/upload/ab12-name.jpg", "ab12-name.jpg", id="upload without project"),
        pytest.param("/data/upload/3/ab-na%20me.jpg", "ab-na me.jpg", id="encoded"),
        pytest.param("http://ls:8080/data/upload/3/ab-name.jpg", "ab-name.jpg", id="absolute upload"),
        pytest.param("https://x.org/studio/data/upload/3/ab-n.jpg", "ab-n.jpg", id="upload below a path"),
        pytest.param("/data/local-files/?d=imgs/im0.jpg", "imgs/im0.jpg", id="local file"),
        pytest.param("/data/local-files/?d=a%2Fb%20c.jpg", "a/b c.jpg", id="encoded local file"),
        pytest.param("http://127.0.0.1:8080/data/local-files/?d=imgs/im0.jpg", "imgs/im0.jpg", id="absolute"),
        pytest.param("s3://bucket/a/b.png", "a/b.png", id="S3"),
        pytest.param("gs://bucket/a/b.png", "a/b.png", id="GCS"),
        pytest.param("azure-blob://container/a/b.png", "a/b.png", id="Azure"),
        pytest.param("s3://bucket/100%25?.png", "100%25_.png", id="keys are not encoded"),
        pytest.param("https://host/x/y.jpg?sig=a/b#c", "x/y.jpg", id="signed"),
        pytest.param("https://host", "task-7", id="only a host"),
        pytest.param("data:image/png;base64,AAAA", "task-7.png", id="data, PNG"),
        pytest.param("data:image/jpeg;base64,AAAA", "task-7.jpg", id="data, JPEG"),
        pytest.param("data:image/svg+xml,<svg/>", "task-7.svg", id="data, SVG"),
        pytest.param(f"/tasks/1/resolve/?fileuri={INNER}", "deep/c.png", id="resolve"),
        pytest.param(f"http://ls/tasks/1/presign/?fileuri={INNER}", "deep/c.png", id="presign"),
        pytest.param("/tasks/1/resolve/?fileuri=%%%", "task-7", id="resolve what is no base64"),
        pytest.param("../../etc/passwd", "etc/passwd", id="upwards"),
        pytest.param("/data/local-files/?d=../../etc/passwd", "etc/passwd", id="upwards, local file"),
        pytest.param("https://h/%2e%2e/%2e%2e/a.jpg", "a.jpg", id="upwards, encoded"),
        pytest.param(r"C:\pictures\a.jpg", "pictures/a.jpg", id="Windows"),
        pytest.param("/home/me/a.jpg", "home/me/a.jpg", id="absolute path"),
        pytest.param("imgs/a.jpg", "imgs/a.jpg", id="relative path"),
        pytest.param("a\nb\x00c.jpg", "a_b_c.jpg", id="control characters"),
        pytest.param("what?.jpg", "what_.jpg", id="question mark in a path"),
        pytest.param("con.jpg", "_con.jpg", id="a device's name"),
        pytest.param("http://[broken/a.jpg", "[broken/a.jpg", id="a broken host"),
        pytest.param("файл/фото.jpg", "файл/фото.jpg", id="other scripts"),
        pytest.param("", "task-7", id="nothing"),
        pytest.param("...", "task-7", id="only dots"),
        pytest.param(None, "task-7", id="unknown"),
    ],
)
def test_file_name(uri: str | None, name: str) -> None:
    assert file_name(uri, "task-7") == name


def test_long_names_are_cut_and_keep_their_suffix() -> None:
    names = [file_name("https://h/" + letter * 400 + ".jpg", "task-7") for letter in ("a", "é")]
    assert all(len(name.encode()) <= 200 and name.endswith(".jpg") for name in names)
    deep = file_name("s3://b/" + "folder/" * 400 + "x.png", "task-7")
    assert len(deep) < 300
    assert deep.endswith("/x.png")


def test_equal_names_are_told_apart_by_their_tasks() -> None:
    names = Names()
    uris = ["s3://one/a.jpg", "s3://two/a.jpg", "s3://two/A.JPG", "a.jpg"]
    taken = [names.take(uri, f"task-{n}") for n, uri in enumerate(uris, 1)]
    assert taken == ["a.jpg", "a-task-2.jpg", "A-task-3.JPG", "a-task-4.jpg"]
    assert names.take("a.jpg", "task-4") == "task-4/a.jpg"


def test_no_file_is_a_folder_of_another() -> None:
    names = Names()
    taken = [names.take(uri, f"task-{n}") for n, uri in enumerate(["s3://b/a", "s3://b/a/b", "c/d", "c"], 1)]
    assert taken == ["a", "task-2/a/b", "c/d", "c-task-4"]


PARTS = st.sampled_from(
    [
        *("..", ".", "a", "A", "é", "e\u0301", "/", "//", "\\", "C:", "%2e%2e", "%2F", "?d=", "&", "=", "#"),
        *(":", " ", "\x00", "\n", ".jpg", "con", "\ud800", "ß", "SS", "x" * 300, "Li4vLi4vYQ=="),
        *("data:image/png,", "s3://", "https://", "/data/upload/3/", "/data/local-files/?d="),
        "/tasks/1/resolve/?fileuri=",
    ]
)
URIS = st.lists(PARTS | st.text(max_size=8), max_size=8).map("".join)


@given(uris=st.lists(URIS, min_size=1, max_size=8))
@example(uris=["a", "a/b", "a-task-1/c", "a"])
@settings(max_examples=300, deadline=None)
def test_names_stay_in_their_folder_and_are_unique(uris: list[str]) -> None:
    names = Names()
    taken = [names.take(uri, f"task-{n}") for n, uri in enumerate(uris)]
    folded = [unicodedata.normalize("NFC", name).casefold() for name in taken]
    assert len(set(folded)) == len(taken)
    for name in taken:
        parts = name.split("/")
        assert name.encode()
        assert not PurePosixPath(name).is_absolute()
        assert not PureWindowsPath(name).drive
        assert all(part and part.strip(". ") for part in parts), name
        assert not {unicodedata.category(letter) for letter in name} & {"Cc", "Cs"}
        assert "\\" not in name
        assert max(len(part.encode()) for part in parts) < 240
        assert len(name.encode()) < 1100
        assert not any(other.startswith(f"{name}/") for other in taken)


@given(uri=URIS)
@settings(max_examples=100, deadline=None)
def test_names_do_not_depend_on_the_run(uri: str) -> None:
    assert Names().take(uri, "task-1") == Names().take(uri, "task-1")
