"""Which events lead to a training, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.server.asking import Asking
from labeler_backend.server.protocol import WebhookEvent
from labeler_backend.server.tally import Tally
from tests.server.live import recorded

NAME = "0123abcd-1"
ABOUT = {"id": 1, "created_at": "2026-11-23T12:02:22Z"}
UID = "1.1795435342"


class Queue:
    """Notes what is put; breaks when told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, float]] = []
        self.broken = False

    def put(self, project: str, delay: float = 0.0) -> None:
        if self.broken:
            raise LabelerError("The Redis is away.")
        self.messages.append((project, delay))


class Rig:
    def __init__(self, data: Path, every: int, known: bool = True) -> None:
        self.queue = Queue()
        self.tally = Tally(data / "tally.sqlite")
        queue: Any = self.queue
        self.asking = Asking(data, lambda project: NAME if known else None, queue, self.tally, every)

    def send(self, *events: WebhookEvent) -> None:
        for event in events:
            self.asking.event(event)
        self.asking._thread.submit(lambda: None).result()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, every=3)
    yield made
    made.asking.close()


def event(action: str, **more: Any) -> WebhookEvent:
    return WebhookEvent.model_validate({"action": action, "project": ABOUT, **more})


def created(*numbers: int, cancelled: bool = False, action: str = "ANNOTATION_CREATED") -> list[WebhookEvent]:
    return [event(action, annotation={"id": n, "was_cancelled": cancelled, "task": 1}) for n in numbers]


def test_start_training_is_asked_for_soon(rig: Rig) -> None:
    rig.send(event("START_TRAINING"))
    assert rig.queue.messages == [(NAME, 1.0)]
    job = rig.asking.status(UID)
    assert job is not None
    assert (job.state, job.why) == ("queued", "Start Training")


def test_as_label_studio_sends_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, every=0)
    rig.send(WebhookEvent.model_validate(recorded("/webhook", "START_TRAINING")))
    assert rig.queue.messages == [(NAME, 1.0)]
    rig.asking.close()


@pytest.mark.parametrize(
    ("events", "left", "asked"),
    [
        pytest.param(created(1, 2), 1, False, id="too few"),
        pytest.param(created(1, 2, 3), 0, True, id="enough"),
        pytest.param(created(1, 1, 1, 1), 2, False, id="one that is submitted again"),
        pytest.param(
            [*created(1), *created(1, 2, 3, action="ANNOTATION_UPDATED")], 0, True, id="changed ones"
        ),
        pytest.param(created(1, 2, 3, cancelled=True), 3, False, id="skipped ones"),
        pytest.param(
            [event("ANNOTATIONS_CREATED", annotation=[{"id": n} for n in (1, 2, 3)])], 0, True, id="in bulk"
        ),
        pytest.param(
            [*created(1, 2), event("ANNOTATIONS_DELETED", annotations=[{"id": 1}]), *created(3)],
            1,
            False,
            id="a deleted one",
        ),
        pytest.param(
            [event("TASKS_CREATED", tasks=[{"id": n} for n in range(9)]), event("PROJECT_UPDATED")],
            3,
            False,
            id="something else",
        ),
        pytest.param(
            [event("ANNOTATION_CREATED"), event("ANNOTATION_CREATED", annotation=[None, {"id": "x"}, 7])],
            3,
            False,
            id="damaged",
        ),
        pytest.param(
            [WebhookEvent.model_validate({"action": "START_TRAINING"})], 3, False, id="of no project"
        ),
    ],
)
def test_every_so_many_annotations(rig: Rig, events: Sequence[WebhookEvent], left: int, asked: bool) -> None:
    rig.send(*events)
    assert rig.asking.left(UID) == left
    assert rig.queue.messages == ([(NAME, 10.0)] if asked else [])


def test_more_annotations_wake_nobody_twice_but_the_button_does(rig: Rig) -> None:
    rig.send(*created(*range(8)))
    assert rig.queue.messages == [(NAME, 10.0)]
    rig.send(event("START_TRAINING"))
    assert rig.queue.messages == [(NAME, 10.0), (NAME, 1.0)]


def test_zero_is_never_by_itself(tmp_path: Path) -> None:
    rig = Rig(tmp_path, every=0)
    rig.send(*created(*range(50)))
    assert rig.queue.messages == []
    assert rig.asking.left(UID) is None
    rig.asking.close()


def test_projects_are_counted_apart_and_counts_survive(tmp_path: Path) -> None:
    rig = Rig(tmp_path, every=3)
    other = {"id": 2, "created_at": ABOUT["created_at"]}
    rig.send(*created(1, 2), WebhookEvent(action="ANNOTATION_CREATED", annotation={"id": 3}, project=other))
    rig.asking.close()
    again = Rig(tmp_path, every=3)
    assert again.asking.left(UID) == 1
    again.tally.clear(UID)
    assert again.asking.left(UID) == 3
    assert again.asking.left("2.1795435342") == 2
    again.asking.close()


def test_a_project_of_nobody_knows_which_label_studio_says_so(tmp_path: Path) -> None:
    rig = Rig(tmp_path, every=3, known=False)
    rig.send(event("START_TRAINING"))
    job = rig.asking.status(UID)
    assert job is not None
    assert job.state == "failed"
    assert "Settings > Model" in job.reason
    rig.asking.close()


def test_a_queue_that_cannot_be_reached_says_so_and_works_when_it_is_back(rig: Rig) -> None:
    rig.queue.broken = True
    rig.send(event("START_TRAINING"))
    job = rig.asking.status(UID)
    assert job is not None
    assert (job.state, job.reason) == ("failed", "The Redis is away.")
    rig.queue.broken = False
    rig.send(event("START_TRAINING"))
    assert len(rig.queue.messages) == 1
    job = rig.asking.status(UID)
    assert job is not None
    assert job.state == "queued"
