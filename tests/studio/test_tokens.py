from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from labeler_backend.studio.tokens import TokenError, Tokens
from tests.studio.web import Handler, Route, Server, saying, serving

LEGACY = "0123456789abcdef0123456789abcdef01234567"


def jwt(**claims: object) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, "c2lnbmF0dXJl"])


PAT = jwt(token_type="refresh", exp=9_000_000_000, jti="a")


@pytest.fixture
def studio() -> Iterator[Server]:
    with serving() as server:
        server.routes["/api/token/refresh/"] = giving(300)
        yield server


def giving(seconds: float, start: float = 1_000_000) -> Route:
    """A new access token each time; its clock has nothing to do with ours."""

    def answer(handler: Handler) -> None:
        count = len(handler.server.seen)
        access = jwt(token_type="access", iat=start, exp=start + seconds, jti=str(count))
        handler.reply(200, json.dumps({"access": access}).encode())

    return answer


@pytest.mark.parametrize(
    ("token", "header"),
    [
        pytest.param(LEGACY, f"Token {LEGACY}", id="legacy"),
        pytest.param(f" {LEGACY}\n", f"Token {LEGACY}", id="legacy with blanks around"),
        pytest.param("a.b.c", "Token a.b.c", id="three parts that are not JSON"),
        pytest.param("abc.def", "Token abc.def", id="two parts"),
        pytest.param(jwt(token_type="access"), f"Bearer {jwt(token_type='access')}", id="access token"),
    ],
)
def test_what_needs_no_exchange(token: str, header: str, studio: Server) -> None:
    assert Tokens().authorization(studio.url, token) == header
    assert studio.seen == []


def test_a_personal_access_token_is_exchanged(studio: Server) -> None:
    header = Tokens().authorization(studio.url, PAT)
    assert header.startswith("Bearer ")
    assert PAT not in header
    (seen,) = studio.seen
    assert (seen.method, seen.path, json.loads(seen.body)) == (
        "POST",
        "/api/token/refresh/",
        {"refresh": PAT},
    )
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.authorization is None


def test_below_a_path(studio: Server) -> None:
    studio.routes["/ls/api/token/refresh/"] = giving(300)
    assert Tokens().authorization(f"{studio.url}/ls", PAT).startswith("Bearer ")


@pytest.mark.parametrize(
    ("lifetime", "used", "renewed"),
    [
        pytest.param(300, 265, 275, id="Label Studio's 300 s"),
        pytest.param(3600, 3500, 3575, id="an hour"),
        pytest.param(40, 15, 25, id="shorter than the margin allows for"),
    ],
)
def test_it_is_kept_until_shortly_before_it_ends(
    lifetime: float, used: float, renewed: float, studio: Server
) -> None:
    now = [50.0]
    studio.routes["/api/token/refresh/"] = giving(lifetime)
    tokens = Tokens(clock=lambda: now[0])
    first = tokens.authorization(studio.url, PAT)
    now[0] = 50 + used
    assert tokens.authorization(studio.url, PAT) == first
    now[0] = 50 + renewed
    assert tokens.authorization(studio.url, PAT) != first
    assert len(studio.seen) == 2


def test_an_access_token_that_says_no_times_is_taken_to_live_300_seconds(studio: Server) -> None:
    now = [0.0]
    studio.routes["/api/token/refresh/"] = lambda handler: handler.reply(200, b'{"access": "opaque"}')
    tokens = Tokens(clock=lambda: now[0])
    for now[0] in (0.0, 260.0, 280.0):
        assert tokens.authorization(studio.url, PAT) == "Bearer opaque"
    assert len(studio.seen) == 2


def test_tokens_of_two_servers_and_two_people_are_kept_apart(studio: Server) -> None:
    tokens, other = Tokens(), jwt(token_type="refresh", jti="b")
    with serving() as second:
        second.routes["/api/token/refresh/"] = giving(300)
        headers = {
            (url, token): tokens.authorization(url, token)
            for url in (studio.url, second.url)
            for token in (PAT, other)
        }
        assert [len(server.seen) for server in (studio, second)] == [2, 2]
    assert headers[studio.url, PAT] != headers[studio.url, other]
    assert tokens.authorization(studio.url, other) == headers[studio.url, other]


def test_forget_makes_it_ask_again(studio: Server) -> None:
    tokens = Tokens()
    assert not tokens.forget(studio.url, PAT)
    first = tokens.authorization(studio.url, PAT)
    assert tokens.forget(studio.url, PAT)
    assert not tokens.forget(studio.url, LEGACY)
    assert tokens.authorization(studio.url, PAT) != first


def test_threads_share_one_exchange(studio: Server) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.2)
        giving(300)(handler)

    studio.routes["/api/token/refresh/"] = slow
    tokens, headers = Tokens(), []
    threads = [
        threading.Thread(target=lambda: headers.append(tokens.authorization(studio.url, PAT)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(headers) == 8
    assert len(set(headers)) == 1
    assert len(studio.seen) == 1


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        pytest.param(401, b'{"code":"token_not_valid"}', "LABEL_STUDIO_API_KEY", id="wrong or expired"),
        pytest.param(403, b"", "LABEL_STUDIO_API_KEY", id="forbidden"),
        pytest.param(404, b"", "legacy token", id="an old Label Studio"),
        pytest.param(500, b"", "500", id="server error"),
        pytest.param(302, b"", "LABEL_STUDIO_URL", id="a redirect is not followed with a token"),
        pytest.param(200, b"<html>", "LABEL_STUDIO_URL", id="another server"),
        pytest.param(200, b"[]", "LABEL_STUDIO_URL", id="a list"),
        pytest.param(200, b'{"access": 5}', "LABEL_STUDIO_URL", id="not a text"),
        pytest.param(200, b'{"access": "a\\r\\nHost: evil"}', "LABEL_STUDIO_URL", id="a header in it"),
        pytest.param(200, b'{"access": "' + b"a" * 200_000 + b'"}', "LABEL_STUDIO_URL", id="huge"),
    ],
)
def test_an_exchange_that_fails_is_a_sentence_and_is_tried_again(
    status: int, body: bytes, says: str, studio: Server, caplog: pytest.LogCaptureFixture
) -> None:
    studio.routes["/api/token/refresh/"] = lambda handler: handler.reply(status, body, Location="/elsewhere")
    tokens = Tokens()
    with caplog.at_level(logging.DEBUG), pytest.raises(TokenError, match=says) as error:
        tokens.authorization(studio.url, PAT)
    assert PAT not in str(error.value) + caplog.text
    assert len(studio.seen) == 1
    studio.routes["/api/token/refresh/"] = giving(300)
    assert tokens.authorization(studio.url, PAT).startswith("Bearer ")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("  \n", id="blanks"),
        pytest.param("abc\r\nX-Evil: 1", id="a header in it"),
        pytest.param("Token abc", id="with the word before it"),
        pytest.param("schlüssel", id="not ASCII"),
        pytest.param("abc\x00", id="control character"),
    ],
)
def test_what_cannot_be_a_token_is_not_sent(token: str, studio: Server) -> None:
    with pytest.raises(TokenError, match="LABEL_STUDIO_API_KEY") as error:
        Tokens().authorization(studio.url, token)
    assert token.strip() == "" or token not in str(error.value)
    assert studio.seen == []


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://127.0.0.1:9", id="nobody there"),
        pytest.param("http://no-such-host.invalid", id="unknown name"),
        pytest.param("http://169.254.169.254", id="a place that is never asked"),
        pytest.param("http://127.0.0.1:port", id="malformed"),
        pytest.param("ftp://127.0.0.1", id="not HTTP"),
    ],
)
def test_a_server_that_cannot_be_asked_is_a_sentence(url: str) -> None:
    with pytest.raises(TokenError, match="LABEL_STUDIO_URL") as error:
        Tokens().authorization(url, PAT)
    assert PAT not in str(error.value)


def test_a_server_that_breaks_off_is_a_sentence() -> None:
    with saying(lambda connection: None) as raw, pytest.raises(TokenError, match="broke off"):
        Tokens().authorization(raw.url, PAT)
