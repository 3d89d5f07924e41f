"""A small video on disk, and a model of colours that sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from exporters.video.davis import as_png
from exporters.video.single import write_mot, write_youtube_vis
from labeler_backend.backbone.features import Features
from labeler_backend.boxes import Box
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.track.types import Formats
from labeler_backend.video import outline
from tests.video.moving import RADIUS, SIZE, encode, video

FORMATS = Formats(as_png, write_youtube_vis, write_mot)
COUNT = 10
FIRST = [(60, 40 + 10 * t) for t in range(COUNT)]
SECOND = [(100, 170 - 10 * t) for t in range(COUNT)]
Labels = npt.NDArray[np.uint16]


@dataclass
class Colours:
    """A model that needs no weights; counts what it saw.

    Attributes:
        fingerprint: of it.
        patch: its side in pixels.
        seen: short sides that frames were asked for at.
    """

    fingerprint: str = "colours"
    patch: int = 14
    seen: list[int] = field(default_factory=list)

    def encode_frame(self, frame: RGB, size: int) -> Features:
        """Colours."""
        self.seen.append(size)
        return encode(frame)

    def mask_in_box(self, image: RGB, box: Box) -> BoolMask:
        """The disc in it."""
        y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
        middle = box[1] + box[3] / 2, box[0] + box[2] / 2
        inside: BoolMask = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 < RADIUS**2
        return inside


def write_video(folder: Path) -> list[Labels]:
    """Frames as PNGs; returns the truth of each."""
    frames, labels = video([FIRST, SECOND])
    folder.mkdir(parents=True)
    for frame in frames:
        Image.fromarray(frame.image).save(folder / f"{frame.index}.png")
    return labels


def write_mask(path: Path, labels: npt.NDArray[np.generic]) -> Path:
    """An indexed PNG."""
    path.write_bytes(as_png(labels.astype(np.uint8)))
    return path


def read_masks(out: Path) -> list[npt.NDArray[np.uint8]]:
    """What a run wrote."""
    paths = sorted((out / "masks").iterdir())
    assert [path.name for path in paths] == [f"{i:05d}.png" for i in range(len(paths))]
    return [np.asarray(Image.open(path)) for path in paths]


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outlines are hardly learned: what is tested is not how good they are."""
    monkeypatch.setattr(outline, "steps_for", lambda frames, given: 8)


def box_of(place: tuple[int, int]) -> Box:
    """Around the disc with its middle at (y, x)."""
    return place[1] - RADIUS, place[0] - RADIUS, 2 * RADIUS, 2 * RADIUS


__all__ = ["COUNT", "FIRST", "FORMATS", "SECOND", "SIZE", "Colours", "box_of", "quick", "read_masks"]
