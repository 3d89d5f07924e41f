"""`labeler config`, `connect`, `doctor` and `prelabel` against a real Label Studio."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from labeler_backend.studio.prelabel import CHUNK

from .answers import assert_predicted, polygon_config
from .backend import SIZE, Backend
from .client import Client, Json
from .commands import Commands
from .conftest import Backends
from .pictures import Picture
from .studio import LEGACY_TOKEN, Studio

pytestmark = pytest.mark.slow

LABELS = ["cat", '"dog" & <bird>']
AUTH = ("labeler", "pass:w@rd %25")


def scores(client: Client, project: int) -> dict[int, float | None]:
    """By task, what stands in the Data Manager's column of scores."""
    return {task["id"]: task["predictions_score"] for task in client.tasks(project)}


@pytest.mark.parametrize("kind", ["polygon", "brush", "box", "video"])
def test_label_studio_takes_the_config(labeler: Commands, studio: Studio, kind: str) -> None:
    xml = labeler.run("config", "--labels", ", ".join(LABELS), "--kind", kind)
    client = studio.client()
    project = client.create_project(xml)
    kept = client.call("GET", f"/api/projects/{project}")
    assert kept["label_config"].strip() == xml.strip()
    assert kept["parsed_label_config"]["labels" if kind == "video" else kind]["labels"] == LABELS


@pytest.mark.parametrize(
    ("kind", "auth"),
    [
        pytest.param("legacy", None, id="legacy token"),
        pytest.param("personal", AUTH, id="personal token, basic auth"),
    ],
)
def test_connect(
    backends: Backends,
    studio: Studio,
    tmp_path: Path,
    cache: Path,
    pictures: list[Picture],
    kind: str,
    auth: tuple[str, str] | None,
) -> None:
    """Once and again, to a project with another labelling config; then all works that a labeler expects."""
    token = LEGACY_TOKEN if kind == "legacy" else studio.personal_token
    login = {"LABELER_BASIC_AUTH_USER": auth[0], "LABELER_BASIC_AUTH_PASS": auth[1]} if auth else {}
    labeler = Commands(tmp_path / "data", cache, studio, token, login)
    backend = backends(auth=auth)
    client = Client(studio.url, token)
    project = client.create_project(polygon_config("old"))
    client.upload(project, [picture.path for picture in pictures])

    arguments = ("connect", "--ls-project", project, "--backend", backend.url, "--labels", "thing")
    first = labeler.json(*arguments)
    assert (first["created"], first["interactive"]) == (True, True)
    again = labeler.json(*arguments)
    assert (again["created"], again["did"], again["backend"]) == (False, [], first["backend"])
    [row] = client.call("GET", "/api/ml", params={"project": project})
    [hook] = client.call("GET", "/api/webhooks/", params={"project": project})
    assert row["title"] == row["model_version"] == first["model_version"]
    assert hook["url"] == f"{backend.url}/webhook"
    assert ("Authorization" in hook["headers"]) == bool(auth)

    client.retrieve_predictions(project)
    predictions = client.predictions(project)
    assert_predicted(client.call("GET", f"/api/projects/{project}")["label_config"], predictions, tasks=3)
    best = {task: ones[0]["score"] for task, ones in predictions.items()}
    assert scores(client, project) == pytest.approx(best)
    task, [prediction] = next(iter(predictions.items()))
    client.annotate(task, prediction["result"], parent_prediction=prediction["id"])
    wanted = {"annotated_tasks": 1, "accepted": len(prediction["result"])}
    assert backend.counts(client.uid(project), **wanted) == wanted


class TestDoctor:
    """`labeler doctor`."""

    @pytest.fixture
    def project(self, labeler: Commands, studio: Studio, backend: Backend, pictures: list[Picture]) -> int:
        """With pictures, connected, and predicted."""
        client = studio.client()
        project = client.create_project(labeler.run("config", "--labels", "thing", "--kind", "brush"))
        client.upload(project, [pictures[0].path])
        labeler.run("connect", "--ls-project", project, "--backend", backend.url)
        client.retrieve_predictions(project)
        return project

    @pytest.fixture
    def backend(self, backends: Backends) -> Backend:
        """One that the test may stop."""
        return backends()

    def test_healthy_then_ever_worse(
        self, labeler: Commands, studio: Studio, backend: Backend, project: int
    ) -> None:
        arguments = ("doctor", "--ls-project", project, "--backend", backend.url)
        report = labeler.json(*arguments)
        assert report["wrong"] == 0
        states = {check["name"]: check["state"] for check in report["checks"]}
        for name in ("Label Studio", "backend", "labelling config", "webhook", "score column", "pictures"):
            assert states[name] == "ok", name

        client = studio.client()
        break_connection(client, project)
        assert wrong(labeler.json(*arguments, code=1)) == {"webhook", "interactive", "smart tools"}
        labeler.run("connect", "--ls-project", project, "--backend", backend.url)
        assert wrong(labeler.json(*arguments, code=1)) == {"smart tools"}  # a config is the user's own
        backend.stop()
        assert wrong(labeler.json(*arguments, code=1)) == {"backend", "ML backend", "smart tools"}


def break_connection(client: Client, project: int) -> None:
    """Without its webhook, without clicks, and with a tool that does nothing."""
    [row] = client.call("GET", "/api/ml", params={"project": project})
    wanted = {"project": project, "url": row["url"], "title": row["title"], "is_interactive": False}
    client.call("PATCH", f"/api/ml/{row['id']}", json=wanted)
    [hook] = client.call("GET", "/api/webhooks/", params={"project": project})
    client.call("DELETE", f"/api/webhooks/{hook['id']}/")
    xml = client.call("GET", f"/api/projects/{project}")["label_config"]
    client.call("PATCH", f"/api/projects/{project}", json={"label_config": xml.replace(' smart="false"', "")})


def wrong(report: Json) -> set[str]:
    """What the doctor does not like; each with the mend."""
    found = [check for check in report["checks"] if check["state"] == "wrong"]
    assert report["wrong"] == len(found)
    assert all(check["mend"] for check in found), found
    return {check["name"] for check in found}


class TestPrelabel:
    """`labeler prelabel`."""

    def test_killed_and_run_again(
        self, tmp_path: Path, cache: Path, studio: Studio, pictures: list[Picture]
    ) -> None:
        """Killed with -9 when the first ones are pushed; a picture that is broken costs only itself."""
        count, broken = CHUNK + 6, 30
        client = studio.client()
        project = client.create_project(polygon_config("thing"))
        folder = tmp_path / "pictures"
        folder.mkdir()
        picture = Image.open(pictures[0].path).resize((96, 72))  # small: proposals take a tenth of the time
        files = [folder / f"{number:04}.jpg" for number in range(count)]
        for file in files:
            picture.save(file)
        files[broken].write_bytes(files[broken].read_bytes()[:900])
        with served(folder, held=files[-1].name) as (url, release):
            client.import_tasks(project, [{"image": f"{url}/{file.name}"} for file in files])
            tasks = [task["id"] for task in client.tasks(project)]
            allowed = {"LABELER_ALLOWED_HOSTS": url.removeprefix("http://")}
            labeler = Commands(tmp_path / "data", cache, studio, LEGACY_TOKEN, allowed)
            arguments = ("prelabel", "--ls-project", project, "--size", SIZE, "--batch", 1)
            process = labeler.start(*arguments)
            try:
                wait_for_predictions(client, project, process)
            finally:
                process.kill()
                process.communicate()
            before = client.predictions(project)
            done = sum(map(len, before.values()))
            assert 0 < done < count - 1, "the test wants a run that is killed in the middle"
            release.set()
            second = labeler.json(*arguments, code=1)
            after = client.predictions(project)
            third = labeler.json(*arguments, code=1)

        good = [task for task in tasks if task != tasks[broken]]
        assert {task: len(ones) for task, ones in after.items()} == {
            **dict.fromkeys(good, 1),
            tasks[broken]: 0,
        }
        assert client.predictions(project) == after
        assert all(after[task] == before[task] for task in tasks if before[task])
        assert (second["before"], second["pushed"]) == (done, count - 1 - done)
        assert (third["before"], third["pushed"]) == (count - 1, 0)
        for summary in (second, third):
            assert (summary["tasks"], summary["failed"]) == (count, 1)
            [failure] = summary["failures"]
            assert failure["task"] == tasks[broken]
            assert failure["link"] == f"{studio.url}/projects/{project}/data?task={tasks[broken]}"
            assert re.search(r"0030\.jpg.*\.$", failure["reason"])
        assert scores(client, project)[good[0]] == after[good[0]][0]["score"]


def wait_for_predictions(client: Client, project: int, process: Any) -> None:
    """Until the project has some."""
    end = time.monotonic() + 90
    while not client.call("GET", "/api/tasks", params={"project": project})["total_predictions"]:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)


@contextmanager
def served(folder: Path, held: str) -> Iterator[tuple[str, threading.Event]]:
    """A web server with the files of a folder, one of which waits for the event."""
    release = threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(held):
                release.wait()
            with suppress(ConnectionError):  # of the run that was killed
                super().do_GET()

        def log_message(self, *args: object) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", release
        finally:
            release.set()
            server.shutdown()
            thread.join()
