"""Label Studio is told which version serves, also where another process made it serve."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labeler_backend.heads.versions import Versions
from labeler_backend.projects import project_folder, studio_project
from labeler_backend.server import telling as module
from labeler_backend.server.connections import Connections
from labeler_backend.server.live import Live
from labeler_backend.server.telling import Telling, telling
from labeler_backend.studio.version import with_head
from tests.heads.made_heads import MODEL, trained
from tests.server.learning import UID
from tests.studio.fake_studio import TOKEN, Backend, FakeStudio, Refused

BACKEND = "http://backend.internal:9090"
BASE = "standin-v1"
OTHER = "2.1795428142"


class Scene:
    """Label Studio, and a backend with heads of its first project."""

    def __init__(self, folder: Path, fake: FakeStudio) -> None:
        self.fake = fake
        self.heads = Versions(project_folder(folder, studio_project(fake.url, UID)) / "heads")
        said = {uid: {"hostname": fake.url, "token": TOKEN} for uid in (UID, OTHER)}
        (folder / "connections.json").write_text(json.dumps(said))
        self.connections = Connections(folder / "connections.json", None, None)
        self.live = Live(BASE, self._folder, lambda: MODEL)
        self.telling = telling(self.live, self.connections)
        self._data = folder
        fake.add_project()
        fake.projects[1]["model_version"] = BASE
        fake.ml[1] = {
            **{"id": 1, "url": BACKEND, "project": 1, "title": BASE, "is_interactive": True},
            **{"model_version": BASE, "auth_method": "NONE", "extra_params": {"max_points": 20}},
        }
        fake.backends[BACKEND] = Backend(BASE)

    def _folder(self, project: str) -> Path | None:
        name = self.connections.name(project)
        return project_folder(self._data, name) / "heads" if name else None

    def publish(self) -> None:
        self.heads.publish(trained(), instead_of=self.heads.serving())

    def look(self) -> tuple[str, str]:
        """Once → the backend's title and what the project shows."""
        self.fake.backends[BACKEND].version = self.live.version(UID)
        self.telling.look()
        return self.fake.ml[1]["title"], self.fake.projects[1]["model_version"]


@pytest.fixture
def scene(tmp_path: Path, fake: FakeStudio) -> Iterator[Scene]:
    made = Scene(tmp_path, fake)
    yield made
    made.telling.stop(5)


def test_a_training_and_each_rollback_are_told_once(scene: Scene) -> None:
    assert scene.look() == (BASE, BASE)
    assert not scene.fake.log, "a project without heads is no reason to ask Label Studio anything"
    for change, number in (
        (scene.publish, 1),
        (scene.publish, 2),
        (lambda: scene.heads.rollback(1), 1),
        (lambda: scene.heads.rollback(None), None),
    ):
        change()
        assert scene.look() == (with_head(BASE, number),) * 2
        asked = len(scene.fake.log)
        scene.look()
        assert len(scene.fake.log) == asked, "told already"
    assert scene.fake.ml[1]["extra_params"] == {"max_points": 20}


def test_a_server_that_was_down_during_a_rollback_tells_it_when_it_starts(scene: Scene) -> None:
    scene.publish()
    scene.publish()
    scene.heads.rollback(1)
    scene.fake.ml[1]["title"] = scene.fake.projects[1]["model_version"] = f"{BASE}-h2"
    assert scene.look() == (f"{BASE}-h1", f"{BASE}-h1")


def test_what_could_not_be_told_is_told_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(method: str, path: str) -> None:
        if path == "/api/ml":
            raise Refused(500, "Oh")

    monkeypatch.setattr(module, "_AGAIN", (0.2,))
    scene.publish()
    scene.fake.faults = refuse
    assert scene.look() == (BASE, BASE)
    scene.fake.faults = lambda method, path: None
    assert scene.look() == (BASE, BASE), "not at once: Label Studio may be down for long"
    assert caplog.text.count("does not show the scores") == 1
    assert TOKEN not in caplog.text
    time.sleep(0.25)
    assert scene.look() == (f"{BASE}-h1", f"{BASE}-h1")


def test_the_thread_looks_by_itself_and_outlives_what_goes_wrong(scene: Scene) -> None:
    told: list[tuple[str, str]] = []

    def tell(project: str, version: str) -> None:
        told.append((project, version))
        if len(told) == 1:
            raise RuntimeError("Oh")

    watching = Telling(scene.live, scene.connections, tell, every=0.01)
    watching.start()
    scene.publish()
    until = time.monotonic() + 10
    while len(told) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    watching.stop(5)
    assert told == [(UID, f"{BASE}-h1")] * 2


def test_looking_keeps_no_project_in_memory(scene: Scene) -> None:
    """Or many projects would push the heads out of memory that answer."""
    scene.publish()
    assert scene.live.glance(UID) == f"{BASE}-h1"
    assert scene.live.glance(OTHER) is None
    assert scene.live.versions() == [BASE]
