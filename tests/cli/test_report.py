"""`labeler report`: which project is meant, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from labeler_backend import cli
from labeler_backend.heads.version_files import metrics_json
from labeler_backend.heads.versions import Versions
from labeler_backend.projects import project_folder, set_alias, studio_project
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.acceptance_file import FILE
from labeler_backend.server.connections import Connection, Connections
from tests.heads.made_heads import trained
from tests.server.fakes import prediction, triangle
from tests.server.test_acceptance import created
from tests.studio.fake_studio import TOKEN, running

URL = "http://127.0.0.1:8080"
UID = "1.1795428142"
NAME = studio_project(URL, 1)

Call = Callable[..., Any]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    for variable in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LABELER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LABELER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli.app, ["report", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def seen(tmp_path: Path) -> None:
    """A backend that answered two projects of one number, and saw what became of it."""
    data = tmp_path / "data"
    acceptance = Acceptance(data / FILE)
    for uid in (UID, "1.7"):
        acceptance.record_answer(uid, 1, prediction(triangle("a"), triangle("b"), version="v1-h2"))
    acceptance.record_event(UID, created(5, triangle("a"), triangle("b")))
    acceptance.close()
    connections = Connections(data / "connections.json", None, None)
    connections.remember(UID, Connection(hostname=URL + "/"))
    connections.remember("1.7", Connection(hostname="http://elsewhere:8080"))
    connections.save()
    set_alias(data, "birds", NAME)


def export(path: Path) -> Path:
    parent = {"id": 3, "model_version": "pushed", "result": [triangle("a")]}
    made = created(9, triangle("a")).model_dump()["annotation"] | {"task": 7}
    path.write_text(json.dumps([{"id": 7, "data": {}, "annotations": [made], "predictions": [parent]}]))
    return path


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("name", ["birds", NAME, UID])
def test_names_of_a_project(call: Call, name: str, tmp_path: Path) -> None:
    result = call("--project", name)
    assert result.exit_code == 0, result.output
    assert "head 2: 1 annotations, 100\u202f% accepted as they were" in result.output
    assert f"How {name} learns" in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("seen")
def test_json_and_nothing_else(call: Call, tmp_path: Path) -> None:
    found = json.loads(call("--project", "birds", "--json").stdout)
    assert [(one["head"], one["accepted"]) for one in found["versions"]] == [(2, 2)]
    assert (found["project"], found["page"], found["heads"]) == ("birds", None, [])
    assert not (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("seen")
def test_costs_of_the_environment(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELER_COSTS", '{"draw_mask": 10, "check": 1}')
    found = json.loads(call("--project", "birds", "--json").stdout)
    assert found["all"]["seconds_saved"] == pytest.approx(18)


@pytest.mark.usefixtures("seen")
def test_an_export_adds_to_it(call: Call, tmp_path: Path) -> None:
    source = str(export(tmp_path / "export.json"))
    for _ in range(2):  # twice is once
        found = json.loads(call(source, "--project", "birds", "--json").stdout)
        assert {one["version"] for one in found["versions"]} == {"v1-h2", "pushed"}
        assert found["all"]["annotations"] == 2


@pytest.mark.usefixtures("seen")
def test_heads(call: Call, tmp_path: Path) -> None:
    versions = Versions(project_folder(tmp_path / "data", NAME) / "heads")
    for better in (True, True, False):
        versions.publish(trained(better), instead_of=versions.serving())
    result = call("--project", "birds", "--json", "--out", "page.html")
    heads = json.loads(result.stdout)["heads"]
    assert [(one["number"], one["live"], one["promoted"]) for one in heads] == [
        (1, False, True),
        (2, True, True),
        (3, False, False),
    ]
    assert heads[1]["after"] == metrics_json(versions.get(2).after)
    assert "On images that no head has learned from" in (tmp_path / "page.html").read_text()
    (versions.folder / "current.json").write_text("damaged")
    again = call("--project", "birds", "--json")
    assert not any(one["live"] for one in json.loads(again.stdout)["heads"])


def test_heads_alone(call: Call, tmp_path: Path) -> None:
    """As after `labeler train` from a file."""
    Versions(project_folder(tmp_path / "data", "mine") / "heads").publish(trained(), instead_of=None)
    result = call("--project", "mine", "--out", "page.html")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 head, and no annotation is known yet")
    page = (tmp_path / "page.html").read_text()
    assert "No annotation is known yet" in page
    assert "estimated saving" not in page


def test_an_export_alone(call: Call, tmp_path: Path) -> None:
    result = call(str(export(tmp_path / "export.json")), "--project", "mine", "--out", "deep/page.html")
    assert result.exit_code == 0, result.output
    assert "pushed: 1 annotations" in result.output
    assert (tmp_path / "deep" / "page.html").exists()
    assert json.loads(call("--project", "mine", "--json").stdout)["all"]["accepted"] == 1  # it is kept


def test_a_live_project(call: Call) -> None:
    """Its predictions were pushed; the newer one came after the annotation."""
    with running() as studio:
        number = studio.add_project(created_at="2026-11-23T10:02:22.841344Z")
        (task,) = studio.add_tasks(number, {"image": "a.jpg"})
        for row, version in ((3, "v1"), (4, "v2")):
            studio.predictions.append(
                {"id": row, "task": task, "model_version": version, "result": [triangle("a")]}
            )
        made = created(9, triangle("a"), task=task).model_dump()["annotation"]
        studio.tasks[task]["annotations"] = [made]
        arguments = ("--url", studio.url, "--token", TOKEN, "--ls-project", str(number))
        result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(one["version"], one["accepted"]) for one in found["versions"]] == [("v1", 1)]
    assert found["project"] == studio_project(studio.url, number)
    again = call("--project", found["project"], "--json")
    assert again.exit_code == 0, "what Label Studio said is not found again by the project's name"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param([], "Which project?", id="no name"),
        pytest.param(["--project", "nobody"], "Nothing is known of a project nobody", id="unknown"),
        pytest.param(["--project", "../x"], "cannot be the name of a project", id="a way out"),
        pytest.param(["x.json", "--project", "a"], "x.json is no file", id="no file"),
        pytest.param(["x.json", "--ls-project", "1"], "Give either a file or --ls-project", id="both"),
        pytest.param(["--ls-project", "1"], "Where Label Studio is was not said", id="no address"),
    ],
)
def test_bad_input_is_one_line(call: Call, arguments: list[Any], sentence: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_project_in_which_nothing_was_submitted(call: Call) -> None:
    with running() as studio:
        number = studio.add_project(created_at="2026-11-23T10:02:22.841344Z")
        studio.add_tasks(number, {"image": "a.jpg"})
        result = call("--url", studio.url, "--token", TOKEN, "--ls-project", str(number))
    assert result.exit_code == 2
    assert f"Nothing has been submitted in project {number} yet" in result.stderr


@pytest.mark.usefixtures("seen")
def test_a_page_that_cannot_be_written(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call("--project", "birds", "--out", "file/page.html")
    assert result.exit_code == 2
    assert "file/page.html cannot be written" in result.stderr


def test_help_teaches(call: Call) -> None:
    assert "labeler report --project" in call("--help").stdout
