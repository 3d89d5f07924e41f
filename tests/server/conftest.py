"""A backend that learns, and the Label Studio that it learns from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labeler_backend.settings import ServerSettings
from tests.backbone.tiny import save_tiny
from tests.server.learning import settings_for
from tests.studio.fake_studio import FakeStudio, running


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("dinov2", tmp_path_factory.mktemp("model"))


@pytest.fixture
def fake() -> Iterator[FakeStudio]:
    with running() as studio:
        studio.add_project()
        yield studio


@pytest.fixture
def settings(tmp_path: Path, tiny_model: Path, fake: FakeStudio) -> ServerSettings:
    return settings_for(tmp_path, tiny_model, fake)
