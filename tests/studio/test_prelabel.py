"""Predictions pushed without a backend: each task once, whatever breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.batch.state import Counts
from labeler_backend.batch.types import Options
from labeler_backend.errors import LabelerError
from labeler_backend.store import Store
from labeler_backend.studio import prelabel as module
from labeler_backend.studio.client import Studio, StudioError
from labeler_backend.studio.config import read_config
from labeler_backend.studio.labeling import labeling_config
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.media.types import MediaPolicy
from labeler_backend.studio.prelabel import Summary, alone, chunks, plan, prelabel
from tests.batch.conftest import write_pictures
from tests.batch.fakes import OtsuProposer
from tests.studio.fake_studio import CONFIG, TOKEN, FakeStudio, Hangup, Refused

VERSION = "otsu-1"


@pytest.fixture
def project(fake: FakeStudio, tmp_path: Path) -> int:
    """Seven tasks, and seven pictures that the fake serves."""
    for path in write_pictures(tmp_path / "in", 7):
        fake.files[f"/data/upload/1/{path.name}"] = path.read_bytes()
    number = fake.add_project()
    fake.add_tasks(number, *({"image": f"/data/upload/1/{n:04d}.jpg"} for n in range(7)))
    return number


@pytest.fixture
def run(studio: Studio, tmp_path: Path) -> Callable[..., Summary]:
    """One run, the pictures through the real media store."""

    def call(project: int, proposer: Any = None, **more: Any) -> Summary:
        media = MediaStore(Store(tmp_path / "media", 10**8, ".media"), MediaPolicy())
        options = Options(overlays=False, batch_size=3, workers=2)
        found = plan(studio, project, VERSION, more.pop("max_proposals", None), more.pop("min_score", None))
        return prelabel(studio, found, proposer or OtsuProposer(), media, options=options, **more)

    return call


def once_each(fake: FakeStudio, tasks: Sequence[int] = range(1, 8)) -> None:
    """Each task has one prediction of this version, and nothing else has any."""
    assert sorted(made["task"] for made in fake.predictions if made["model_version"] == VERSION) == list(
        tasks
    )


def test_each_task_gets_a_valid_prediction(fake: FakeStudio, project: int, run: Any) -> None:
    summary = run(project)
    once_each(fake)
    config = read_config(CONFIG)
    for made in fake.predictions:
        assert made["result"]
        assert config.validate(made) == []
    assert (summary.tasks, summary.before, summary.pushed, summary.failures) == (7, 0, 7, ())
    assert summary.proposals == sum(len(made["result"]) for made in fake.predictions)


def test_the_least_certain_first_when_all_are_made(fake: FakeStudio, project: int, run: Any) -> None:
    chunk: list[int] = []
    fake.after = lambda method, path: chunk.append(len(fake.predictions)) if "predictions" in path else None
    summary = run(project, uncertain_first=True)
    once_each(fake)
    scores = [made["score"] for made in fake.predictions]
    assert scores == sorted(scores)
    assert len(set(scores)) > 1
    assert (summary.pushed, chunk) == (7, [7])
    assert run(project, uncertain_first=True).pushed == 0


def test_regions_lie_where_the_proposals_are(fake: FakeStudio, project: int, run: Any) -> None:
    run(project, max_proposals=1)
    sizes = {made["task"]: made["result"][0] for made in fake.predictions}
    for task, region in sizes.items():
        # Pictures are landscape and portrait in turn: a mix-up of tasks would show.
        portrait = region["original_height"] > region["original_width"]
        assert portrait == (task % 2 == 1)


def test_again_does_nothing(fake: FakeStudio, project: int, run: Any) -> None:
    run(project)
    fake.log.clear()
    again = run(project)
    assert (again.before, again.pushed) == (7, 0)
    assert fake.changes() == []


def test_tasks_that_were_added_follow(fake: FakeStudio, project: int, run: Any) -> None:
    run(project)
    fake.add_tasks(project, {"image": "/data/upload/1/0003.jpg"})
    assert run(project).pushed == 1
    once_each(fake, range(1, 9))


def test_other_versions_do_not_count(fake: FakeStudio, project: int, run: Any) -> None:
    fake.predictions = [
        {"task": 1, "model_version": "otsu-10", "result": []},
        {"task": 2, "model_version": "other", "result": []},
        {"task": 3, "model_version": VERSION, "result": []},
    ]
    assert run(project).pushed == 6
    once_each(fake)


def test_one_task_costs_only_itself(fake: FakeStudio, project: int, run: Any) -> None:
    fake.files["/data/upload/1/broken.jpg"] = b"no picture"
    fake.add_tasks(
        project,
        {"image": "/data/upload/1/gone.jpg"},
        {"image": "/data/upload/1/broken.jpg"},
        {"text": "no picture"},
        {"image": "http://169.254.169.254/latest/meta-data"},
    )
    summary = run(project)
    once_each(fake)
    reasons = {failure.task: failure.reason for failure in summary.failures}
    assert sorted(reasons) == [8, 9, 10, 11]
    assert "404" in reasons[8]
    assert "/data/upload/1/broken.jpg is not an image" in reasons[9]
    assert "'image'" in reasons[10]
    assert all(
        failure.link == f"{fake.url}/projects/1/data?task={failure.task}" for failure in summary.failures
    )
    assert TOKEN not in str(summary)


def test_all_pages_of_a_task_go_into_one_prediction(fake: FakeStudio, project: int, run: Any) -> None:
    config = CONFIG.replace('value="$image"', 'valueList="$pages"')
    number = fake.add_project(config)
    pages = [f"/data/upload/1/{n:04d}.jpg" for n in (3, 4, 5)]
    (good, bad) = fake.add_tasks(number, {"pages": pages}, {"pages": [*pages, "/data/upload/1/gone.jpg"]})
    summary = run(number)
    (made,) = fake.predictions
    assert made["task"] == good
    order = [region["item_index"] for region in made["result"]]
    assert sorted(set(order)) == [0, 1, 2]
    for region in made["result"]:
        assert (region["original_height"] > region["original_width"]) == (region["item_index"] == 1)
    assert [failure.task for failure in summary.failures] == [bad]


def test_a_task_somebody_else_was_quicker_with(fake: FakeStudio, project: int, run: Any) -> None:
    proposer = OtsuProposer()
    propose = proposer.propose

    def meanwhile(image: Any, features: Any) -> Any:
        with fake.lock:
            if not fake.predictions:
                fake.predictions.append({"task": 4, "model_version": VERSION, "result": []})
        return propose(image, features)

    proposer.propose = meanwhile  # type: ignore[method-assign]
    summary = run(project, proposer)
    once_each(fake)
    assert (summary.pushed, summary.elsewhere) == (6, 1)


def test_limits_of_the_config_and_of_the_caller(fake: FakeStudio, project: int, run: Any) -> None:
    limits = 'model_max_proposals="1" model_overlap="1" smart='
    fake.projects[project]["label_config"] = CONFIG.replace("smart=", limits)
    few = run(project, min_score=0.0).proposals
    fake.predictions.clear()
    assert run(project, max_proposals=5, min_score=0.0).proposals > few >= 7
    fake.predictions.clear()
    run(project, min_score=1.0)
    assert [made["result"] for made in fake.predictions] == [[]] * 7


class TestPushing:
    """What the network does to a push."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_WAIT", 0.01)
        monkeypatch.setattr(module, "CHUNK", 3)

    def imports(self, times: int, what: Exception) -> Callable[[str, str], None]:
        """Fails the first pushes."""
        left = [what] * times

        def fail(method: str, path: str) -> None:
            if path.endswith("/import/predictions") and left:
                raise left.pop()

        return fail

    def test_a_cut_after_it_was_stored_doubles_nothing(
        self, fake: FakeStudio, project: int, run: Any
    ) -> None:
        fake.after = self.imports(1, Hangup())
        with pytest.raises(StudioError, match="run it again to go on"):
            run(project)
        stored = len(fake.predictions)
        assert stored == 3
        run(project)
        once_each(fake)

    def test_a_cut_before_it_was_stored_loses_nothing(self, fake: FakeStudio, project: int, run: Any) -> None:
        fake.faults = self.imports(1, Hangup())
        with pytest.raises(StudioError):
            run(project)
        run(project)
        once_each(fake)

    def test_busy_is_tried_again(self, fake: FakeStudio, project: int, run: Any) -> None:
        fake.faults = self.imports(2, Refused(503, "busy"))
        assert run(project).pushed == 7
        once_each(fake)

    def test_busy_for_ever_is_the_end(self, fake: FakeStudio, project: int, run: Any) -> None:
        fake.faults = self.imports(99, Refused(503, "busy"))
        with pytest.raises(StudioError, match=r"busy \(0 predictions are pushed and kept"):
            run(project)

    def test_a_task_deleted_meanwhile(self, fake: FakeStudio, project: int, run: Any) -> None:
        proposer = OtsuProposer()
        encode = proposer.encode

        def meanwhile(images: Any) -> Any:
            with fake.lock:
                fake.tasks.pop(2, None)
            return encode(images)

        proposer.encode = meanwhile  # type: ignore[method-assign]
        summary = run(project, proposer)
        once_each(fake, [1, 3, 4, 5, 6, 7])
        assert [failure.task for failure in summary.failures] == [2]


def test_stopping_keeps_what_has_begun(fake: FakeStudio, project: int, run: Any) -> None:
    stop = threading.Event()
    proposer = OtsuProposer()
    encode = proposer.encode

    def first(images: Any) -> Any:
        stop.set()
        return encode(images)

    proposer.encode = first  # type: ignore[method-assign]
    summary = run(project, proposer, stopped=stop.is_set)
    assert summary.stopped
    assert 0 < summary.pushed < 7
    assert len(fake.predictions) == summary.pushed
    run(project)
    once_each(fake)


def test_progress_ends_where_it_should(fake: FakeStudio, project: int, run: Any) -> None:
    fake.add_tasks(project, {"image": "/data/upload/1/gone.jpg"})
    fake.predictions = [{"task": 1, "model_version": VERSION, "result": []}]
    seen: list[Counts] = []
    run(project, progress=seen.append)
    assert {counts.images for counts in seen} == {7}
    assert (seen[-1].done, seen[-1].failed, seen[-1].pending) == (6, 1, 0)


def test_a_config_that_asks_for_nothing(fake: FakeStudio, studio: Studio) -> None:
    number = fake.add_project('<View><Image name="i" value="$i"/></View>')
    with pytest.raises(LabelerError, match=f"config of project {number} asks for nothing"):
        plan(studio, number, VERSION)


def test_videos_are_for_a_connected_backend(fake: FakeStudio, studio: Studio) -> None:
    number = fake.add_project(labeling_config(["car"], "video"))
    with pytest.raises(LabelerError, match=f"Project {number} labels videos, .* run labeler serve"):
        plan(studio, number, VERSION)


def test_two_runs_at_once(studio: Studio, tmp_path: Path) -> None:
    with alone(tmp_path, studio, 1), alone(tmp_path, studio, 2):
        again = alone(tmp_path, studio, 1)
        with pytest.raises(LabelerError, match="Another labeler prelabel works on project 1"):
            again.__enter__()
    with alone(tmp_path, studio, 1):
        pass


@pytest.mark.parametrize(
    ("count", "size", "expected"), [(0, 3, []), (3, 3, [3]), (7, 3, [3, 3, 1]), (2, 3, [2])]
)
def test_chunks_by_number(count: int, size: int, expected: list[int]) -> None:
    assert [len(group) for group in chunks(range(count), size, 60.0)] == expected


def test_chunks_by_time() -> None:
    assert [len(group) for group in chunks(range(3), 10, 0.0)] == [1, 1, 1]
