"""Label Studio's two kinds of token → the Authorization header."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from labeler_backend.errors import LabelerError
from labeler_backend.studio.media.connections import FAILURES, Connections, reason, time_limit

SETTING = "LABEL_STUDIO_API_KEY"

_LIFETIME = 300.0  # seconds an access token lives in Label Studio 1.23, where it does not say
_MARGIN = 30.0  # renewed this long before it ends, so that it still holds when it arrives
_MAX_ANSWER = 100_000  # bytes
_SECONDS = 15.0  # for one exchange


class TokenError(LabelerError):
    """A token cannot be used, or cannot be exchanged now."""


@dataclass(frozen=True, slots=True)
class _AccessToken:
    text: str
    renew_at: float  # on the clock


class Tokens:
    """Gives the Authorization header for a token; exchanges and keeps what lives for minutes. Thread-safe."""

    def __init__(
        self, connections: Connections | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` counts seconds."""
        self._connections = connections or Connections()
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _AccessToken] = {}
        self._exchanging: dict[tuple[str, str], threading.Lock] = {}

    def authorization(self, url: str, token: str) -> str:
        """The header's value.

        A legacy token is sent as it is (`Token …`). A personal access token (a JWT refresh token) is
        exchanged for an access token (`Bearer …`) that lives 300 s and is renewed in time.

        Args:
            url: the Label Studio's base URL, the only server that sees the token.
            token: of either kind.

        Raises:
            TokenError: the token is malformed, refused, or cannot be exchanged now.
        """
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise TokenError(
                f"The token for {url} is empty or holds characters that no token has: copy it again from "
                f"Account & Settings in Label Studio and set {SETTING}."
            )
        claims = _claims(token)
        if claims is None:
            return f"Token {token}"
        if claims.get("token_type") == "access":
            return f"Bearer {token}"
        return f"Bearer {self._access(url, token)}"

    def forget(self, url: str, token: str) -> bool:
        """Drops what a personal access token was exchanged for, which the server refused; was there any?"""
        with self._lock:
            return self._known.pop((url, token.strip()), None) is not None

    def _access(self, url: str, token: str) -> str:
        key = (url, token)
        with self._lock:
            exchanging = self._exchanging.setdefault(key, threading.Lock())
        with exchanging:  # those who wait find what the first one got
            with self._lock:
                known = self._known.get(key)
            if known is None or known.renew_at <= self._clock():
                known = self._exchange(url, token)
                with self._lock:
                    self._known[key] = known
            return known.text

    def _exchange(self, url: str, token: str) -> _AccessToken:
        asked_at = self._clock()
        text = _access_in(_post(self._connections, url, token), url)
        return _AccessToken(text, asked_at + _usable_seconds(_claims(text) or {}))


def _post(connections: Connections, url: str, token: str) -> bytes:
    """The answer to the exchange; TokenError for any other than a good one."""
    try:
        target = httpx.URL(f"{url}/api/token/refresh/")
        body = json.dumps({"refresh": token}).encode()
        headers = {"Content-Type": "application/json"}
        with (
            time_limit(_SECONDS),
            connections.open("POST", target, headers, named=True, content=body) as response,
        ):
            if response.status != 200:
                raise _refused(response.status, url)
            answer = b""
            for chunk in response.iter_stream():
                answer += chunk
                if len(answer) > _MAX_ANSWER:
                    break
            return answer
    except FAILURES as error:
        raise TokenError(
            f"{url} could not be asked to exchange the personal access token ({reason(error)}): check that "
            "Label Studio runs and that LABEL_STUDIO_URL can be reached from here."
        ) from None  # the request, with the token in it, stays out of tracebacks
    except (httpx.InvalidURL, ValueError):
        raise TokenError(
            f"{url!r} is not an address of Label Studio: set LABEL_STUDIO_URL to one with http:// or https://."
        ) from None


def _refused(status: int, url: str) -> TokenError:
    if status in (400, 401, 403):
        return TokenError(
            f"{url} refused the personal access token ({status}): it was revoked, has expired or is another "
            f"server's; make a new one under Account & Settings in Label Studio and set {SETTING}."
        )
    if status == 404:
        return TokenError(
            f"{url} does not know personal access tokens (404): set {SETTING} to a legacy token, or "
            "LABEL_STUDIO_URL to the address Label Studio really has."
        )
    return TokenError(
        f"{url} answered {status} when asked to exchange the personal access token: see Label Studio's log, "
        "and whether LABEL_STUDIO_URL is the address it really has."
    )


def _access_in(answer: bytes, url: str) -> str:
    try:
        access = json.loads(answer)["access"]
    except (ValueError, KeyError, TypeError):
        access = None
    if not isinstance(access, str) or not access.isascii() or not access.isprintable() or " " in access:
        raise TokenError(
            f"{url} answered the exchange of the personal access token with something else than a token: set "
            "LABEL_STUDIO_URL to the address of a Label Studio."
        )
    return access


def _usable_seconds(claims: dict[str, Any]) -> float:
    """How long to use an access token; from its own two times, as the server's clock may differ from ours."""
    try:
        lifetime = float(claims["exp"]) - float(claims["iat"])
    except (KeyError, TypeError, ValueError):
        lifetime = _LIFETIME
    return max(lifetime - _MARGIN, lifetime / 2, 0.0)


def _claims(token: str) -> dict[str, Any] | None:
    """What a JWT says of itself, unverified, or None where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (
            json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2]
        )
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(header, dict) and isinstance(claims, dict) else None
