from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.fakes import FakeService, busy
from tests.server.live import running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with running(FakeService(report=busy())) as client:
        yield client


def collected(client: httpx.Client) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("labeler_queue_tasks", {"urgency": "clicks"}, 1),
        ("labeler_queue_tasks", {"urgency": "opened"}, 2),
        ("labeler_queue_tasks", {"urgency": "batch"}, 1312),
        ("labeler_queue_tasks", {"urgency": "warming"}, 40),
        ("labeler_queue_capacity", {}, 2000),
        ("labeler_running_tasks", {}, 8),
        ("labeler_images_done_total", {}, 12873),
        ("labeler_failures_total", {}, 3),
        ("labeler_cache_hits_total", {"cache": "features"}, 4120),
        ("labeler_cache_misses_total", {"cache": "features"}, 12873),
        ("labeler_cache_bytes", {"cache": "pictures"}, 612_000),
        ("labeler_cache_max_bytes", {"cache": "pictures"}, 5e9),
        ("labeler_proposals", {"project": "7.1795428142", "outcome": "accepted"}, 1304),
        ("labeler_proposals", {"project": "7.1795428142", "outcome": "edited"}, 288),
        ("labeler_proposals", {"project": "7.1795428142", "outcome": "rejected"}, 411),
        ("labeler_proposals", {"project": "7.1795428142", "outcome": "drawn"}, 97),
        ("labeler_model_ready", {}, 1),
        ("labeler_training", {"project": "7.1795428142", "state": "running"}, 1),
        ("labeler_training", {"project": "7.1795428142", "state": "failed"}, 0),
        ("labeler_training", {"project": "9", "state": "failed"}, 1),
        ("labeler_training_progress", {"project": "7.1795428142"}, 0.25),
        ("labeler_training_left", {"project": "7.1795428142"}, 7),
        ("labeler_head_version", {"project": "7.1795428142"}, 3),
        ("labeler_head_quality", {"project": "7.1795428142", "metric": "pq"}, 0.53),
    ],
)
def test_status_is_there_as_metrics(
    name: str,
    labels: dict[str, str],
    value: float,
    status: dict[tuple[str, frozenset[tuple[str, str]]], float],
) -> None:
    assert status[name, frozenset(labels.items())] == value


@pytest.fixture(scope="module")
def status() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with running(FakeService(report=busy())) as client:
        return collected(client)


def test_model_is_named(status: dict[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
    labels = next(dict(labels) for name, labels in status if name == "labeler_model_info")
    assert labels == {
        "name": "dinov2-small",
        "version": "fake-1",
        "device": "cpu",
        "dtype": "bf16",
        "product": "0.1.0",
    }


@pytest.mark.parametrize(
    ("tasks", "params", "kind"),
    [
        pytest.param(1, {"context": {"result": []}}, "click", id="click"),
        pytest.param(1, {"context": None}, "opened", id="opened"),
        pytest.param(3, None, "batch", id="batch"),
    ],
)
def test_predict_is_timed_by_what_asked(
    tasks: int, params: dict[str, object] | None, kind: str, client: httpx.Client
) -> None:
    body = {"tasks": [{"id": n} for n in range(tasks)], "label_config": "", "params": params}
    for _ in range(2):
        client.post("/predict", json=body)
    found = collected(client)
    counts = {
        dict(labels)["kind"]: value
        for (name, labels), value in found.items()
        if name == "labeler_predict_seconds_count"
    }
    assert counts == {kind: 2}
    assert found["labeler_predict_seconds_bucket", frozenset({"kind": kind, "le": "+Inf"}.items())] == 2


def test_requests_are_counted_and_unknown_ones_share_a_name(client: httpx.Client) -> None:
    for path in ("/health", "/a", "/b", "/c?x=1"):
        client.get(path)
    client.get("/versions")
    found = collected(client)
    requests = {
        tuple(dict(labels)[key] for key in ("method", "path", "status")): value
        for (name, labels), value in found.items()
        if name == "labeler_requests_total"
    }
    assert requests[("GET", "/health", "200")] == 1
    assert requests[("any", "other", "404")] == 3
    assert not any("/a" in key for key in requests)


def test_two_apps_do_not_share_metrics(client: httpx.Client) -> None:
    client.get("/health")
    with running(FakeService()) as other:
        assert 'path="/health"' not in other.get("/metrics").text


def test_nobody_can_make_up_series(client: httpx.Client) -> None:
    """Asked without a login even, and each series is kept for as long as the server runs."""
    for number, method in enumerate(("PROPFIND", "MKCOL", "PURGE", "LOCK", "COPY", "SEARCH")):
        client.request(method, "/health")
        client.request(method, f"/made-up/{number}")
    time.sleep(0.1)
    asked = {tuple(sorted(labels)) for name, labels in collected(client) if name == "labeler_requests_total"}
    assert len(asked) <= 4
