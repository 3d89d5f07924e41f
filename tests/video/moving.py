"""A real cat, cut out, moving over a real table; and a backbone of colours, which needs no weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features
from labeler_backend.media import RGB, decode
from tests.conftest import EXAMPLES

SIZE = (140, 210)
GRID = (10, 15)
RADIUS = 24


@dataclass(frozen=True)
class Frame:
    """One frame."""

    index: int
    image: RGB


@lru_cache
def pictures() -> tuple[RGB, RGB]:
    """The table, and the cat's face, (2·RADIUS, 2·RADIUS)."""
    table = decode(EXAMPLES / "coffee.jpg")
    cat = decode(EXAMPLES / "cat.jpg")
    side = min(cat.shape[:2]) // 2
    middle = cat[side - side // 2 : side + side // 2, cat.shape[1] // 2 - side // 2 :][:, :side]
    face = cv2.resize(middle, (2 * RADIUS, 2 * RADIUS), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(table, SIZE[::-1], interpolation=cv2.INTER_AREA)), np.asarray(face)


def scene(places: list[tuple[int, int]]) -> tuple[RGB, npt.NDArray[np.uint16]]:
    """Cats with their middles at (y, x), the k-th with id k.

    Its colours are turned by as much, so that none is as brown as the table.
    """
    table, face = pictures()
    image, labels = table.copy(), np.zeros(SIZE, np.uint16)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for k, (top, left) in enumerate(places, 1):
        disk = (y - top) ** 2 + (x - left) ** 2 < RADIUS**2
        rows, columns = np.nonzero(disk)
        image[rows, columns] = np.roll(face, k, axis=2)[rows - top + RADIUS, columns - left + RADIUS]
        labels[disk] = k
    return image, labels


def video(paths: list[list[tuple[int, int]]]) -> tuple[list[Frame], list[npt.NDArray[np.uint16]]]:
    """Frames and their labels; per object, its place in every frame."""
    scenes = [scene(list(places)) for places in zip(*paths, strict=True)]
    return [Frame(i, image) for i, (image, _) in enumerate(scenes)], [labels for _, labels in scenes]


def film(path: Path, images: Sequence[RGB], rate: int = 25) -> Path:
    """The pictures as a video that looks much like them, with a key frame every twelve."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": "12", "bf": "2", "crf": "12"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def around(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """The tight box x, y, width, height in pixels."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    return float(x), float(y), float(w), float(h)


def encode(image: RGB) -> Features:
    """Tokens that are colours, of the patch, of its quarters and of what lies around it."""
    height, width = GRID
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32) / 64 - 2
    fine = cv2.resize(lab, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
    quarters = fine.reshape(height, 2, width, 2, 3).transpose(0, 2, 1, 3, 4).reshape(height, width, 12)
    around = cv2.GaussianBlur(cv2.resize(lab, (width, height), interpolation=cv2.INTER_AREA), (3, 3), 0)
    tokens = np.concatenate([quarters, 2 * around], axis=2).astype(np.float32)
    attention = np.full((1, *GRID), 1 / (height * width), np.float32)
    return Features(tokens, attention, (image.shape[0], image.shape[1]), (140, 210), "colours")
