"""Pictures for the tests: photos, small, each with its upright size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from .backend import ROOT

_SIDEWAYS = 6  # EXIF orientation: to be shown turned by 90° clockwise


@dataclass(frozen=True)
class Picture:
    """A JPEG file and its upright size (H, W) in pixels."""

    path: Path
    size: tuple[int, int]


def sample_pictures(folder: Path) -> list[Picture]:
    """Three photos with one clear thing each; the last is stored on its side, and its EXIF tag says so."""
    made = []
    for name, side in (("cat", 480), ("coffee", 420), ("astronaut", 360)):
        image = Image.open(ROOT / "examples" / "images" / f"{name}.jpg").convert("RGB")
        image.thumbnail((side, side))
        if name == "astronaut":
            image = image.crop((0, 0, image.width * 3 // 4, image.height))  # not square
        path = folder / f"{name}.jpg"
        made.append(Picture(path, (image.height, image.width)))
        if name == "astronaut":
            exif = Image.Exif()
            exif[0x0112] = _SIDEWAYS
            image.transpose(Image.Transpose.ROTATE_90).save(path, quality=92, exif=exif.tobytes())
        else:
            image.save(path, quality=92)
    return made


def distinct_pictures(folder: Path, count: int) -> Iterator[Picture]:
    """`count` crops of photos, no two of one size: the size tells which picture an answer belongs to.

    At most 1,600, from 320 × 240 up.
    """
    names = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina", "motorcycle_left")
    photos = [Image.fromarray(np.asarray(_photo(name))[..., :3]) for name in names]
    rng = np.random.default_rng(0)
    for i in range(count):
        width, height = 320 + i % 40, 240 + i // 40
        photo = photos[i % len(photos)]
        zoom = float(rng.uniform(1.0, min(photo.width / width, photo.height / height)))
        w, h = int(width * zoom), int(height * zoom)
        x, y = int(rng.integers(photo.width - w + 1)), int(rng.integers(photo.height - h + 1))
        path = folder / f"{i:04}.jpg"
        photo.crop((x, y, x + w, y + h)).resize((width, height)).save(path, quality=88)
        yield Picture(path, (height, width))


def _photo(name: str) -> object:
    if name == "motorcycle_left":
        return skimage.data.stereo_motorcycle()[0]
    return getattr(skimage.data, name)()
