"""Pictures for the tests: photos, small, each with its upright size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
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


@dataclass(frozen=True)
class Marked:
    """A picture and what is on it: (label, (H, W) bool) of each object."""

    path: Path
    objects: Sequence[tuple[str, npt.NDArray[np.bool_]]]


def coins_and_tiles(folder: Path, count: int) -> list[Marked]:
    """Coins and round pieces of a brick wall, three to five on grass or gravel, none touching."""
    rng = np.random.default_rng(0)
    grounds = [skimage.data.grass(), skimage.data.gravel()]
    return [_strewn(folder / f"strewn{n:02}.jpg", grounds[n % 2], rng) for n in range(count)]


_CELL = 112  # pixels; each holds one thing or none
_COINS = (
    *((50, 154, 23), (119, 270, 23), (124, 44, 21), (123, 205, 19), (124, 336, 19), (125, 102, 19)),
    *((193, 212, 22), (193, 274, 21), (195, 101, 20), (265, 113, 20)),
)
"""Row and column of the middle, and the radius, of coins in `skimage.data.coins()`."""


def _strewn(path: Path, ground: npt.NDArray[np.uint8], rng: np.random.Generator) -> Marked:
    rows, columns = 2, 3
    height, width = rows * _CELL, columns * _CELL
    top, left = int(rng.integers(512 - height)), int(rng.integers(512 - width))
    canvas = np.repeat(ground[top : top + height, left : left + width, None], 3, axis=2) // 2
    objects = []
    for number, cell in enumerate(rng.permutation(rows * columns)[: int(rng.integers(3, 6))]):
        label = ("coin", "tile")[number % 2]
        radius = int(rng.integers(26, 44))
        y, x = ((cell // columns) * _CELL + _CELL // 2, (cell % columns) * _CELL + _CELL // 2)
        things = _coin(rng) if label == "coin" else _tile(rng)
        thing = np.asarray(Image.fromarray(things).resize((2 * radius, 2 * radius)))
        disc = np.hypot(*np.mgrid[-radius + 0.5 : radius, -radius + 0.5 : radius]) < radius - 0.5
        mask = np.zeros((height, width), bool)
        mask[y - radius : y + radius, x - radius : x + radius] = disc
        canvas[mask] = thing[disc]
        objects.append((label, mask))
    Image.fromarray(canvas.astype(np.uint8)).save(path, quality=92)
    return Marked(path, objects)


def _coin(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    y, x, radius = _COINS[int(rng.integers(len(_COINS)))]
    grey = skimage.data.coins()[y - radius : y + radius, x - radius : x + radius]
    return np.stack([grey, grey, grey], axis=2)


def _tile(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    y, x = rng.integers(400, size=2)
    grey = skimage.data.brick()[y : y + 90, x : x + 90]
    return np.stack([255 - (255 - grey) // 3, grey // 2, grey // 3], axis=2)  # reddish


def _photo(name: str) -> object:
    if name == "motorcycle_left":
        return skimage.data.stereo_motorcycle()[0]
    return getattr(skimage.data, name)()
