"""The outermost layer: a line in the log per request, and never a 500."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from urllib.parse import quote

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)
access = logging.getLogger("labeler_backend.access")

# Label Studio and monitors ask for these every few seconds: they would bury the rest.
QUIET = frozenset({"/health", "/metrics", "/status.json", "/status"})

Heard = Callable[[str, str, int, float], None]
"""Method, path, status, seconds of an answered request."""


class Guard:
    """ASGI middleware around everything else.

    An exception that nobody expected is logged with its traceback and answered 503: Label Studio takes any
    failure as "try again later", and a 500 says nothing to anybody. A request that is cancelled (the server
    stops and its grace is over) is answered 503 as well, so the cancellation ends here.
    """

    def __init__(self, app: ASGIApp, heard: Heard) -> None:
        self._app = app
        self._heard = heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if not status:
                await _unavailable("The backend is being stopped; ask again.")(scope, receive, noting)
        except Exception:
            log.exception("%s %s failed", scope["method"], quote(scope["path"]))
            if status:
                raise  # half an answer is out: only closing the connection can say that it is no good
            detail = "The backend failed at this request; its log has the details. Asking again may work."
            await _unavailable(detail)(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - begun
            level = logging.DEBUG if scope["path"] in QUIET else logging.INFO
            # the path alone: a query string may hold anything
            access.log(
                level, "%s %s %d %.0f ms", scope["method"], quote(scope["path"]), status, 1000 * seconds
            )
            self._heard(scope["method"], scope["path"], status, seconds)


def _unavailable(detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, 503, headers={"Retry-After": "5"})
