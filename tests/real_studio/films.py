"""A small film: one thing that moves over a photo, and the number of each frame in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page

from .backend import ROOT

SIZE = (324, 480)  # H, W; the last rows hold the number
RATE, COUNT = 25, 24
_BITS, _STRIP = 6, 24  # bars, and how high they are
_RADIUS = 52

Box = tuple[float, float, float, float]

_NUMBER = f"""() => {{
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0);
  const row = context.getImageData(0, canvas.height - {_STRIP // 2}, canvas.width, 1).data;
  let number = 0;
  for (let bit = 0; bit < {_BITS}; bit++)
    if (row[4 * Math.floor((bit + 0.5) * canvas.width / {_BITS})] > 125) number |= 1 << bit;
  return number;
}}"""


@dataclass(frozen=True)
class Film:
    """A video and where the thing in it is: x, y, width, height in percent, by frame from 0."""

    path: Path
    boxes: tuple[Box, ...]


def cat_over_coffee(folder: Path) -> Film:
    """A cat's face that goes from the left to the right, up and down."""
    table, face = _photo("coffee", (SIZE[0] - _STRIP, SIZE[1])), _photo("cat", (2 * _RADIUS, 2 * _RADIUS))
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
    return Film(path, tuple(boxes))


def shown(page: Page) -> int:
    """The number (from 0) of the frame that the editor's `<video>` shows."""
    number: int = page.evaluate(_NUMBER)
    return number


def _frame(
    table: npt.NDArray[np.uint8], face: npt.NDArray[np.uint8], index: int
) -> tuple[npt.NDArray[np.uint8], Box]:
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[: len(table)] = table
    y = 150 + round(50 * np.sin(index / 4))
    x = 90 + 12 * index
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.nonzero(np.hypot(rows - y, columns - x) < _RADIUS)
    picture[disc] = face[disc[0] - y + _RADIUS, disc[1] - x + _RADIUS]
    bits = np.arange(SIZE[1]) * _BITS // SIZE[1]
    picture[-_STRIP:] = np.where(index >> bits & 1, 230, 20).astype(np.uint8)[None, :, None]
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
