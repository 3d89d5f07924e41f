"""Label Studio shows what serves; other people's rows stay as they are."""

from __future__ import annotations

from typing import Any

import pytest

from labeler_backend.studio.client import Studio
from labeler_backend.studio.connect import FIRST_TITLE
from labeler_backend.studio.following import follow
from tests.studio.fake_studio import Backend, FakeStudio

URL = "http://backend.internal:9090"
BASE, NEW = "m-518-v1", "m-518-v1-h2"


def row(fake: FakeStudio, title: str, **more: Any) -> None:
    number = len(fake.ml) + 1
    base = {"id": number, "url": URL, "project": 1, "title": title, "is_interactive": True}
    fake.ml[number] = {**base, "model_version": BASE, "auth_method": "NONE", "extra_params": {"a": 1}, **more}


@pytest.mark.parametrize(
    ("title", "says", "after"),
    [
        pytest.param(BASE, NEW, NEW, id="without a head until now"),
        pytest.param(f"{BASE}-h1", NEW, NEW, id="of an earlier head"),
        pytest.param(f"{BASE}-h3", NEW, NEW, id="rolled back"),
        pytest.param(FIRST_TITLE, NEW, NEW, id="connected half"),
        pytest.param(NEW, NEW, NEW, id="right already"),
        pytest.param("My model", NEW, "My model", id="a name that a person chose"),
        pytest.param(BASE, "sam-1", BASE, id="another backend says another version"),
        pytest.param("other-518-v1", NEW, "other-518-v1", id="another model's title"),
    ],
)
def test_only_our_own_title_is_changed(
    fake: FakeStudio, studio: Studio, title: str, says: str, after: str
) -> None:
    fake.add_project()
    fake.backends[URL] = Backend(says)
    row(fake, title)
    fake.projects[1]["model_version"] = title
    did = follow(studio, 1, BASE, NEW)
    assert fake.ml[1]["title"] == after
    assert fake.projects[1]["model_version"] == after
    assert bool(did) == (title != after)
    assert (fake.ml[1]["is_interactive"], fake.ml[1]["extra_params"]) == (True, {"a": 1})
    assert follow(studio, 1, BASE, NEW) == []


def test_a_login_stays(fake: FakeStudio, studio: Studio) -> None:
    fake.add_project()
    fake.backends[URL] = Backend(NEW, login="me:secret")
    row(fake, BASE, auth_method="BASIC_AUTH", basic_auth_user="me", basic_auth_pass="secret")
    assert follow(studio, 1, BASE, NEW)
    assert fake.ml[1]["basic_auth_pass"] == "secret"


def test_what_a_person_chose_to_show_stays(fake: FakeStudio, studio: Studio) -> None:
    fake.add_project()
    fake.backends[URL] = Backend(NEW)
    row(fake, BASE)
    fake.projects[1]["model_version"] = "imported-predictions"
    assert len(follow(studio, 1, BASE, NEW)) == 1
    assert (fake.ml[1]["title"], fake.projects[1]["model_version"]) == (NEW, "imported-predictions")
