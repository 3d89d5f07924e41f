"""A whole project onto the disk: the same however often it breaks off, and whatever changes meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.studio import download as module
from labeler_backend.studio.client import Studio, StudioError
from labeler_backend.studio.download import download, studio_tasks
from tests.studio.fake_studio import CONFIG, TOKEN, FakeStudio, Hangup, Refused

ROOT = Path(__file__).parents[2]
Task = dict[str, Any]


class Stop(Exception):
    """Ctrl-C, as it were."""


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAGE", 3)
    monkeypatch.setattr(module, "WAITS", (0.0, 0.0))


@pytest.fixture
def project(fake: FakeStudio) -> int:
    """Ten tasks between those of another project, five with annotations."""
    wanted, other = fake.add_project(title="birds"), fake.add_project()
    for number in range(10):
        fake.add_tasks(wanted, {"image": f"{number}.jpg"})
        fake.add_tasks(other, {"image": "other.jpg"})
    for task in _ids(fake, wanted)[::2]:
        fake.annotate(task, [{"id": "r", "value": {}}])
        fake.predictions.append({"task": task, "model_version": "v1", "result": []})
    return wanted


def _ids(fake: FakeStudio, project: int) -> list[int]:
    return [task["id"] for task in fake.tasks.values() if task["project"] == project]


def quiet(done: int, total: int) -> None:
    """No progress to show."""


def fetched(studio: Studio, project: int, folder: Path, **more: Any) -> list[Task]:
    """All tasks of a download that ends well."""
    with download(studio, project, folder, quiet, **more) as got:
        return list(studio_tasks(got))


def break_off(studio: Studio, project: int, folder: Path, after: int) -> None:
    """Leaves the pages of the first `after` tasks."""

    def progress(done: int, total: int) -> None:
        if done >= after:
            raise Stop

    with pytest.raises(Stop):
        download(studio, project, folder, progress)


def whole(fake: FakeStudio) -> list[dict[str, str]]:
    """The requests for tasks with annotations since the last look."""
    found = [params for params in fake.asked if params.get("fields") == "all"]
    fake.asked.clear()
    return found


def test_a_project(fake: FakeStudio, studio: Studio, project: int, tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    with download(studio, project, tmp_path, lambda *one: shown.append(one)) as got:
        tasks = list(studio_tasks(got))
        assert (got.project, got.title, got.config, got.tasks) == (project, "birds", CONFIG, 10)
        assert "Lock" not in repr(got)
    assert [task["id"] for task in tasks] == _ids(fake, project)
    assert tasks[0]["annotations"] == fake.tasks[tasks[0]["id"]]["annotations"]
    assert tasks[0]["predictions"] == [{"task": tasks[0]["id"], "model_version": "v1", "result": []}]
    assert not {"drafts", "annotations_results", "predictions_results"} & set(tasks[0])
    assert shown == [(0, 10), (3, 10), (6, 10), (9, 10), (10, 10)]
    assert all(params["resolve_uri"] == "false" for params in whole(fake))
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_an_empty_project(fake: FakeStudio, studio: Studio, tmp_path: Path) -> None:
    assert fetched(studio, fake.add_project(), tmp_path) == []


def test_no_such_project(fake: FakeStudio, studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="has no project 7"):
        download(studio, 7, tmp_path, quiet)


def _annotated(fake: FakeStudio, tasks: list[int]) -> None:
    fake.annotate(tasks[1], [{"id": "new"}])


def _updated(fake: FakeStudio, tasks: list[int]) -> None:
    fake.tasks[tasks[0]]["annotations"][0]["result"] = [{"id": "moved"}]
    fake.tasks[tasks[0]]["updated_at"] = f"t{fake.tick()}"


def _skipped_instead(fake: FakeStudio, tasks: list[int]) -> None:
    fake.tasks[tasks[0]]["annotations"][0]["was_cancelled"] = True


def _predicted_in_bulk(fake: FakeStudio, tasks: list[int]) -> None:
    fake.predictions.append({"task": tasks[4], "model_version": "v1", "result": []})


def _predicted_anew(fake: FakeStudio, tasks: list[int]) -> None:
    fake.predictions[0]["model_version"] = "v2"


def _deleted(fake: FakeStudio, tasks: list[int]) -> None:
    del fake.tasks[tasks[2]]


def _page_deleted(fake: FakeStudio, tasks: list[int]) -> None:
    for task in tasks[:3]:
        del fake.tasks[task]


def _all_deleted(fake: FakeStudio, tasks: list[int]) -> None:
    for task in tasks:
        del fake.tasks[task]


def _added(fake: FakeStudio, tasks: list[int]) -> None:
    fake.add_tasks(fake.tasks[tasks[0]]["project"], {"image": "new.jpg"})


@pytest.mark.parametrize(
    ("change", "again"),
    [
        pytest.param(lambda fake, tasks: None, 0, id="nothing"),
        pytest.param(_annotated, 1, id="an annotation"),
        pytest.param(_updated, 1, id="a corrected annotation"),
        pytest.param(_skipped_instead, 1, id="a task skipped after all"),
        pytest.param(_predicted_in_bulk, 1, id="predictions in bulk"),
        pytest.param(_predicted_anew, 1, id="predictions replaced in bulk"),
        pytest.param(_deleted, 1, id="a deleted task"),
        pytest.param(_page_deleted, 1, id="a deleted page"),
        pytest.param(_all_deleted, 2, id="all deleted"),
        pytest.param(_added, 0, id="a new task"),
    ],
)
def test_what_breaks_off_goes_on_and_is_the_same(
    fake: FakeStudio,
    studio: Studio,
    project: int,
    tmp_path: Path,
    change: Callable[[FakeStudio, list[int]], None],
    again: int,
) -> None:
    break_off(studio, project, tmp_path / "a", after=6)
    last = _ids(fake, project)[5]
    change(fake, _ids(fake, project))
    whole(fake)
    resumed = fetched(studio, project, tmp_path / "a")
    requests = len(whole(fake))
    assert resumed == fetched(studio, project, tmp_path / "b")
    # The end of the project takes what a download of the rest takes; a page that changed, its range again.
    rest = sum(task > last for task in _ids(fake, project))
    assert requests <= again * 2 + -(-rest // 3) + 1
    assert again or requests == -(-rest // 3) + 1


def test_changes_at_every_break(fake: FakeStudio, studio: Studio, project: int, tmp_path: Path) -> None:
    """Broken off again and again, with all of it changing in between."""
    changes = (_annotated, _predicted_in_bulk, _deleted, _added, _updated, _predicted_anew)
    for after, change in enumerate(changes, 3):
        break_off(studio, project, tmp_path / "a", after=after)
        change(fake, _ids(fake, project))
    assert fetched(studio, project, tmp_path / "a") == fetched(studio, project, tmp_path / "b")


def test_a_writer_that_fails_leaves_a_download_that_is_checked_again(
    fake: FakeStudio, studio: Studio, project: int, tmp_path: Path
) -> None:
    with pytest.raises(Stop), download(studio, project, tmp_path, quiet):
        raise Stop
    fake.annotate(_ids(fake, project)[3], [{"id": "new"}])
    whole(fake)
    assert fetched(studio, project, tmp_path)[3]["annotations"][0]["result"] == [{"id": "new"}]
    assert len(whole(fake)) == 2  # the page that changed, and whether there are more
    fetched(studio, project, tmp_path)
    assert len(whole(fake)) == 5  # that one ended well: all anew


def test_without_resume_all_is_fetched(
    fake: FakeStudio, studio: Studio, project: int, tmp_path: Path
) -> None:
    break_off(studio, project, tmp_path, after=6)
    whole(fake)
    assert len(fetched(studio, project, tmp_path, resume=False)) == 10
    assert len(whole(fake)) == 5


@pytest.mark.parametrize("text", ["", "half a li", '{"format": 0}\n', "[]\n"])
def test_a_page_that_is_none_is_fetched_again(
    studio: Studio, project: int, tmp_path: Path, text: str
) -> None:
    break_off(studio, project, tmp_path, after=6)
    page = sorted(tmp_path.glob("*/*.jsonl"))[0]
    page.write_text(text)
    assert fetched(studio, project, tmp_path) == fetched(studio, project, tmp_path / "b")


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Hangup(), id="cut off"),
        pytest.param(Refused(504, "Gateway Timeout"), id="gateway timeout"),
        pytest.param(Refused(500, "database is locked"), id="error inside"),
    ],
)
def test_a_request_that_fails_is_sent_again_for_less(
    fake: FakeStudio,
    studio: Studio,
    project: int,
    tmp_path: Path,
    fault: Exception,
) -> None:
    failures = iter([fault, fault])

    def faults(method: str, path: str) -> None:
        if path == "/api/tasks" and (error := next(failures, None)):
            raise error

    fake.faults = faults
    assert [task["id"] for task in fetched(studio, project, tmp_path)] == _ids(fake, project)
    assert {params["page_size"] for params in whole(fake)} == {"1"}
    assert sum(path == "/api/tasks" for _, path in fake.log) == 2 + 11


def test_an_answer_that_takes_too_long_is_asked_for_again(
    fake: FakeStudio, project: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITS", (0.6, 0.6, 0.6))
    slow = iter([0.6])

    def faults(method: str, path: str) -> None:
        if path == "/api/tasks":
            time.sleep(next(slow, 0))

    fake.faults = faults
    with Studio(fake.url, TOKEN, timeout=0.3) as studio:
        assert len(fetched(studio, project, tmp_path)) == 10
    assert "1" in {params["page_size"] for params in whole(fake)}


@pytest.mark.parametrize(
    ("error", "sentence", "attempts"),
    [
        pytest.param(
            Refused(502, "Bad Gateway"), r"502.*attempt 3; what was downloaded is kept", 3, id="for good"
        ),
        pytest.param(Hangup(), r"broke off.*attempt 3; what was downloaded is kept", 3, id="cut for good"),
        pytest.param(Refused(401, "Invalid token."), r"refuses the token", 1, id="token withdrawn"),
        pytest.param(Refused(403, "No."), r"answers 403", 1, id="forbidden"),
    ],
)
def test_what_does_not_pass(
    fake: FakeStudio,
    studio: Studio,
    project: int,
    tmp_path: Path,
    error: Exception,
    sentence: str,
    attempts: int,
) -> None:
    asked: list[str] = []

    def faults(method: str, path: str) -> None:
        asked.append(path)
        if path == "/api/tasks" and asked.count(path) > 2:
            raise error

    fake.faults = faults
    with pytest.raises(StudioError, match=sentence):
        download(studio, project, tmp_path, quiet)
    assert asked.count("/api/tasks") == 2 + attempts
    fake.faults = lambda method, path: None
    whole(fake)
    assert len(fetched(studio, project, tmp_path)) == 10
    assert len(whole(fake)) == 3  # of the five, two pages were kept


def test_large_tasks_come_in_small_pages(
    fake: FakeStudio, studio: Studio, project: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_BYTES", 1)
    assert len(fetched(studio, project, tmp_path)) == 10
    assert [params["page_size"] for params in whole(fake)] == ["3"] + ["1"] * 8


def test_tasks_that_come_and_go_meanwhile_shift_no_others(
    fake: FakeStudio, studio: Studio, project: int, tmp_path: Path
) -> None:
    ids = _ids(fake, project)

    def progress(done: int, total: int) -> None:
        if done == 3:
            del fake.tasks[ids[0]], fake.tasks[ids[4]]
            fake.add_tasks(project, {"image": "new.jpg"})

    with download(studio, project, tmp_path, progress) as got:
        found = [task["id"] for task in studio_tasks(got)]
    # The first was there when it was read.
    assert found == [ids[0], *_ids(fake, project)]


def test_one_download_of_a_project_at_a_time(
    fake: FakeStudio, studio: Studio, project: int, tmp_path: Path
) -> None:
    with download(studio, project, tmp_path, quiet) as got:
        with pytest.raises(LabelerError, match=f"works on project {project} of"):
            download(studio, project, tmp_path, quiet)
        assert len(fetched(studio, project + 1, tmp_path)) == 10
        assert len(list(studio_tasks(got))) == 10


def test_a_folder_that_cannot_be_written(studio: Studio, project: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LabelerError, match=r"cannot be written .*LABELER_CACHE_DIR"):
        download(studio, project, tmp_path / "file" / "exports", quiet)


def test_what_answers_is_no_label_studio(
    fake: FakeStudio, studio: Studio, project: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "list_tasks", lambda **_: {"detail": "hello"})
    with pytest.raises(StudioError, match="not as Label Studio does"):
        download(studio, project, tmp_path, quiet)


def test_kill_9_and_on(fake: FakeStudio, studio: Studio, project: int, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from labeler_backend.studio import download as module\n"
        "from labeler_backend.studio.client import Studio\n"
        "def progress(done, total):\n    if done >= 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "url, token, project, folder = sys.argv[1:]\n"
        "module.FIRST_PAGE = 3\n"
        "module.download(Studio(url, token), int(project), Path(folder), progress)\n"
    )
    command = [sys.executable, "-c", script, fake.url, fake.token, str(project), str(tmp_path / "a")]
    done = subprocess.run(command, cwd=ROOT, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    fake.annotate(_ids(fake, project)[0], [{"id": "new"}])
    assert fetched(studio, project, tmp_path / "a") == fetched(studio, project, tmp_path / "b")


def test_a_filter_that_is_ignored_does_not_go_on_for_ever(
    studio: Studio, project: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Studio, "find", lambda *_, **__: {"total": 1, "tasks": [{"id": 1}]})
    with pytest.raises(StudioError, match="not asked for"):
        download(studio, project, tmp_path, quiet)
