"""What a training job does, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.heads.learning import HEADS
from labeler_backend.heads.versions import Versions
from labeler_backend.server.connections import FILE
from labeler_backend.server.project_training import train_project
from labeler_backend.settings import ServerSettings
from tests.server.learning import UID, annotate, easily_pleased, jobs
from tests.studio.fake_studio import TOKEN, FakeStudio


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    easily_pleased(monkeypatch)


def vanish(fake: FakeStudio, settings: ServerSettings) -> None:
    annotate(fake, 2)
    fake.files.clear()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda fake, settings: None, "submit", id="no annotations"),
        pytest.param(lambda fake, settings: fake.projects.clear(), "no project", id="no project"),
        pytest.param(
            lambda fake, settings: setattr(fake, "token", "changed"),
            "LABEL_STUDIO_API_KEY",
            id="a token that is refused",
        ),
        pytest.param(
            lambda fake, settings: (settings.data_dir / FILE).unlink(),
            "Settings > Model",
            id="no connection known",
        ),
        pytest.param(
            lambda fake, settings: (settings.data_dir / FILE).write_text(
                json.dumps({UID: {"hostname": fake.url}})
            ),
            "No token",
            id="no token known",
        ),
        pytest.param(vanish, "learn", id="pictures that vanished"),
    ],
)
def test_what_keeps_a_head_from_being_made_is_said(
    settings: ServerSettings,
    fake: FakeStudio,
    change: Callable[[FakeStudio, ServerSettings], object],
    expected: str,
) -> None:
    change(fake, settings)
    with pytest.raises(LabelerError, match=expected) as raised:
        train_project(settings, UID, lambda share, what: None)
    assert TOKEN not in str(raised.value)


def test_progress_rises_and_a_second_training_compares(settings: ServerSettings, fake: FakeStudio) -> None:
    annotate(fake, 4)
    told: list[tuple[float, str]] = []
    first = train_project(settings, UID, lambda share, what: told.append((share, what)))
    assert (first.version, first.promoted) == (1, True)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert "reading annotations: 4 of 4 tasks" in [what for _, what in told]

    folder = jobs(settings, fake).folder
    annotate(fake, 2)
    second = train_project(settings, UID, lambda share, what: None)
    versions = Versions(folder / HEADS)
    assert versions.get(2).n_images == 6
    assert versions.serving() == (2 if second.promoted else 1)


def test_a_downloaded_project_is_not_left_on_the_disk(settings: ServerSettings, fake: FakeStudio) -> None:
    annotate(fake, 1)
    train_project(settings, UID, lambda share, what: None)
    left = [path for path in Path(settings.cache_dir / "trainings").rglob("*") if path.suffix == ".jsonl"]
    assert left == []
