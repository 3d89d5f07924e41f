"""From a new project to deleting it, with prediction validation, basic auth and either kind of token."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .answers import assert_predicted, assert_valid, labels_of, polygon_config, prompt_on, sizes_of
from .backend import Backend, labeler_serve
from .client import Client
from .conftest import Studios
from .pictures import Picture
from .studio import Studio

AUTH = ("labeler", "pass:w@rd %25")
CONFIG = polygon_config("thing")


@dataclass(frozen=True)
class Scene:
    """A Label Studio, somebody who uses it, and a backend."""

    studio: Studio
    client: Client
    backend: Backend
    pictures: list[Picture]

    def project(self, config: str = CONFIG, pictures: bool = True) -> tuple[int, int]:
        """A project with the pictures uploaded and the backend connected; → ids of both."""
        project = self.client.create_project(config)
        if pictures:
            self.client.upload(project, [picture.path for picture in self.pictures])
        return project, self.connect(project)

    def connect(self, project: int) -> int:
        return self.client.connect(project, self.backend.url, self.backend.auth)

    def folder(self) -> Path:
        """The pictures in a folder of their own that Label Studio may serve."""
        folder = self.studio.files / uuid.uuid4().hex[:8]
        folder.mkdir()
        for picture in self.pictures:
            shutil.copy(picture.path, folder)
        return folder


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((validation, auth, token), id=f"validation {validation}, auth {auth}, {token} token")
        for validation in ("off", "on")
        for auth in ("off", "on")
        for token in ("legacy", "personal")
    ],
)
def scene(
    request: pytest.FixtureRequest,
    studios: Studios,
    cache: Path,
    pictures: list[Picture],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    validation, auth, kind = request.param
    studio = studios(validation == "on")
    client = studio.client()
    settings: dict[str, str] = {}
    if kind == "personal":  # what Label Studio sends along in /setup is worth nothing then
        client = Client(studio.url, studio.personal_token)
        client.allow_legacy_tokens(False)
        settings = {"LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": studio.personal_token}
    credentials = AUTH if auth == "on" else None
    folder = tmp_path_factory.mktemp("backend")
    try:
        with labeler_serve(folder, cache, auth=credentials, settings=settings) as backend:
            yield Scene(studio, client, backend, pictures)
    finally:
        client.allow_legacy_tokens(True)


def test_uploaded_pictures(scene: Scene) -> None:
    project, _ = scene.project()
    scene.client.retrieve_predictions(project)
    predictions = scene.client.predictions(project)
    assert_predicted(CONFIG, predictions, tasks=3)
    assert [sizes_of(ones[0]) for _, ones in sorted(predictions.items())] == [
        {p.size} for p in scene.pictures
    ]
    scene.client.retrieve_predictions(project)
    assert scene.client.predictions(project) == predictions, "asking again must not add any"


def test_local_files(scene: Scene) -> None:
    """Synchronized from a storage (absolute URLs), and named by hand (relative ones)."""
    project, _ = scene.project(pictures=False)
    folder = scene.folder()
    storage = scene.client.add_local_files(project, folder)
    scene.client.sync_local_files(storage)
    by_hand = [{"image": f"/data/local-files/?d={folder.name}/{p.path.name}"} for p in scene.pictures]
    scene.client.import_tasks(project, by_hand)
    scene.client.retrieve_predictions(project)
    urls = [task["data"]["image"] for task in scene.client.tasks(project)]
    assert sorted(url.startswith("http") for url in urls) == [False] * 3 + [True] * 3
    assert_predicted(CONFIG, scene.client.predictions(project), tasks=6)


def test_absolute_urls_of_label_studio(scene: Scene) -> None:
    project, _ = scene.project()
    uploaded = [task["data"]["image"] for task in scene.client.tasks(project)]
    other, _ = scene.project(pictures=False)
    scene.client.import_tasks(other, [{"image": scene.studio.url + path} for path in uploaded])
    scene.client.retrieve_predictions(other)
    assert_predicted(CONFIG, scene.client.predictions(other), tasks=3)


def test_opening_a_task_predicts_it(scene: Scene) -> None:
    project, _ = scene.project()
    first, second, third = scene.client.tasks(project)
    opened = scene.client.open_task(second["id"])
    assert_valid(CONFIG, opened["predictions"][0])
    assert len(opened["predictions"]) == 1
    asked = scene.client.predictions(project)
    assert {task: len(ones) for task, ones in asked.items()} == {
        first["id"]: 0,
        second["id"]: 1,
        third["id"]: 0,
    }
    assert len(scene.client.open_task(second["id"])["predictions"]) == 1


def test_what_becomes_of_proposals_is_counted(scene: Scene) -> None:
    project, _ = scene.project()
    scene.client.retrieve_predictions(project)
    predictions = {task: ones[0] for task, ones in scene.client.predictions(project).items()}
    task, prediction = max(predictions.items(), key=lambda item: len(item[1]["result"]))
    kept, *others = regions = prediction["result"]
    assert len(regions) >= 2, "the test needs a picture with two proposals"
    moved = {**others[0], "value": {**others[0]["value"], "points": _nudged(others[0]["value"]["points"])}}
    drawn = {
        **kept,
        "id": "by-hand",
        "origin": "manual",
        "value": {**kept["value"], "points": [[1, 1], [9, 1], [9, 9]]},
    }
    scene.client.annotate(task, [kept, moved, drawn], parent_prediction=prediction["id"], lead_time=3.5)
    wanted = {"accepted": 1, "edited": 1, "rejected": len(regions) - 2, "drawn": 1, "annotated_tasks": 1}
    assert scene.backend.counts(scene.client.uid(project), **wanted) == wanted
    skipped = next(iter(set(predictions) - {task}))
    scene.client.annotate(skipped, [], was_cancelled=True)
    assert scene.backend.counts(scene.client.uid(project), **wanted) == wanted


def test_start_training(scene: Scene) -> None:
    project, backend = scene.project()
    scene.client.call("POST", f"/api/ml/{backend}/train")
    assert _state(scene.studio, backend) == ("TR", None), "the backend refused START_TRAINING"
    assert scene.backend.http.get("/health").status_code == 200
    task = scene.client.tasks(project)[0]["id"]
    assert_valid(CONFIG, scene.client.open_task(task)["predictions"][0])


def test_versions_and_test_request(scene: Scene) -> None:
    """What the Model page of a project asks for."""
    project, backend = scene.project()
    assert scene.client.call("GET", f"/api/ml/{backend}/versions")["versions"]
    scene.client.call("POST", f"/api/ml/{backend}/predict/test", params={"random": "true"})
    [row] = scene.client.call("GET", "/api/ml", params={"project": project})
    assert row["state"] == "CO"
    assert not row["error_message"]


@pytest.mark.parametrize("kind", ["keypointlabels", "rectanglelabels"])
def test_prompts(scene: Scene, kind: str) -> None:
    project, backend = scene.project(polygon_config("cat", "cup"))
    task = scene.client.tasks(project)[0]["id"]
    prediction = scene.client.open_task(task)["predictions"][0]
    answered = scene.client.prompt(backend, task, [prompt_on(prediction["result"][0], kind, "cup")])
    assert "errors" not in answered, answered
    assert answered["data"]["result"], "no region for a prompt on the best proposal"
    assert_valid(polygon_config("cat", "cup"), answered["data"])
    assert labels_of(answered["data"]) == {"cup"}


def test_deleting_tasks_backend_and_project(scene: Scene) -> None:
    project, backend = scene.project()
    scene.client.retrieve_predictions(project)
    first, *rest = scene.client.tasks(project)
    scene.client.call("DELETE", f"/api/tasks/{first['id']}")
    assert [task["id"] for task in scene.client.tasks(project)] == [task["id"] for task in rest]
    scene.client.call("DELETE", f"/api/ml/{backend}")
    # its webhook stays behind in Label Studio, and events go on arriving
    scene.client.annotate(rest[0]["id"], [])
    assert scene.client.call("GET", "/api/ml", params={"project": project}) == []
    scene.client.call("DELETE", f"/api/projects/{project}")
    assert scene.backend.http.get("/health").status_code == 200
    assert "Traceback" not in scene.backend.log()


def _nudged(points: list[list[float]]) -> list[list[float]]:
    """Two percent of the picture towards its middle."""
    return [[x + (2 if x < 50 else -2), y] for x, y in points]


def _state(studio: Studio, backend: int) -> tuple[str, str | None]:
    """What Label Studio noted of the last call; its API would ask the backend again."""
    with sqlite3.connect(f"file:{studio.data / 'label_studio.sqlite3'}?mode=ro", uri=True) as db:
        row: tuple[str, str | None] = db.execute(
            "SELECT state, error_message FROM ml_mlbackend WHERE id = ?", [backend]
        ).fetchone()
    return row
