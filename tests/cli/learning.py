"""Pictures with red squares, labelled, and a model too small to be good: for commands that learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from labeler_backend import cli
from labeler_backend.heads import learning
from tests.backbone.tiny import save_tiny
from tests.heads.made_heads import hurried

Call = Callable[..., Result]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, and beside them a cache that keeps the roles of its heads."""
    return save_tiny("dinov2", tmp_path_factory.mktemp("model"))


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path) -> Call:
    """`labeler …` beside the test's files, with data of its own.

    Trainings are hurried; whatever the head is worth, it is promoted.
    """
    hurried(monkeypatch)
    real = learning.train
    monkeypatch.setattr(learning, "train", lambda *given, **more: replace(real(*given, **more), better=True))
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABELER_CACHE_DIR", str(model / "cache"))
    monkeypatch.setenv("LABELER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LABELER_MODEL", str(model))
    monkeypatch.setenv("LABELER_DEVICE", "cpu")
    monkeypatch.setenv("LABELER_DTYPE", "fp32")
    monkeypatch.chdir(tmp_path)
    return lambda *given: CliRunner().invoke(cli.app, list(given), env={"COLUMNS": "200"})


def write_coco(folder: Path, n: int = 4, label: str = "square", start: int = 0) -> Path:
    """`n` pictures in `folder`/pictures, and a COCO file that says where the square is in each."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for i in range(start, start + n):
        random = np.random.default_rng(i)
        picture = random.integers(0, 60, (112, 140, 3), dtype=np.uint8)
        x, y = 14 * int(random.integers(1, 5)), 14 * int(random.integers(1, 4))
        picture[y : y + 42, x : x + 42] = (230, 40, 30)
        Image.fromarray(picture).save(folder / "pictures" / f"{i}.png")
        images.append({"id": i + 1, "file_name": f"{i}.png", "width": 140, "height": 112})
        ring: list[Any] = [x, y, x + 42, y, x + 42, y + 42, x, y + 42]
        annotations.append(
            {"id": i + 1, "image_id": i + 1, "category_id": 1, "segmentation": [ring], "iscrowd": 0}
            | {"bbox": [x, y, 42, 42], "area": 42 * 42}
        )
    found = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": label}]}
    path = folder / "labels.json"
    path.write_text(json.dumps(found))
    return path
