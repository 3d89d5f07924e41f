"""Small films: a real one, and one thing that moves over a photo; and which frame of them is to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page

from .backend import ROOT

SIZE = (324, 480)  # H, W
RATE, COUNT = 25, 24
_RADIUS = 52

Box = tuple[float, float, float, float]

_PICTURE = """() => {
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  return Array.from(data.filter((_, n) => n % 4 === 1));
}"""


@dataclass(frozen=True)
class Film:
    """A video and where the thing in it is.

    Attributes:
        boxes: x, y, width, height in percent, by frame from 0; of the real film on some frames, as read off.
        size: (H, W) in pixels.
        count: how many frames.
    """

    path: Path
    boxes: Mapping[int, Box]
    size: tuple[int, int] = SIZE
    count: int = COUNT


def rabbit() -> Film:
    """A real one: an animal that stretches itself, in front of a camera that moves."""
    size = (360, 640)
    pixels = {0: (116, 6, 225, 298), 18: (86, 31, 220, 279), 35: (79, 37, 228, 275)}
    boxes = {
        frame: (100 * x / size[1], 100 * y / size[0], 100 * w / size[1], 100 * h / size[0])
        for frame, (x, y, w, h) in pixels.items()
    }
    return Film(ROOT / "examples" / "videos" / "bunny.mp4", boxes, size, 36)


def cat_over_coffee(folder: Path) -> Film:
    """A cat's face that goes from the left to the right, up and down."""
    table, face = _photo("coffee", SIZE), _photo("cat", (2 * _RADIUS, 2 * _RADIUS))
    path, boxes = folder / "cat.mp4", []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": "8", "bf": "2", "crf": "14"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for index in range(COUNT):
            picture, box = _frame(table, face, index)
            boxes.append(box)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return Film(path, dict(enumerate(boxes)))


def shown(page: Page, film: Film) -> int:
    """The frame (from 0) of a film that is most like what the editor's `<video>` shows."""
    seen = np.reshape(page.evaluate(_PICTURE), film.size)  # its green
    with av.open(str(film.path)) as container:
        frames = [frame.to_ndarray(format="rgb24")[..., 1] for frame in container.decode(video=0)]
    return int(np.argmin([np.abs(one - seen).mean() for one in frames]))


def _frame(
    table: npt.NDArray[np.uint8], face: npt.NDArray[np.uint8], index: int
) -> tuple[npt.NDArray[np.uint8], Box]:
    picture = table.copy()
    y = 150 + round(50 * np.sin(index / 4))
    x = 90 + 12 * index
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.nonzero(np.hypot(rows - y, columns - x) < _RADIUS)
    picture[disc] = face[disc[0] - y + _RADIUS, disc[1] - x + _RADIUS]
    across, down = 100 / SIZE[1], 100 / SIZE[0]
    box = (x - _RADIUS) * across, (y - _RADIUS) * down, 2 * _RADIUS * across, 2 * _RADIUS * down
    return picture, box


def _photo(name: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    image = Image.open(ROOT / "examples" / "images" / f"{name}.jpg").convert("RGB")
    side = min(image.width / size[1], image.height / size[0])
    width, height = int(size[1] * side), int(size[0] * side)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    cut = image.crop((left, top, left + width, top + height)).resize(size[::-1])
    return np.asarray(cut)
