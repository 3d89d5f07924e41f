"""Predictions that annotators have overtaken, and the Label Studio that holds them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.server.connections import Connection, Connections
from labeler_backend.server.protocol import PredictRequest, WebhookEvent
from labeler_backend.server.renewing import Renewing
from labeler_backend.studio.labeling import labeling_config
from tests.studio.fake_studio import TOKEN, FakeStudio
from tests.studio.video.made import computed, entry, region

BASE = "standin-v1"
CREATED = "2026-11-27T10:00:00Z"
PROJECT = "1.1795773600"
CONFIG = labeling_config(["car"], "video")
DRAWN = region(entry(1))


class Asked:
    """What was to be followed."""

    def __init__(self) -> None:
        self.requests: list[PredictRequest] = []

    def __call__(self, request: PredictRequest) -> None:
        self.requests.append(request)


@pytest.fixture
def renewing(tmp_path: Path, fake: FakeStudio) -> Iterator[Renewing]:
    connections = Connections(tmp_path / "connections.json", None, None)
    connections.remember(PROJECT, Connection(fake.url, TOKEN))
    renewing = Renewing(connections, BASE)
    yield renewing
    renewing.close()


def event(*result: Any, action: str = "ANNOTATION_CREATED", **more: Any) -> WebhookEvent:
    project = {"id": 1, "created_at": CREATED, "label_config": CONFIG}
    task = {"id": 5, "data": {"video": "a.mp4"}}
    annotation = {"id": 9, "result": list(result), "was_cancelled": False} | more
    return WebhookEvent.model_validate(
        {"action": action, "annotation": annotation, "project": project, "task": task}
    )


def happened(renewing: Renewing, about: WebhookEvent) -> list[PredictRequest]:
    """What is to be followed after an event."""
    asked, through = Asked(), threading.Event()
    renewing.event(about, asked)
    renewing._worker.submit(through.set)
    assert through.wait(20)
    return asked.requests


def predicted(fake: FakeStudio, number: int, *result: Any, version: str = BASE, task: int = 5) -> None:
    fake.predictions.append({"id": number, "task": task, "model_version": version, "result": list(result)})


def test_new_boxes_take_back_what_was_predicted(renewing: Renewing, fake: FakeStudio) -> None:
    predicted(fake, 1, region(computed(1)))
    predicted(fake, 2, region(computed(1)), version=f"{BASE}-h3")
    predicted(fake, 3, region(computed(1)), version="somebody's")
    predicted(fake, 4, region(computed(1)), task=6)
    [request] = happened(renewing, event(DRAWN))
    assert [one["id"] for one in fake.predictions] == [3, 4]
    assert (request.project, request.label_config) == (PROJECT, CONFIG)
    [task] = request.tasks
    assert (task["id"], task["annotations"][0]["result"]) == (5, [DRAWN])


def test_a_prediction_that_follows_them_already_stays(renewing: Renewing, fake: FakeStudio) -> None:
    predicted(fake, 1, region(computed(1)))
    predicted(fake, 2, region(entry(1), computed(9, of=[entry(1)])))
    assert happened(renewing, event(DRAWN)) == []
    assert [one["id"] for one in fake.predictions] == [2]


@pytest.mark.parametrize(
    "about",
    [
        pytest.param(event(region(computed(1), computed(9))), id="a proposal, accepted"),
        pytest.param(event(region(entry(1), computed(9, of=[entry(1)]))), id="a track, accepted"),
        pytest.param(event(), id="nothing drawn"),
        pytest.param(event(DRAWN, was_cancelled=True), id="skipped"),
        pytest.param(event(DRAWN, action="ANNOTATIONS_DELETED"), id="deleted"),
        pytest.param(event(DRAWN, result=None), id="no result"),
        pytest.param(WebhookEvent(action="ANNOTATION_CREATED"), id="nothing said"),
        pytest.param(WebhookEvent(action="PROJECT_UPDATED"), id="another event"),
    ],
)
def test_nothing_happens_where_nothing_is_new(
    renewing: Renewing, fake: FakeStudio, about: WebhookEvent
) -> None:
    predicted(fake, 1, region(computed(1)))
    assert happened(renewing, about) == []
    assert fake.log == []


def test_a_label_studio_that_refuses_costs_nothing_else(renewing: Renewing, fake: FakeStudio) -> None:
    predicted(fake, 1, region(computed(1)))
    fake.token = "another"
    assert happened(renewing, event(DRAWN)) == []
    assert len(fake.predictions) == 1


def test_without_a_known_label_studio_they_are_followed_all_the_same(tmp_path: Path) -> None:
    renewing = Renewing(Connections(tmp_path / "connections.json", None, None), BASE)
    assert len(happened(renewing, event(DRAWN))) == 1
    renewing.close()
