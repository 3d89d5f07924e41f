"""HTTP Basic for every route but /health."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from labeler_backend.settings import ServerSettings

# Open, because a container's health check has no password, and what it tells is only that the server is up.
OPEN = frozenset({"/health"})
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Emergent Labeler", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class Login:
    """Whom the server lets in. Its text never shows the password."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r})"

    @classmethod
    def of(cls, settings: ServerSettings) -> Login | None:
        """None where everybody may come in."""
        if settings.basic_auth_user is None or settings.basic_auth_pass is None:
            return None
        return cls(settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())

    def matches(self, header: bytes) -> bool:
        """Whether an `Authorization` header carries this login. Takes the same time wherever they differ."""
        scheme, _, coded = header.strip().partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(coded.strip(), validate=True)
        except binascii.Error:
            return False
        return any(secrets.compare_digest(given, one) for one in _spellings(f"{self.user}:{self.password}"))


def _spellings(text: str) -> list[bytes]:
    """Browsers send UTF-8, as the challenge asks them to; Label Studio's `requests` sends Latin-1."""
    try:
        return [text.encode(), text.encode("latin-1")]
    except UnicodeEncodeError:
        return [text.encode()]


class BasicAuth:
    """ASGI middleware: 401 for whoever does not carry the login, before anything of the body is read."""

    def __init__(self, app: ASGIApp, login: Login) -> None:
        self._app = app
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or self._let_in(scope):
            await self._app(scope, receive, send)
            return
        detail = (
            "This backend asks for a login: in Settings > Model of Label Studio choose Basic authentication "
            "and give what LABELER_BASIC_AUTH_USER and LABELER_BASIC_AUTH_PASS say; its webhook needs an "
            "Authorization header of its own, which `labeler connect` sets."
        )
        await JSONResponse({"detail": detail}, 401, headers=_CHALLENGE)(scope, receive, send)

    def _let_in(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and self._login.matches(given[0])
