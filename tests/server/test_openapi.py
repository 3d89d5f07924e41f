"""The app against its own description: whatever a client may send, no 5xx, and every answer as described."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case

from labeler_backend.server.app import create_app
from labeler_backend.settings import ServerSettings
from tests.server.fakes import FakeService

APP = create_app(FakeService(), ServerSettings())
schema = schemathesis.openapi.from_asgi("/openapi.json", APP)


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(case: Case) -> None:
    case.call_and_validate()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = APP.openapi()
    return found


def test_every_route_is_described(document: dict[str, Any]) -> None:
    routes = {(path, method) for path, operations in document["paths"].items() for method in operations}
    assert routes == {
        ("/health", "get"),
        ("/setup", "post"),
        ("/predict", "post"),
        ("/webhook", "post"),
        ("/versions", "get"),
        ("/versions", "post"),
        ("/status", "get"),
        ("/status.json", "get"),
        ("/metrics", "get"),
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert len(operation["description"]) > 20, path
    assert document["info"]["title"] == "Emergent Labeler"


def test_bodies_are_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas["PredictRequest"]["required"]) == {"tasks", "label_config"}
    assert "schema" in schemas["SetupRequest"]["properties"]
    assert schemas["WebhookEvent"]["required"] == ["action"]
    references = set(_references(document))
    assert {ref.rsplit("/", 1)[1] for ref in references} <= set(schemas)


def test_login_is_described_where_there_is_one() -> None:
    app = create_app(FakeService(), ServerSettings(basic_auth_user="u", basic_auth_pass="p"))  # type: ignore[arg-type]
    document = app.openapi()
    assert document["components"]["securitySchemes"]["login"]["scheme"] == "basic"
    assert document["paths"]["/predict"]["post"]["security"] == [{"login": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "securitySchemes" not in APP.openapi()["components"]


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in _references(value)]
    return [ref for value in node for ref in _references(value)] if isinstance(node, list) else []
