from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.report.costs import CostModel
from labeler_backend.report.learning import by_version
from labeler_backend.server import acceptance_file
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.acceptance_reading import Counts
from labeler_backend.server.protocol import WebhookEvent
from labeler_backend.studio.prediction import Prediction
from tests.server.fakes import prediction, triangle
from tests.server.live import recorded

NOTHING = Counts(0, 0, 0, 0, 0, 0)
MOVED = [[2, 1], [20, 1], [20, 20]]
ELSEWHERE = [[60, 60], [80, 60], [80, 80]]


@pytest.fixture
def acceptance(tmp_path: Path) -> Iterator[Acceptance]:
    found = Acceptance(tmp_path / "data" / "acceptance.sqlite")
    yield found
    found.close()


def annotation(
    number: int, *regions: dict[str, Any], task: int = 1, minute: int = 0, **more: Any
) -> dict[str, Any]:
    moment = f"2026-11-23T10:{minute:02d}:24.386023Z"
    given = {
        "id": number,
        "task": task,
        "result": list(regions),
        "was_cancelled": False,
        "parent_prediction": 3,
        "lead_time": 12.5,
    }
    return given | {"created_at": "2026-11-23T10:00:24Z", "updated_at": moment} | more


def event(action: str, **fields: Any) -> WebhookEvent:
    return WebhookEvent.model_validate({"action": action, **fields})


def created(number: int, *regions: dict[str, Any], **more: Any) -> WebhookEvent:
    return event("ANNOTATION_CREATED", annotation=annotation(number, *regions, **more), project={"id": 1})


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        pytest.param([], Counts(1, 0, 0, 0, 0, 0), id="only answered"),
        pytest.param([created(5, triangle("a"), triangle("b"))], Counts(1, 1, 2, 0, 0, 0), id="accepted"),
        pytest.param(
            [created(5, triangle("a", points=MOVED), triangle("z", points=ELSEWHERE))],
            Counts(1, 1, 0, 1, 1, 1),
            id="all else",
        ),
        pytest.param(
            [created(5, triangle("a"), triangle("b"), parent_prediction=None)],
            Counts(1, 1, 2, 0, 0, 0),
            id="no parent named",
        ),
        pytest.param([created(5, triangle("a"))] * 3, Counts(1, 1, 1, 0, 1, 0), id="said three times"),
        pytest.param(
            [created(5, triangle("a")), event("ANNOTATION_UPDATED", annotation=annotation(5, minute=1))],
            Counts(1, 1, 0, 0, 2, 0),
            id="updated",
        ),
        pytest.param(
            [event("ANNOTATION_UPDATED", annotation=annotation(5, minute=1)), created(5, triangle("a"))],
            Counts(1, 1, 0, 0, 2, 0),
            id="update came first",
        ),
        pytest.param([created(5, triangle("a"), was_cancelled=True)], Counts(1, 0, 0, 0, 0, 0), id="skipped"),
        pytest.param(
            [
                created(5, triangle("a")),
                event("ANNOTATION_UPDATED", annotation=annotation(5, minute=1, was_cancelled=True)),
            ],
            Counts(1, 0, 0, 0, 0, 0),
            id="skipped later",
        ),
        pytest.param(
            [created(5, triangle("a")), created(6, triangle("a"), triangle("b"))],
            Counts(1, 1, 3, 0, 1, 0),
            id="two annotators",
        ),
        pytest.param(
            [created(5, triangle("a")), event("ANNOTATIONS_DELETED", annotations=[{"id": 5}])],
            Counts(1, 0, 0, 0, 0, 0),
            id="deleted",
        ),
        pytest.param(
            [event("ANNOTATIONS_DELETED", annotations=[{"id": 5}]), created(5, triangle("a"))],
            Counts(1, 0, 0, 0, 0, 0),
            id="deletion came first",
        ),
        pytest.param(
            [
                event("ANNOTATIONS_DELETED", annotations=[{"id": 5}]),
                created(5, triangle("a"), created_at="2999-01-01T00:00:00Z"),
            ],
            Counts(1, 1, 1, 0, 1, 0),
            id="number used again",
        ),
        pytest.param(
            [created(5, triangle("a")), event("TASKS_DELETED", tasks=[{"id": 1}]), created(6, triangle("a"))],
            NOTHING,
            id="task deleted",
        ),
        pytest.param(
            [event("ANNOTATIONS_CREATED", annotation=[annotation(5, triangle("a")), annotation(6)], task=[])],
            Counts(1, 1, 1, 0, 3, 0),
            id="several at once",
        ),
        pytest.param([created(5, triangle("a"), task=None)], Counts(1, 0, 0, 0, 0, 0), id="no task named"),
        pytest.param(
            [event("ANNOTATION_CREATED", annotation=annotation(5, task=None), task={"id": 1})],  # type: ignore[arg-type]
            Counts(1, 1, 0, 0, 2, 0),
            id="task named beside it",
        ),
        pytest.param(
            [created(5, triangle("q"), task=2)],
            Counts(1, 1, 0, 0, 0, 0),
            id="predictions of others: not drawn",
        ),
        pytest.param(
            [created(5, triangle("q"), task=2, parent_prediction=None)],
            Counts(1, 1, 0, 0, 0, 1),
            id="a task that nobody predicted",
        ),
    ],
)
def test_events(events: list[WebhookEvent], counts: Counts, acceptance: Acceptance) -> None:
    acceptance.record_answer("1", 1, prediction(triangle("a"), triangle("b")))
    for one in events:
        acceptance.record_event("1", one)
    assert acceptance.counts("1") == counts


@pytest.mark.parametrize(
    "odd",
    [
        event("START_TRAINING", project={"id": 1}),
        event("LABEL_LINK_CREATED"),
        event("ANNOTATION_CREATED"),
        event("ANNOTATION_CREATED", annotation="x"),
        event("ANNOTATION_CREATED", annotation={"id": "5", "task": 1}),
        event("ANNOTATION_CREATED", annotation={"id": 2**70, "task": 1}),
        event("ANNOTATION_CREATED", annotation={"id": True, "task": 1}),
        event("ANNOTATIONS_CREATED", annotation=[None, 3]),
        event("ANNOTATIONS_DELETED", annotations=[{"id": None}, {}, 4]),
        event("TASKS_DELETED", tasks={"id": "x"}),
    ],
)
def test_odd_events_change_nothing(odd: WebhookEvent, acceptance: Acceptance) -> None:
    acceptance.record_event("1", odd)
    assert acceptance.counts("1") == NOTHING


@pytest.mark.parametrize("result", [None, "x", [None], [{"id": []}], {"a": 1}])
def test_odd_result_is_an_annotation_without_regions(result: Any, acceptance: Acceptance) -> None:
    acceptance.record_event("1", created(5, result=result, updated_at="soon"))
    assert acceptance.counts("1") == Counts(0, 1, 0, 0, 0, 0)


def test_what_label_studio_sends(acceptance: Acceptance) -> None:
    """Recorded: one drawn by hand and updated; one skipped, deleted; predictions made annotations."""
    answered = recorded("/webhook", "ANNOTATIONS_CREATED")["annotation"]
    for one in answered:
        sent = Prediction(result=one["result"], score=0.87, model_version="rec-1")
        acceptance.record_answer("9", one["task"], sent)
    for action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "PROJECT_UPDATED"):
        acceptance.record_event("1", WebhookEvent.model_validate(recorded("/webhook", action)))
    assert acceptance.counts("1") == Counts(0, 1, 0, 0, 0, 1)
    bulk = WebhookEvent.model_validate(recorded("/webhook", "ANNOTATIONS_CREATED"))
    acceptance.record_event("9", bulk)
    assert acceptance.counts("9") == Counts(3, 3, 3, 0, 0, 0)
    assert acceptance.projects() == ["1", "9"]


def test_projects_do_not_meet(acceptance: Acceptance) -> None:
    acceptance.record_answer("a.1", 1, prediction(triangle("a")))
    acceptance.record_event("b.1", created(5, triangle("a"), parent_prediction=None))
    acceptance.forget("b.1", tasks=[1])
    assert acceptance.counts("a.1") == Counts(1, 0, 0, 0, 0, 0)
    assert acceptance.counts("b.1") == NOTHING


def test_annotator_who_began_with_an_older_version(acceptance: Acceptance) -> None:
    acceptance.record_answer("1", 1, prediction(triangle("a"), triangle("b"), version="v1"))
    acceptance.record_answer("1", 1, prediction(triangle("c"), version="v2"))
    acceptance.record_event("1", created(5, triangle("a")))
    assert acceptance.counts("1") == Counts(1, 1, 1, 0, 1, 0)


def test_same_version_again_replaces_its_answer(acceptance: Acceptance) -> None:
    acceptance.record_answer("1", 1, prediction(triangle("a"), triangle("b")))
    acceptance.record_answer("1", 1, prediction(triangle("a", points=MOVED)))
    acceptance.record_event("1", created(5, triangle("a", points=MOVED)))
    assert acceptance.counts("1") == Counts(1, 1, 1, 0, 0, 0)


def test_only_the_last_versions_are_kept(acceptance: Acceptance) -> None:
    for number in range(6):
        acceptance.record_answer("1", 1, prediction(triangle(f"r{number}"), version=f"v{number}"))
    acceptance.record_event("1", created(5, triangle("r2", points=ELSEWHERE)))
    acceptance.record_event("1", created(6, triangle("r3")))
    assert acceptance.counts("1") == Counts(1, 1, 1, 0, 1, 1)


def test_clicks_add_to_what_was_answered(acceptance: Acceptance) -> None:
    acceptance.record_answer("1", 1, prediction(triangle("a")))
    acceptance.record_answer("1", 1, prediction(triangle("k")), clicked=True)
    acceptance.record_answer("1", 1, prediction(triangle("k", points=MOVED)), clicked=True)
    acceptance.record_answer("1", 1, prediction(triangle("never taken")), clicked=True)
    acceptance.record_event("1", created(5, triangle("a"), triangle("k")))
    assert acceptance.counts("1") == Counts(1, 1, 2, 0, 0, 0)


def test_threads_do_not_lose_counts(acceptance: Acceptance) -> None:
    def work(first: int) -> None:
        for number in range(first, first + 20):
            acceptance.record_answer("1", number, prediction(triangle("a")))
            acceptance.record_event("1", created(number, triangle("a"), task=number))
            acceptance.counts("1")

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert acceptance.counts("1") == Counts(120, 120, 120, 0, 0, 0)


def test_two_processes_share_the_file(tmp_path: Path) -> None:
    one, other = (Acceptance(tmp_path / "a.sqlite") for _ in range(2))
    one.record_answer("1", 1, prediction(triangle("a")))
    other.record_event("1", created(5, triangle("a")))
    assert one.counts("1") == Counts(1, 1, 1, 0, 0, 0)


def test_what_was_recorded_survives_kill(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from labeler_backend.server.acceptance import Acceptance
from tests.server.fakes import prediction, triangle
acceptance = Acceptance(Path(sys.argv[1]))
for number in range(100_000):
    acceptance.record_answer("1", number, prediction(triangle("a")))
    print(number, flush=True)
"""
    root = Path(__file__).parents[2]
    running = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a.sqlite")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    for _ in range(50):
        running.stdout.readline()
    running.send_signal(signal.SIGKILL)
    said = 50 + len(running.stdout.read().split())
    running.wait()
    again = Acceptance(tmp_path / "a.sqlite")
    assert said <= again.counts("1").predicted_tasks <= said + 1
    again.record_answer("1", 10**6, prediction(triangle("a")))


def test_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(LabelerError, match="move it away"):
        Acceptance(path)


def test_trouble_with_the_file_costs_no_answer(
    acceptance: Acceptance, caplog: pytest.LogCaptureFixture
) -> None:
    acceptance.close()
    acceptance.record_answer("1", 1, prediction(triangle("a")))
    acceptance.record_event("1", created(5, triangle("a")))
    assert "could not be written down" in caplog.text


def test_failure_within_leaves_nothing_behind(
    acceptance: Acceptance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("labeler_backend.server.acceptance_matching.compare", broken)
        with pytest.raises(ValueError, match="broken"):
            acceptance.record_event("1", created(5, triangle("a"), parent_prediction=None))
    acceptance.record_event("1", created(5, triangle("a"), parent_prediction=None))
    assert acceptance.counts("1") == Counts(0, 1, 0, 0, 0, 1)


def test_answer_is_recorded_in_a_moment(acceptance: Acceptance) -> None:
    regions = [triangle(f"r{n}", points=[[n + k / 9, k] for k in range(60)]) for n in range(20)]
    begun = time.perf_counter()
    for task in range(50):
        acceptance.record_answer("1", task, prediction(*regions))
    assert (time.perf_counter() - begun) / 50 < 0.05


def old_file(path: Path) -> None:
    """As version 0.1 made and filled it."""
    db = sqlite3.connect(path)
    db.executescript(_OLD)
    value = [["a", "polygonlabels", ["car"], [1, 1, 20, 1, 20, 20], None, [0, 0]]]
    packed = zlib.compress(json.dumps(value).encode())
    db.execute("INSERT INTO answers VALUES ('1', 1, 'v0', 0, 5.0, ?)", (packed,))
    db.execute("INSERT INTO annotations VALUES ('1', 5, 1, 7.0, 1, 3, 2, 1, 4)")
    db.execute("INSERT INTO annotations VALUES ('1', 6, 2, 7.0, 0, 0, 0, 0, 0)")
    db.execute("INSERT INTO forgotten VALUES ('1', 'annotation', 8, ?)", (time.time(),))
    db.commit()
    db.close()


_OLD = """
CREATE TABLE answers (project TEXT NOT NULL, task INTEGER NOT NULL, version TEXT NOT NULL,
    clicked INTEGER NOT NULL, at REAL NOT NULL, shapes BLOB NOT NULL,
    PRIMARY KEY (project, task, version, clicked));
CREATE TABLE annotations (project TEXT NOT NULL, id INTEGER NOT NULL, task INTEGER NOT NULL,
    updated REAL NOT NULL, counted INTEGER NOT NULL, accepted INTEGER NOT NULL, edited INTEGER NOT NULL,
    rejected INTEGER NOT NULL, drawn INTEGER NOT NULL, PRIMARY KEY (project, id));
CREATE INDEX by_task ON annotations (project, task);
CREATE TABLE forgotten (project TEXT NOT NULL, kind TEXT NOT NULL, id INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (project, kind, id));
"""


class TestOldFile:
    """A file of version 0.1."""

    def test_nothing_is_lost(self, tmp_path: Path) -> None:
        old_file(tmp_path / "a.sqlite")
        for _ in range(2):  # the second finds it up to date
            acceptance = Acceptance(tmp_path / "a.sqlite")
            assert acceptance.counts("1") == Counts(1, 1, 3, 2, 1, 4)
            (old,) = acceptance.submissions("1")
            assert (old.version, [(fate.outcome, fate.count) for fate in old.fates]) == (
                None,
                [("accepted", 3), ("edited", 2), ("rejected", 1), ("drawn", 4)],
            )
            assert acceptance.summaries("1") == [old]
            acceptance.close()

    def test_goes_on(self, tmp_path: Path) -> None:
        old_file(tmp_path / "a.sqlite")
        acceptance = Acceptance(tmp_path / "a.sqlite")
        acceptance.record_event("1", created(5, triangle("a")))
        acceptance.record_event("1", created(8, triangle("a"), created_at="2020-01-01T00:00:00Z"))
        assert acceptance.counts("1") == Counts(1, 1, 1, 0, 0, 0)
        assert [one.version for one in acceptance.submissions("1")] == ["v0"]

    def test_opened_by_many_at_once(self, tmp_path: Path) -> None:
        old_file(tmp_path / "a.sqlite")
        with ThreadPoolExecutor(8) as pool:
            opened = list(pool.map(lambda _: Acceptance(tmp_path / "a.sqlite"), range(8)))
        assert [one.counts("1").accepted for one in opened] == [3] * 8

    def test_killed_in_between_it_is_as_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        old_file(tmp_path / "a.sqlite")
        with monkeypatch.context() as patched:
            broken = acceptance_file._REGIONS.replace("CREATE INDEX regions_of", "NONSENSE")
            patched.setattr(acceptance_file, "_REGIONS", broken)
            with pytest.raises(LabelerError):
                Acceptance(tmp_path / "a.sqlite")
        assert Acceptance(tmp_path / "a.sqlite").counts("1").accepted == 3


class TestVersions:
    """Which version an annotation began with."""

    def versions(self, acceptance: Acceptance) -> list[str | None]:
        return [one.version for one in acceptance.submissions("1")]

    def test_stays_when_a_later_one_fits_better(self, acceptance: Acceptance) -> None:
        acceptance.record_answer("1", 1, prediction(triangle("a"), version="v1"))
        acceptance.record_event("1", created(5, triangle("a")))
        acceptance.record_answer("1", 1, prediction(triangle("a", points=MOVED), version="v2"))
        acceptance.record_event("1", created(5, triangle("a", points=MOVED), minute=1))
        assert self.versions(acceptance) == ["v1"]
        assert acceptance.counts("1") == Counts(1, 1, 0, 1, 0, 0)

    def test_an_answer_that_somebody_began_with_is_kept(self, acceptance: Acceptance) -> None:
        acceptance.record_answer("1", 1, prediction(triangle("a"), version="v0"))
        acceptance.record_event("1", created(5, triangle("a")))
        for number in range(1, 9):
            acceptance.record_answer("1", 1, prediction(version=f"v{number}"))
        acceptance.record_event("1", created(5, triangle("a"), minute=1))
        assert self.versions(acceptance) == ["v0"]

    @pytest.mark.parametrize(
        ("more", "version"),
        [
            pytest.param({"parent_prediction": None}, "", id="with none"),
            pytest.param({"task": 2}, None, id="with one that nobody here knows"),
        ],
    )
    def test_none(self, acceptance: Acceptance, more: dict[str, Any], version: str | None) -> None:
        acceptance.record_answer("1", 1, prediction(triangle("a"), version="v1"))
        acceptance.record_event("1", created(5, triangle("z", points=ELSEWHERE), **more))
        assert self.versions(acceptance) == [version]

    def test_bulk(self, acceptance: Acceptance) -> None:
        acceptance.record_answer("1", 1, prediction(triangle("a")))
        acceptance.record_event("1", created(5, triangle("a"), lead_time=None))
        acceptance.record_event("1", created(6, triangle("a"), lead_time=9))
        assert [(one.bulk, one.seconds) for one in acceptance.submissions("1")] == [
            (True, None),
            (False, 9.0),
        ]
        assert sorted(one.bulk for one in acceptance.summaries("1")) == [False, True]

    def test_summaries_say_the_same(self, acceptance: Acceptance) -> None:
        for task in range(1, 12):
            acceptance.record_answer(
                "1", task, prediction(triangle("a"), triangle("b"), version=f"v{task % 3}")
            )
            shape = MOVED if task % 2 else None
            region = triangle("a", label="bus" if task % 4 else "car", points=shape)
            acceptance.record_event("1", created(task, region, task=task))
        one, other = (
            by_version(found, CostModel())
            for found in (acceptance.submissions("1"), acceptance.summaries("1"))
        )
        assert one.keys() == other.keys()
        for version, sums in one.items():
            assert sums.outcomes == other[version].outcomes
            assert sums.relabelled == other[version].relabelled
            assert sums.mean_iou == pytest.approx(other[version].mean_iou)
            assert sums.saved == pytest.approx(other[version].saved)


class TestExport:
    """What an export of Label Studio says, which knows which prediction was whose parent."""

    def task(self, *annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
        predictions = [
            {"id": 3, "model_version": "v1", "result": [triangle("a")]},
            {"id": 4, "model_version": "v2", "result": [triangle("a")]},
        ]
        return {"id": 1, "annotations": list(annotations), "predictions": predictions} | more

    def test_says_the_version_for_certain(self, acceptance: Acceptance) -> None:
        for version in ("v1", "v2"):
            acceptance.record_answer("1", 1, prediction(triangle("a"), version=version))
        acceptance.record_event("1", created(5, triangle("a")))
        assert [one.version for one in acceptance.submissions("1")] == ["v2"]  # both fit: the newest
        assert acceptance.record_tasks("1", [self.task(annotation(5, triangle("a")))]) == 1
        assert [one.version for one in acceptance.submissions("1")] == ["v1"]
        acceptance.record_event("1", created(5, triangle("a"), minute=1))
        assert [one.version for one in acceptance.submissions("1")] == ["v1"]

    def test_does_without_a_backend(self, acceptance: Acceptance) -> None:
        acceptance.record_tasks("1", [self.task(annotation(5, triangle("a", points=MOVED)))])
        assert acceptance.counts("1") == Counts(1, 1, 0, 1, 0, 0)

    def test_is_older_than_what_is_known(self, acceptance: Acceptance) -> None:
        acceptance.record_event("1", created(5, minute=9))
        acceptance.record_tasks("1", [self.task(annotation(5, triangle("a")))])
        assert acceptance.counts("1").accepted == 0

    @pytest.mark.parametrize(
        "odd",
        [
            {},
            {"id": "x"},
            {"id": 1, "annotations": None, "predictions": [3]},
            {"id": 1, "annotations": [{"id": 5, "parent_prediction": [3]}], "predictions": [{"id": 3}]},
            {
                "id": 1,
                "annotations": [{"id": 5, "parent_prediction": 3, "lead_time": "x"}],
                "predictions": [{"id": 3}],
            },
        ],
    )
    def test_odd_tasks_do_no_harm(self, odd: dict[str, Any], acceptance: Acceptance) -> None:
        acceptance.record_tasks("1", [odd])
        assert acceptance.counts("1").accepted == 0
