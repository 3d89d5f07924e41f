from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest

from labeler_backend.server.auth import Login
from tests.server.fakes import FakeService
from tests.server.live import running

PATHS = [
    *(("GET", path) for path in ("/", "/versions", "/status", "/status.json", "/metrics", "/openapi.json")),
    *(("POST", path) for path in ("/setup", "/predict", "/webhook", "/versions")),
    ("GET", "/unknown"),
]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running(FakeService(), basic_auth_user="jürgen", basic_auth_pass="pa:ss wörd") as client:
        yield client


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_route_asks_for_the_login(method: str, path: str, client: httpx.Client) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "login" in answer.json()["detail"]
    welcome = client.request(method, path, headers=basic("jürgen:pa:ss wörd"), json={})
    assert welcome.status_code != 401


def test_health_is_open_for_container_checks(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(basic("jürgen:pa:ss"), id="password begins the same"),
        pytest.param(basic("jürgen:"), id="no password"),
        pytest.param(basic("jürgen"), id="no colon"),
        pytest.param(basic("J:pa:ss wörd"), id="other user"),
        pytest.param({"Authorization": "Basic"}, id="nothing"),
        pytest.param({"Authorization": "Basic !!!"}, id="not base64"),
        pytest.param({"Authorization": basic("jürgen:pa:ss wörd")["Authorization"][6:]}, id="no scheme"),
        pytest.param({"Authorization": "Bearer x"}, id="other scheme"),
    ],
)
def test_wrong_login_is_refused(headers: dict[str, str], client: httpx.Client) -> None:
    assert client.get("/status.json", headers=headers).status_code == 401


def test_scheme_is_read_in_any_case(client: httpx.Client) -> None:
    given = basic("jürgen:pa:ss wörd")["Authorization"].replace("Basic", "basic")
    assert client.get("/versions", headers={"Authorization": given}).status_code == 200


def test_two_headers_are_refused(client: httpx.Client) -> None:
    good = basic("jürgen:pa:ss wörd")["Authorization"]
    headers = [("Authorization", good), ("Authorization", good)]
    assert client.get("/versions", headers=headers).status_code == 401


def test_large_body_is_not_read_without_the_login(client: httpx.Client) -> None:
    assert client.post("/predict", content=b" " * 10_000).status_code == 401


def test_password_stays_out_of_logs() -> None:
    assert "s3cret" not in repr(Login("u", "s3cret"))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_beyond_ascii_is_read_as_its_sender_wrote_it(encoding: str, client: httpx.Client) -> None:
    """Browsers send UTF-8, as they are told to; Label Studio's `requests` sends Latin-1."""
    coded = base64.b64encode("jürgen:pa:ss wörd".encode(encoding)).decode()
    assert client.get("/versions", headers={"Authorization": f"Basic {coded}"}).status_code == 200


def test_a_password_that_latin_1_lacks_is_read_as_utf_8() -> None:
    login = Login("u", "пароль")
    assert login.matches(b"Basic " + base64.b64encode("u:пароль".encode()))
    assert not login.matches(b"Basic " + base64.b64encode(b"u:??????"))
