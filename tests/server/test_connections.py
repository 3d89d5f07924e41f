"""Which Label Studio gets which token, whatever a caller of /setup says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.server.connections import Connection, Connections, logged_in
from labeler_backend.studio.client import StudioError
from labeler_backend.studio.media.types import Access
from tests.studio import fake_studio

OURS, SAID, TOKEN = "http://studio:8080", "https://public.example", "said"


def access(
    path: Path, said: Connection | None, url: str | None = None, key: str | None = None
) -> Access | None:
    connections = Connections(path / "c.json", url, key)
    if said is not None:
        connections.remember("1.1", said)
    return connections.access("1.1")


@pytest.mark.parametrize(
    ("said", "url", "key", "expected"),
    [
        pytest.param(None, None, None, None, id="nothing known"),
        pytest.param(None, OURS, "key", Access(OURS, "key"), id="the operator's"),
        pytest.param(Connection(SAID, TOKEN), None, None, Access(SAID, TOKEN), id="as /setup says"),
        pytest.param(
            Connection(SAID, TOKEN), OURS, "key", Access(OURS, "key", (SAID,)), id="the operator's first"
        ),
        pytest.param(Connection(SAID, TOKEN), OURS, None, Access(OURS, TOKEN, (SAID,)), id="only the token"),
        pytest.param(Connection(SAID, TOKEN), None, "key", Access(SAID, TOKEN), id="no key without its URL"),
        pytest.param(Connection("http://u:p@h", TOKEN), None, None, None, id="a login in the address"),
        pytest.param(Connection("http://[", TOKEN), OURS, "key", Access(OURS, "key"), id="no address"),
        pytest.param(Connection("file:///etc", TOKEN), None, None, None, id="no web address"),
    ],
)
def test_who_gets_which_token(
    said: Connection | None, url: str | None, key: str | None, expected: Access | None, tmp_path: Path
) -> None:
    assert access(tmp_path, said, url, key) == expected


def test_a_key_that_goes_nowhere_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Connections(tmp_path / "c.json", None, "s3cret")
    assert "LABEL_STUDIO_URL" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param('{"1.1": 3}', id="a number"),
        pytest.param('{"1.1": {"hostname": 3}}', id="a number as host"),
        pytest.param('{"1.1": {"token": ["s3cret"]}}', id="a list as token"),
        pytest.param("\udcff", id="not UTF-8"),
    ],
)
def test_a_damaged_file_is_as_if_nothing_had_been_said(
    kept: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "c.json").write_bytes(kept.encode("utf-8", "surrogateescape"))
    connections = Connections(tmp_path / "c.json", None, None)
    assert connections.access("1.1") is None
    assert "damaged" in caplog.text
    assert "s3cret" not in caplog.text


def test_what_was_said_outlives_a_restart(tmp_path: Path) -> None:
    connections = Connections(tmp_path / "c.json", None, None)
    for number in range(1100):
        connections.remember(f"{number}.1", Connection(SAID, TOKEN, {"model_max_proposals": number}))
    connections.remember("101.1", Connection(SAID, "new"))
    connections.save()
    again = Connections(tmp_path / "c.json", None, None)
    assert again.of("1099.1") == Connection(SAID, TOKEN, {"model_max_proposals": 1099})
    assert again.access("101.1") == Access(SAID, "new")
    assert again.of("5.1") == Connection()  # long ago
    assert len(json.loads((tmp_path / "c.json").read_text())) == 1000


def test_tokens_stay_out_of_logs() -> None:
    assert "s3cret" not in repr(Connection(SAID, "s3cret"))


@pytest.mark.parametrize(
    ("token", "status", "says"),
    [
        pytest.param(None, None, "is known: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY", id="no token"),
        pytest.param("0" * 40, 401, "gave itself: set LABEL_STUDIO_URL and", id="another's token"),
        pytest.param(fake_studio.TOKEN, 403, "gave itself: set LABEL_STUDIO_URL and", id="not allowed"),
        pytest.param(fake_studio.TOKEN, 500, "Oh", id="its own trouble, in its own words"),
    ],
)
def test_why_nobody_is_logged_in(token: str | None, status: int | None, says: str) -> None:
    def fault(method: str, path: str) -> None:
        if status in (403, 500):
            raise fake_studio.Refused(status, "Oh")

    with fake_studio.running() as fake:
        number, fake.faults = fake.add_project(), fault
        with pytest.raises(LabelerError, match=says) as caught, logged_in(Access(fake.url, token)) as studio:
            studio.get(f"/api/projects/{number}")
    assert getattr(caught.value, "status", None) == status
    assert isinstance(caught.value, StudioError) == (status is not None)
    assert token is None or token not in str(caught.value)
