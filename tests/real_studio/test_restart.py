"""The backend was stopped or killed and is started again: nobody sends /setup before the next request."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from .answers import assert_valid, labels_of, polygon_config, predict_body, prompt_on
from .backend import Backend
from .conftest import Backends
from .pictures import Picture
from .studio import Studio

CONFIG = polygon_config("cat", "cup")


class Before:
    """A project as it was before the backend went away."""

    def __init__(self, studio: Studio, backend: Backend, pictures: list[Picture]) -> None:
        self.client = studio.client()
        self.backend = backend
        self.project = self.client.create_project(CONFIG)
        self.client.upload(self.project, [picture.path for picture in pictures])
        self.connection = self.client.connect(self.project, backend.url)
        self.tasks = [task["id"] for task in self.client.tasks(self.project)]
        self.prediction = self.client.open_task(self.tasks[0])["predictions"][0]


@pytest.fixture
def before(studio: Studio, backends: Backends, pictures: list[Picture]) -> Before:
    return Before(studio, backends(), pictures)


@pytest.fixture
def restarted(before: Before) -> Before:
    """Killed, so that nothing could be written down at the end."""
    assert before.backend.stop(signal.SIGKILL) == -signal.SIGKILL
    before.backend.start()
    return before


def test_stopping_is_clean(before: Before) -> None:
    assert before.backend.stop() == 0
    assert "Traceback" not in before.backend.log()


def test_predict_comes_first(restarted: Before) -> None:
    """All tasks in one request, as Label Studio sends them; two of them were never asked for."""
    body = predict_body(restarted.client, restarted.project, CONFIG)
    results = restarted.backend.http.post("/predict", json=body).json()["results"]
    assert len(results) == len(restarted.tasks)
    for element in results:
        assert_valid(CONFIG, element)
    assert results[0]["result"] == restarted.prediction["result"], "the same picture, another answer"


def test_click_comes_first(restarted: Before) -> None:
    region = restarted.prediction["result"][0]
    for task in (restarted.tasks[0], restarted.tasks[1]):  # one that it answered before, one that is new
        answered = restarted.client.prompt(
            restarted.connection, task, [prompt_on(region, "keypointlabels", "cup")]
        )
        assert "errors" not in answered
        if task == restarted.tasks[0]:
            assert_valid(CONFIG, answered["data"])
            assert labels_of(answered["data"]) == {"cup"}


def test_webhook_comes_first(restarted: Before) -> None:
    regions: list[dict[str, Any]] = restarted.prediction["result"]
    restarted.client.annotate(restarted.tasks[0], regions[:1], parent_prediction=restarted.prediction["id"])
    wanted = {"accepted": 1, "rejected": len(regions) - 1, "drawn": 0}
    assert restarted.backend.counts(restarted.client.uid(restarted.project), **wanted) == wanted
