"""Label Studio's API: what is asked, and a sentence for each way in which it can fail."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.studio.client import Studio, StudioError, base_url, version_tuple
from tests.studio.fake_studio import TOKEN, FakeStudio, Hangup, Refused


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://a:8080", "http://a:8080"),
        (" http://a:8080/ ", "http://a:8080"),
        ("http://a:8080/projects/3/data?tab=1", "http://a:8080"),
        ("https://a.org/studio/", "https://a.org/studio"),
        ("https://a.org/studio/projects", "https://a.org/studio"),
        ("http://a/user/account", "http://a"),
        ("http://a/projectsx", "http://a/projectsx"),
    ],
)
def test_base_url(given: str, expected: str) -> None:
    assert base_url(given) == expected


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(None, "give --url or set LABEL_STUDIO_URL", id="none"),
        pytest.param(" ", "give --url or set LABEL_STUDIO_URL", id="blank"),
        pytest.param("localhost:8080", "is no address of a server", id="no scheme"),
        pytest.param("ftp://a", "is no address of a server", id="another scheme"),
        pytest.param("http://", "is no address of a server", id="no host"),
        pytest.param("http://me:secret@a", "holds a login", id="login"),
    ],
)
def test_a_url_that_is_none(given: str | None, sentence: str) -> None:
    with pytest.raises(LabelerError, match=sentence) as caught:
        base_url(given)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", [None, "", "  "])
def test_no_token(token: str | None) -> None:
    with pytest.raises(LabelerError, match="set LABEL_STUDIO_API_KEY or give --token"):
        Studio("http://a", token)


def test_a_wrong_token_is_refused_and_not_shown(fake: FakeStudio) -> None:
    with Studio(fake.url, "f" * 40) as studio, pytest.raises(StudioError) as caught:
        studio.project(1)
    assert caught.value.status == 401
    assert "refuses the token (Invalid token.)" in str(caught.value)
    assert "Account & Settings" in str(caught.value)
    assert "ffff" not in str(caught.value)


def test_no_such_project(studio: Studio) -> None:
    with pytest.raises(StudioError, match="has no project 7 that this user may see"):
        studio.project(7)


@contextmanager
def closed_port() -> Iterator[str]:
    """Bound, so that nobody takes it, and not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_nobody_there() -> None:
    with closed_port() as url, Studio(url, TOKEN) as studio, pytest.raises(StudioError) as caught:
        studio.version()
    assert "cannot be reached" in str(caught.value)
    assert not caught.value.reached


def test_a_cut_connection_may_have_done_something(fake: FakeStudio, studio: Studio) -> None:
    def hang_up(method: str, path: str) -> None:
        raise Hangup

    fake.faults = hang_up
    with pytest.raises(StudioError, match="broke off") as caught:
        studio.version()
    assert caught.value.reached


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        pytest.param("1.9.2", "is Label Studio 1.9.2: update it to 1.16 or newer", id="old"),
        pytest.param(None, "not as Label Studio does", id="something else"),
    ],
)
def test_versions_that_will_not_do(fake: FakeStudio, studio: Studio, version: str, sentence: str) -> None:
    fake.version = version
    with pytest.raises(StudioError, match=sentence):
        studio.version()


def test_html_is_not_label_studio(fake: FakeStudio, studio: Studio) -> None:
    fake.files["/api/version"] = b"<html>router</html>"
    with pytest.raises(StudioError, match="not as Label Studio does"):
        studio.version()


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        pytest.param(Refused(500, "boom"), "answers 500 to /api/version: boom", id="500"),
        pytest.param(
            Refused(400, "Validation error", validation_errors={"a": ["b", "c"], "non_field_errors": ["d"]}),
            "a: b, c; d",
            id="validation",
        ),
        pytest.param(Refused(404, "Not found."), "knows no /api/version", id="404"),
    ],
)
def test_errors_are_told(fake: FakeStudio, studio: Studio, refused: Refused, sentence: str) -> None:
    def fail(method: str, path: str) -> None:
        raise refused

    fake.faults = fail
    with pytest.raises(StudioError, match=sentence):
        studio.version()


def test_a_post_is_sent_once_whatever_happens(fake: FakeStudio, studio: Studio) -> None:
    def fail(method: str, path: str) -> None:
        raise Refused(503, "later")

    fake.faults = fail
    with pytest.raises(StudioError):
        studio.post("/api/projects", {})
    assert fake.changes() == [("POST", "/api/projects")]


def test_tasks_come_in_pages_and_none_is_missed(fake: FakeStudio, studio: Studio) -> None:
    one, other = fake.add_project(), fake.add_project()
    fake.add_tasks(one, *({"image": str(n)} for n in range(5)))
    fake.add_tasks(other, {"image": "x"})
    last = fake.add_tasks(one, {"image": "5"})
    pages = []
    for page in studio.tasks(one, page=2):
        pages.append([task["data"]["image"] for task in page])
        fake.tasks.pop(1, None)  # deleted meanwhile: the following ones do not move up
    assert pages == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert last == [7]


def test_predicted_takes_versions_as_they_are(fake: FakeStudio, studio: Studio) -> None:
    project = fake.add_project()
    fake.add_tasks(project, *({"image": "x"} for _ in range(4)))
    fake.predictions = [
        {"task": 1, "model_version": "v1"},
        {"task": 2, "model_version": "v10"},
        {"task": 3, "model_version": "v0"},
        {"task": 3, "model_version": "v1"},
    ]
    assert studio.predicted(project, "v1", 1, 4) == {1, 3}
    assert studio.predicted(project, "v1", 2, 4) == {3}


def test_version_tuple() -> None:
    assert version_tuple("1.23.2.post1") == (1, 23, 2)
    assert version_tuple("1.8") < version_tuple("1.16.0")
    assert version_tuple("dev") == ()
