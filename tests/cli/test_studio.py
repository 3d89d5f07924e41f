"""The commands that talk to Label Studio: what they print, and how they end."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from labeler_backend import cli
from labeler_backend.cli import loading
from labeler_backend.heads.versions import Versions
from labeler_backend.projects import project_folder, set_alias, studio_project
from labeler_backend.studio.labeling import labeling_config
from labeler_backend.studio.version import model_version
from tests.batch.conftest import write_pictures
from tests.batch.fakes import OtsuProposer
from tests.heads.made_heads import trained
from tests.studio.fake_studio import CONFIG, TOKEN, Backend, FakeStudio, running

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:9"
STUDIO_COMMANDS = ("config", "connect", "doctor", "prelabel", "serve", "up")


@pytest.fixture
def fake() -> Iterator[FakeStudio]:
    """A Label Studio with one project and a backend that can be connected."""
    with running() as studio:
        studio.backends[URL] = Backend("v1")
        studio.add_project()
        yield studio


@pytest.fixture
def call(fake: FakeStudio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command, with address and token from the environment and folders of its own."""
    monkeypatch.setenv("LABEL_STUDIO_URL", fake.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    monkeypatch.setenv("LABELER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LABELER_CACHE_DIR", str(tmp_path / "cache"))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200"})

    return run


@pytest.mark.parametrize("command", STUDIO_COMMANDS)
def test_help_teaches(call: Any, command: str) -> None:
    text = call(command, "--help").stdout
    assert f"labeler {command}" in text  # an example
    assert "--json" in text


class TestConfig:
    """`labeler config`."""

    def test_xml(self, call: Any) -> None:
        result = call("config", "--labels", "cat, dog", "--kind", "brush")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == labeling_config(["cat", "dog"], "brush")

    def test_json(self, call: Any) -> None:
        found = json.loads(call("config", "--labels", "cat", "--json").stdout)
        assert found == {
            "kind": "polygon",
            "labels": ["cat"],
            "label_config": labeling_config(["cat"], "polygon"),
        }

    @pytest.mark.parametrize("labels", ["", "a,", "a,a"])
    def test_bad_labels(self, call: Any, labels: str) -> None:
        one_line(call("config", "--labels", labels))


class TestConnect:
    """`labeler connect`."""

    def test_says_what_it_did(self, call: Any, fake: FakeStudio) -> None:
        arguments = ("connect", "--ls-project", "1", "--backend", URL, "--labels", "cat,dog")
        first = call(*arguments)
        assert first.exit_code == 0, first.stderr
        assert "Applied the labelling config.\nConnected" in first.stdout
        assert f"answers for {fake.url}/projects/1/data as v1." in first.stdout
        again = call(*arguments)
        assert again.stdout.startswith("Everything was right already.")

    def test_json(self, call: Any) -> None:
        result = call("connect", "--ls-project", "1", "--backend", URL, "--no-interactive", "--json")
        found = json.loads(result.stdout)
        assert (found["project"], found["model_version"], found["interactive"]) == (1, "v1", False)

    def test_the_login_of_the_environment(
        self, call: Any, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake.backends[URL].login = "me:secret"
        monkeypatch.setenv("LABELER_BASIC_AUTH_USER", "me")
        monkeypatch.setenv("LABELER_BASIC_AUTH_PASS", "secret")
        result = call("connect", "--ls-project", "1", "--backend", URL)
        assert result.exit_code == 0, result.stderr
        assert "secret" not in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("--backend", URL), "--ls-project is missing"),
            (("--backend", "9090", "--ls-project", "1"), "is no address of a backend"),
            (("--backend", URL, "--ls-project", "2"), "has no project 2"),
            (("--backend", URL, "--ls-project", "1", "--token", "x" * 40), "refuses the token"),
            (("--backend", URL, "--ls-project", "1", "--token", ""), "No token"),
            (("--backend", URL, "--ls-project", "1", "--url", "ftp://a"), "is no address of a server"),
            (("--backend", URL, "--ls-project", "1", "--basic-auth", "me"), "--basic-auth needs"),
            (("--backend", URL, "--ls-project", "1", "--labels", ""), "No labels"),
        ],
    )
    def test_bad_input(self, call: Any, arguments: tuple[str, ...], sentence: str) -> None:
        assert sentence in one_line(call("connect", *arguments))


class TestDoctor:
    """`labeler doctor`."""

    def test_wrong(self, call: Any, fake: FakeStudio) -> None:
        result = call("doctor", "--ls-project", "1", "--backend", URL)
        assert result.exit_code == 1
        assert re.search(
            r"✗ ML backend +http://127.0.0.1:9 is not connected to project 1\n +→ Run", result.stdout
        )
        assert result.stdout.endswith("things to mend.\n")
        assert TOKEN not in result.stdout

    def test_json(self, call: Any) -> None:
        found = json.loads(call("doctor", "--ls-project", "1", "--json").stdout)
        assert found["wrong"] == sum(check["state"] == "wrong" for check in found["checks"])
        names = {check["name"] for check in found["checks"]}
        assert {"Python", "weights", "cache folder", "Label Studio", "token", "project"} <= names

    def test_without_label_studio(self, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LABEL_STUDIO_URL")
        result = call("doctor")
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "Nothing is wrong.")


class TestPrelabel:
    """`labeler prelabel`."""

    @pytest.fixture(autouse=True)
    def tasks(self, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
        """Three tasks and a proposer without a model; the list has what it was asked for."""
        for path in write_pictures(tmp_path / "in", 3):
            fake.files[f"/data/upload/1/{path.name}"] = path.read_bytes()
        fake.add_tasks(1, *({"image": f"/data/upload/1/{n:04d}.jpg"} for n in range(3)))
        asked: list[Any] = []

        def load(*given: Any, head: Any = None) -> OtsuProposer:
            asked.append((*given, head.number) if head else given)
            return OtsuProposer()

        monkeypatch.setattr(loading, "load_proposer", load)
        return asked

    def test_pushes(self, call: Any, fake: FakeStudio) -> None:
        result = call("prelabel", "--ls-project", "1")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith("3 predictions of dinov2-small-518-")
        assert f"Look at {fake.url}/projects/1/data" in result.stdout
        assert len(fake.predictions) == 3
        assert call("prelabel", "--ls-project", "1").stdout.startswith("0 predictions")

    def test_the_version_is_the_backends(
        self, call: Any, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call("prelabel", "--ls-project", "1", "--size", "224")
        monkeypatch.setenv("LABELER_SIZE", "280")
        call("prelabel", "--ls-project", "1")
        sizes = {made["model_version"] for made in fake.predictions}
        assert sizes == {model_version("dinov2-small", 224), model_version("dinov2-small", 280)}

    def test_the_project_shows_them(self, call: Any, fake: FakeStudio) -> None:
        first = call("prelabel", "--ls-project", "1", "--size", "224")
        assert fake.projects[1]["model_version"] == fake.predictions[0]["model_version"]
        assert "shows" not in first.stdout
        second = call("prelabel", "--ls-project", "1", "--size", "280")
        assert fake.projects[1]["model_version"] == fake.predictions[0]["model_version"], "was chosen"
        assert f"shows predictions of {fake.predictions[0]['model_version']}" in second.stdout

    @pytest.mark.parametrize(
        ("where", "arguments", "ending"),
        [
            pytest.param("own", (), "-h2", id="its own, by itself"),
            pytest.param("own", ("--project", "birds"), "-h2", id="its own, by its alias"),
            pytest.param("bees", ("--project", "bees"), "-bees-h2", id="that of another project"),
            pytest.param("bees", (), "", id="none"),
        ],
    )
    def test_a_head(
        self,
        call: Any,
        fake: FakeStudio,
        tmp_path: Path,
        tasks: list[Any],
        where: str,
        arguments: tuple[str, ...],
        ending: str,
    ) -> None:
        base = model_version("dinov2-small", 518)
        call("prelabel", "--ls-project", "1")
        assert fake.projects[1]["model_version"] == base
        own, data = studio_project(fake.url, 1), tmp_path / "data"
        heads = Versions(project_folder(data, own if where == "own" else where) / "heads")
        for _ in range(2):
            heads.publish(trained(), instead_of=heads.serving())
        if where == "own":
            set_alias(data, "birds", own)
        fake.predictions.clear()
        result = call("prelabel", "--ls-project", "1", *arguments)
        assert result.exit_code == 0, result.stderr
        assert {made["model_version"] for made in fake.predictions} == {f"{base}{ending}"}
        assert tasks[-1][6:] == ((2,) if ending else ())
        shown = fake.projects[1]["model_version"]
        assert shown == (f"{base}-h2" if where == "own" else base)

    def test_a_project_that_is_not_there(self, call: Any, fake: FakeStudio) -> None:
        result = call("prelabel", "--ls-project", "1", "--project", "nowhere")
        assert result.exit_code == 2
        assert "There is no project nowhere" in one_line(result)

    def test_the_least_certain_first(self, call: Any, fake: FakeStudio) -> None:
        fake.projects[1]["sampling"] = "Sequential sampling"
        call("prelabel", "--ls-project", "1", "--order", "uncertainty")
        scores = [made["score"] for made in fake.predictions]
        assert scores == sorted(scores)
        assert len(set(scores)) > 1
        assert fake.projects[1]["sampling"] == "Uncertainty sampling"

    def test_dry_run(self, call: Any, fake: FakeStudio, tasks: list[Any]) -> None:
        result = call("prelabel", "--ls-project", "1", "--dry-run")
        assert result.stdout.startswith("3 of 3 tasks have no prediction")
        found = json.loads(call("prelabel", "--ls-project", "1", "--dry-run", "--json").stdout)
        assert (found["tasks"], found["pending"]) == (3, 3)
        assert (fake.predictions, tasks) == ([], [])

    def test_failures(self, call: Any, fake: FakeStudio, tmp_path: Path) -> None:
        fake.add_tasks(1, {"image": "/data/upload/1/gone.jpg"})
        out = tmp_path / "failures.jsonl"
        result = call("prelabel", "--ls-project", "1", "--failures", str(out))
        assert result.exit_code == 1
        assert "Task 4 failed: " in result.stderr
        (line,) = out.read_text().splitlines()
        assert json.loads(line)["task"] == 4
        summary = json.loads(call("prelabel", "--ls-project", "1", "--json").stdout)
        assert (summary["before"], summary["failed"], summary["pushed"]) == (3, 1, 0)

    def test_limits(self, call: Any, fake: FakeStudio, tasks: list[Any]) -> None:
        fake.projects[1]["label_config"] = CONFIG.replace("smart=", 'model_max_proposals="27" smart=')
        call("prelabel", "--ls-project", "1", "--device", "cpu")
        fake.predictions.clear()
        call(
            "prelabel",
            "--ls-project",
            "1",
            "--max-proposals",
            "3",
            "--min-score",
            "0.01",
            "--model",
            "dino-vits16",
        )
        assert tasks == [
            ("dinov2-small", "cpu", "auto", 518, 27, 0.05),
            ("dino-vits16", "auto", "auto", 518, 20, 0.01),
        ]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [((), "--ls-project is missing"), (("--ls-project", "1", "--model", "dinov9"), "dinov9")],
    )
    def test_bad_input(self, call: Any, arguments: tuple[str, ...], sentence: str) -> None:
        assert sentence in one_line(call("prelabel", *arguments))


class TestServe:
    """`labeler serve`; how it serves is tested with the server."""

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("--media-roots", "relative"), "--media-roots"),
            (("--deadline", "200"), "--deadline"),
            (("--model", "dinov9"), "dinov9"),
        ],
    )
    def test_bad_input(self, call: Any, arguments: tuple[str, ...], sentence: str) -> None:
        assert sentence in one_line(call("serve", *arguments))


class TestUp:
    """`labeler up`."""

    def test_videos_are_not_for_it(self, call: Any) -> None:
        assert "--kind polygon, brush or box" in one_line(call("up", "--kind", "video"))

    @pytest.mark.slow
    @pytest.mark.weights
    def test_makes_all_of_it_once_and_goes_on(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        from labeler_backend.studio.version import model_version

        monkeypatch.setenv("FAKE_VERSION", model_version("dinov2-small", 224))
        monkeypatch.setenv("PASSWORD", "leaks")
        # What somebody has set for a backend of theirs holds for this one too.
        monkeypatch.setenv("LABELER_BASIC_AUTH_USER", "me")
        monkeypatch.setenv("LABELER_BASIC_AUTH_PASS", "secret")
        monkeypatch.setenv("FAKE_LOGIN", "me:secret")
        monkeypatch.setenv("LABELER_DATA_DIR", str(tmp_path / "data"))
        command = tmp_path / "label-studio"
        # Without PYTHONPATH, which Label Studio does not get.
        start = f"cd {shlex.quote(str(ROOT))} && exec {shlex.quote(sys.executable)} -m tests.cli.fakes"
        command.write_text(f'#!/bin/sh\ntest -z "$PASSWORD" || exit 9\n{start} "$@"\n')
        command.chmod(0o755)
        write_pictures(tmp_path / "photos", 3)
        arguments = ["up", "--once", "--json", "--label-studio", str(command), "--size", "224"]
        arguments += ["--images", str(tmp_path / "photos"), "--labels", "cat"]
        results = [CliRunner().invoke(cli.app, arguments) for _ in range(2)]
        for result in results:
            assert result.exit_code == 0, result.stderr
        first, second = (json.loads(result.stdout) for result in results)
        assert (first["tasks"], first["pre_annotated"], first["failures"]) == (3, 3, [])
        assert (second["project"], second["tasks"], second["password"]) == (
            first["project"],
            3,
            first["password"],
        )
        assert "Made project 1; 3 pictures added." in results[0].stderr
        assert "Found project 1; 0 pictures added." in results[1].stderr


def one_line(result: Result) -> str:
    """What a person did wrong: exit code 2 and a line on stderr, which is returned."""
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith("labeler: ")
    assert result.stderr.count("\n") == 1
    return result.stderr
