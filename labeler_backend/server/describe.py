"""/openapi.json: what each route is for, and the bodies that are read by hand."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from labeler_backend.server.auth import OPEN
from labeler_backend.server.protocol import (
    PredictRequest,
    PredictResponse,
    Problem,
    SetupRequest,
    WebhookEvent,
)

TITLE = "Emergent Labeler"
DESCRIPTION = """
A machine-learning backend for [Label Studio](https://labelstud.io): it proposes polygons, brush masks or
boxes for pictures that nobody has labelled yet, and answers clicks.

Connect it under *Settings > Model* of a project. Label Studio then calls `/health` and `/setup`, asks
`/predict` for pictures as they are opened or retrieved, and tells `/webhook` what was submitted. `/status`
shows a person how it is doing.

Errors are answered as `{"detail": "one sentence"}`.
"""
_PROBLEMS = {
    400: "The body is not JSON, or ended early.",
    401: "The login is missing or wrong.",
    413: "The body is too large.",
    415: "The body does not say that it is JSON.",
    422: "The body is JSON and does not fit.",
    503: "Not now; asking again may work.",
}
_READ = (SetupRequest, PredictRequest, WebhookEvent)


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """For a route that reads its body by hand (so that it can be capped, and parsed in a thread)."""
    reference = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """What else a route may answer."""
    return {code: {"description": _PROBLEMS[code], "model": Problem} for code in codes}


def page(kind: str, what: str) -> dict[int | str, dict[str, Any]]:
    """A 200 that is text of media type `kind`."""
    return {200: {"description": what, "content": {kind: {"schema": {"type": "string"}}}}}


def openapi(app: FastAPI, login: bool) -> dict[str, Any]:
    """The document: FastAPI's, with the bodies that it does not see, and the login where there is one."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    _, read = models_json_schema(
        [(model, "validation") for model in _READ], ref_template="#/components/schemas/{model}"
    )
    _, written = models_json_schema(
        [(PredictResponse, "serialization")], ref_template="#/components/schemas/{model}"
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for found in (read, written):
        schemas.update(found["$defs"])
    if login:
        components["securitySchemes"] = {"login": {"type": "http", "scheme": "basic"}}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                operation["security"] = [] if path in OPEN else [{"login": []}]
    return document
