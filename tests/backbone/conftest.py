from __future__ import annotations

from pathlib import Path

import pytest

from tests.backbone import tiny


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Family → folder of a tiny random model."""
    return {family: tiny.save_tiny(family, tmp_path_factory.mktemp(family)) for family in tiny.FAMILIES}
