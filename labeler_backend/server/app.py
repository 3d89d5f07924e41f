"""The HTTP app: Label Studio's five calls, and pages for people and monitors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from labeler_backend import __version__
from labeler_backend.errors import LabelerError, WeightsError
from labeler_backend.server.auth import BasicAuth, Login
from labeler_backend.server.describe import DESCRIPTION, TITLE, openapi, page, problems, takes
from labeler_backend.server.guard import Guard
from labeler_backend.server.metrics import CONTENT_TYPE
from labeler_backend.server.protocol import (
    Health,
    Noted,
    PredictRequest,
    PredictResponse,
    SetupRequest,
    SetupResponse,
    StatusReport,
    Versions,
    WebhookEvent,
)
from labeler_backend.server.routes import PATHS, Routes
from labeler_backend.server.types import Backend
from labeler_backend.settings import ServerSettings

STUDIO, PEOPLE = "Called by Label Studio", "For people and monitors"


def create_app(service: Backend, settings: ServerSettings) -> FastAPI:
    """The app around `service`, which it starts and stops with itself.

    Where `settings` has a login, every route but /health asks for it.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop(settings.grace)

    app = FastAPI(
        title=TITLE,
        description=DESCRIPTION,
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # its scripts would come from elsewhere
        redoc_url=None,
    )
    routes, login = Routes(service, settings.body_max_mb), Login.of(settings)
    _add_studio(app, routes)
    _add_people(app, routes)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(LabelerError, _sentence)
    app.openapi = cache(lambda: openapi(app, login is not None))  # type: ignore[method-assign]
    if login is not None:
        app.add_middleware(BasicAuth, login=login)
    app.add_middleware(Guard, heard=routes.metrics.answered)  # added last: the outermost
    return app


def _add_studio(app: FastAPI, routes: Routes) -> None:
    reads: Any = {"responses": problems(400, 401, 413, 415, 422, 503), "tags": [STUDIO]}
    asks: Any = {"responses": problems(401, 503), "response_model": Versions, "tags": [STUDIO]}
    app.get("/health", summary="Is it up?", response_model=Health, tags=[STUDIO])(routes.health)
    app.head("/health", include_in_schema=False)(routes.health)
    app.post(
        "/setup",
        summary="Which version answers?",
        response_model=SetupResponse,
        openapi_extra=takes(SetupRequest),
        **reads,
    )(routes.setup)
    app.post(
        "/predict",
        summary="Proposals for tasks, or for a click",
        response_model=PredictResponse,
        openapi_extra=takes(PredictRequest),
        **reads,
    )(routes.predict)
    app.post(
        "/webhook",
        summary="Something happened in the project",
        response_model=Noted,
        status_code=201,
        openapi_extra=takes(WebhookEvent),
        **reads,
    )(routes.webhook)
    app.get("/versions", summary="Which versions are there?", **asks)(routes.versions)
    app.post("/versions", summary="The same, for Label Studios that post", **asks)(routes.versions)


def _add_people(app: FastAPI, routes: Routes) -> None:
    closed: Any = problems(401, 503)
    app.get("/", include_in_schema=False)(routes.root)
    app.get(
        "/status",
        summary="The status page",
        tags=[PEOPLE],
        responses=closed | page("text/html", "A page that keeps itself up to date."),
    )(routes.status)
    app.get(
        "/status.json",
        summary="The status as data",
        tags=[PEOPLE],
        response_model=StatusReport,
        responses=closed,
    )(routes.status_json)
    app.get(
        "/metrics",
        summary="Prometheus metrics",
        tags=[PEOPLE],
        responses=closed | page(CONTENT_TYPE, "Prometheus' text format."),
    )(routes.prometheus)


async def _problem(request: Request, error: Exception) -> JSONResponse:
    """HTTP errors as one sentence, the framework's own too."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405 and (described := request.app.openapi()["paths"].get(request.url.path)):
        headers["Allow"] = ", ".join(sorted(method.upper() for method in described))  # not of one route only
    detail = {
        404: f"There is nothing here; there are {', '.join(sorted(PATHS))}.",
        405: "This route takes another method; /openapi.json says which.",
    }.get(error.status_code, error.detail)
    return JSONResponse({"detail": detail}, error.status_code, headers=headers)


async def _sentence(_: Request, error: Exception) -> JSONResponse:
    """What a person can mend: in the request (422), or on this machine (503)."""
    return JSONResponse(
        {"detail": " ".join(str(error).split())}, 503 if isinstance(error, WeightsError) else 422
    )
