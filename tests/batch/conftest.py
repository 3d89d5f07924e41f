"""A folder of real pictures, the exporters as the CLI gives them, and one call that runs a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data as samples

from exporters.coco.dataset import instance, write_coco
from exporters.masks import write_instance_png
from labeler_backend.batch.run import run
from labeler_backend.batch.types import Formats, MaskProposer, Options, Summary
from tests.batch.fakes import OtsuProposer

FORMATS = Formats(instance=instance, instance_png=write_instance_png, coco=write_coco)


def write_pictures(folder: Path, n: int, start: int = 0) -> list[Path]:
    """`n` different small photos (crops of samples), landscape and portrait in turn."""
    photo = np.concatenate([samples.astronaut(), samples.chelsea()[:300, :451].repeat(2, 0)[:512]], axis=1)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(start, start + n):
        crop = photo[i % 97 : i % 97 + 160, 3 * i % 311 : 3 * i % 311 + 224]
        path = folder / f"{i:04d}.jpg"
        Image.fromarray(crop if i % 2 else cv2.rotate(crop, cv2.ROTATE_90_CLOCKWISE)).save(path, quality=92)
        paths.append(path)
    return paths


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of seven."""
    write_pictures(tmp_path / "in", 7)
    return tmp_path / "in"


@pytest.fixture
def batch(tmp_path: Path) -> Callable[..., Summary]:
    """run() into tmp_path/out with the proposer without a model."""

    def call(
        *inputs: Path | str, proposer: MaskProposer | None = None, out: str = "out", **more: Any
    ) -> Summary:
        options = more.pop("options", Options(workers=2, batch_size=3))
        make = lambda: proposer or OtsuProposer()  # noqa: E731
        return run([str(i) for i in inputs], tmp_path / out, make, options, FORMATS, **more)

    return call
