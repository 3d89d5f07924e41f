"""Connecting: every setting right, whatever was there before, and nothing done twice."""

from __future__ import annotations

from typing import Any

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.studio.client import Studio
from labeler_backend.studio.connect import BasicAuth, backend_url, basic_auth, connect
from tests.studio.fake_studio import CONFIG, Backend, FakeStudio

URL = "http://127.0.0.1:9090"
AUTH = BasicAuth("me", "pass:word")


@pytest.fixture
def project(fake: FakeStudio) -> int:
    """With a backend that could be connected."""
    fake.backends[URL] = Backend("dinov2-1")
    return fake.add_project()


def test_a_new_connection(fake: FakeStudio, studio: Studio, project: int) -> None:
    done = connect(studio, project, URL)
    (row,) = fake.ml.values()
    assert (row["url"], row["title"], row["is_interactive"]) == (URL, "dinov2-1", True)
    (hook,) = fake.webhooks.values()
    assert hook["url"] == f"{URL}/webhook"
    assert fake.projects[project]["model_version"] == "dinov2-1"
    assert (done.backend, done.created, done.model_version) == (row["id"], True, "dinov2-1")


def test_again_changes_nothing(fake: FakeStudio, studio: Studio, project: int) -> None:
    connect(studio, project, URL)
    fake.log.clear()
    again = connect(studio, project, f"{URL}/".rstrip("/"))
    assert (again.created, again.did) == (False, ())
    assert fake.changes() == []


def test_a_new_version_becomes_the_title(fake: FakeStudio, studio: Studio, project: int) -> None:
    connect(studio, project, URL)
    fake.backends[URL].version = "dinov2-2"
    assert connect(studio, project, URL).model_version == "dinov2-2"
    assert [row["title"] for row in fake.ml.values()] == ["dinov2-2"]
    assert fake.projects[project]["model_version"] == "dinov2-2"


def test_settings_made_by_hand_are_mended(fake: FakeStudio, studio: Studio, project: int) -> None:
    fake.create_ml({"project": project, "url": f"{URL}/", "title": "mine"})
    fake.projects[project].update(show_collab_predictions=False, model_version="")
    (hook,) = fake.webhooks.values()
    hook.update(is_active=False, send_for_all_actions=False, headers={"X-Mine": "1"})
    done = connect(studio, project, URL)
    (row,) = fake.ml.values()
    assert (row["title"], row["is_interactive"], row["url"]) == ("dinov2-1", True, URL)
    assert fake.projects[project]["show_collab_predictions"]
    assert (hook["is_active"], hook["send_for_all_actions"], hook["headers"]) == (True, True, {"X-Mine": "1"})
    assert len(done.did) == 3


def test_doubles_go(fake: FakeStudio, studio: Studio, project: int) -> None:
    for _ in range(3):
        fake.create_ml({"project": project, "url": URL, "title": "t"})
    fake.create_webhook({"project": project, "url": f"{URL}/webhook"})
    fake.create_webhook({"project": project, "url": "http://127.0.0.1:9/webhook"})
    connect(studio, project, URL)
    assert list(fake.ml) == [1]
    assert [row["url"] for row in fake.webhooks.values()] == [f"{URL}/webhook", "http://127.0.0.1:9/webhook"]


def test_other_projects_are_left_alone(fake: FakeStudio, studio: Studio, project: int) -> None:
    other = fake.add_project()
    fake.create_ml({"project": other, "url": URL, "title": "theirs"})
    connect(studio, project, URL)
    assert [(row["project"], row["title"]) for row in fake.ml.values()] == [
        (other, "theirs"),
        (project, "dinov2-1"),
    ]
    assert {row["project"] for row in fake.webhooks.values()} >= {other}


class TestLogin:
    """The backend asks for one."""

    def test_goes_into_backend_and_webhook(self, fake: FakeStudio, studio: Studio, project: int) -> None:
        fake.backends[URL].login = "me:pass:word"
        connect(studio, project, URL, auth=AUTH)
        (row,) = fake.ml.values()
        assert (row["auth_method"], row["basic_auth_user"], row["basic_auth_pass"]) == (
            "BASIC_AUTH",
            "me",
            "pass:word",
        )
        (hook,) = fake.webhooks.values()
        assert hook["headers"] == {"Authorization": "Basic bWU6cGFzczp3b3Jk"}

    def test_is_kept_when_not_given_again(self, fake: FakeStudio, studio: Studio, project: int) -> None:
        fake.backends[URL].login = "me:pass:word"
        connect(studio, project, URL, auth=AUTH)
        connect(studio, project, URL, interactive=False)
        (row,) = fake.ml.values()
        assert (row["auth_method"], row["basic_auth_pass"], row["is_interactive"]) == (
            "BASIC_AUTH",
            "pass:word",
            False,
        )
        (hook,) = fake.webhooks.values()
        assert "Authorization" in hook["headers"]

    def test_is_added_to_a_connection_without(self, fake: FakeStudio, studio: Studio, project: int) -> None:
        connect(studio, project, URL)
        fake.backends[URL].login = "me:pass:word"
        connect(studio, project, URL, auth=AUTH)
        (row,) = fake.ml.values()
        assert row["basic_auth_pass"] == "pass:word"

    @pytest.mark.parametrize("auth", [None, BasicAuth("me", "wrong")], ids=["none", "wrong"])
    def test_missing_or_wrong(
        self, fake: FakeStudio, studio: Studio, project: int, auth: BasicAuth | None
    ) -> None:
        fake.backends[URL].login = "me:pass:word"
        with pytest.raises(LabelerError, match="asks for a login: give it with --basic-auth"):
            connect(studio, project, URL, auth=auth)
        assert fake.ml == {}

    def test_never_shows_itself(self) -> None:
        assert "pass:word" not in repr(AUTH)


@pytest.mark.parametrize(
    ("given", "expected"), [(None, None), ("a:b", BasicAuth("a", "b")), ("a:b:c", BasicAuth("a", "b:c"))]
)
def test_basic_auth(given: str | None, expected: BasicAuth | None) -> None:
    assert basic_auth(given) == expected


@pytest.mark.parametrize("given", ["", "a", ":b", "a:"])
def test_basic_auth_that_is_none(given: str) -> None:
    with pytest.raises(LabelerError, match="a user and a password"):
        basic_auth(given)


@pytest.mark.parametrize("given", ["", "9090", "localhost:9090", "http://", "http://a?b", "http://u:p@a"])
def test_a_backend_url_that_is_none(given: str) -> None:
    with pytest.raises(LabelerError, match="address of"):
        backend_url(given)


def test_a_config_comes_first(fake: FakeStudio, studio: Studio, project: int) -> None:
    wanted = CONFIG.replace("thing", "cat")
    assert "Applied the labelling config." in connect(studio, project, URL, label_config=wanted).did
    assert fake.projects[project]["label_config"] == wanted
    assert connect(studio, project, URL, label_config=wanted).did == ()


def test_a_config_that_is_refused(fake: FakeStudio, studio: Studio, project: int) -> None:
    with pytest.raises(LabelerError, match=f"Project {project} does not take that labelling config"):
        connect(studio, project, URL, label_config="<Nope/>")
    assert fake.ml == {}


@pytest.mark.parametrize(
    ("state", "sentence", "rows"),
    [
        pytest.param(
            {"block_ml": True}, "refuses http://127.0.0.1:9090, since its address is private", 0, id="ml"
        ),
        pytest.param({"block_webhooks": True}, "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false", 1, id="webhook"),
        pytest.param({"backends": {}}, "Label Studio does not reach http://127.0.0.1:9090", 0, id="down"),
    ],
)
def test_what_keeps_it_from_working(
    fake: FakeStudio, studio: Studio, project: int, state: dict[str, Any], sentence: str, rows: int
) -> None:
    for name, value in state.items():
        setattr(fake, name, value)
    with pytest.raises(LabelerError, match=sentence):
        connect(studio, project, URL)
    assert len(fake.ml) == rows


def test_no_such_project(fake: FakeStudio, studio: Studio) -> None:
    with pytest.raises(LabelerError, match="has no project 9"):
        connect(studio, 9, URL)
    assert fake.changes() == []


@pytest.mark.parametrize(
    "backend",
    ["http://labeler:9090", pytest.param("http://backend", id="no-port")],
)
def test_a_host_without_a_dot_is_refused_before_anything_is_made(
    fake: FakeStudio, studio: Studio, project: int, backend: str
) -> None:
    with pytest.raises(LabelerError, match=r"without a dot.*\.internal"):
        connect(studio, project, backend)
    assert fake.changes() == []


@pytest.mark.parametrize("backend", ["http://localhost:9090", "http://[::1]:9090", "http://labeler.internal"])
def test_hosts_that_label_studio_sends_events_to(
    fake: FakeStudio, studio: Studio, project: int, backend: str
) -> None:
    fake.backends[backend] = Backend("dinov2-1")
    assert connect(studio, project, backend).created
