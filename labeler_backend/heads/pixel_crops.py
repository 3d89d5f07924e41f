"""What the pixel head learns from: pictures with their truth per pixel, and random crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.emergence import emergent
from labeler_backend.heads.types import Sample
from labeler_backend.heads.windows import Window, shrunk
from labeler_backend.media import RGB
from labeler_backend.unet import STRIDE

CROP = 192
SMALL = 20.0
"""An object of this many pixels across weighs twice as much per pixel as a very large one."""
_NEAREST = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


@dataclass(frozen=True, slots=True)
class Truth:
    """One labelled picture, small enough that hundreds fit in memory.

    Attributes:
        picture: (h, w, 3) uint8 at the working size.
        emergent: (h, w, CHANNELS) uint8, see `emergence.py`.
        tokens: (T, gh, gw) float32, the token input.
        figure: (h, w) uint8, 1 = an object, 0 = background.
        depth: (h, w) float16: 0 outside, up to 1 in the middle of each object.
        weight: (h, w) float16, 0 where nobody said what it is.
        places: (n, 2) float32, y and x of a pixel inside each object.
    """

    picture: RGB
    emergent: npt.NDArray[np.uint8]
    tokens: FloatArray
    figure: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float16]
    weight: npt.NDArray[np.float16]
    places: FloatArray


Batch = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def truth(sample: Sample, classes: Sequence[str], picture: RGB, tokens: FloatArray) -> Truth:
    """`Truth` of a sample at the size of `picture`. Instances of classes not asked for count as unknown."""
    size = (picture.shape[0], picture.shape[1])
    learned = [label in classes for label in sample.labels]
    unknown = cv2.resize(sample.unknown, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    weight = np.asarray(1 - unknown / np.float32(255), np.float32)
    owner, found = np.zeros(size, np.int32), [shrunk(mask, size) for mask in sample.masks]
    figure, depth = np.zeros(size, np.uint8), np.zeros(size, np.float32)
    places = []
    # the smaller lies above, as people label
    for index in sorted(range(len(found)), key=lambda i: -found[i].area):
        window = found[index]
        owner[window.place][window.mask] = index + 1
        figure[window.place][window.mask] = learned[index]
        if not learned[index]:
            weight[window.place][window.mask] = 0
    for index, window in enumerate(found):
        visible = Window(window.corner, owner[window.place] == index + 1)
        if learned[index] and visible.area:
            depth[visible.place][visible.mask] = _depth(visible)
            weight[visible.place][visible.mask] *= 1 + SMALL / np.sqrt(visible.area)
            rows, columns = np.nonzero(visible.mask)
            middle = len(rows) // 2
            places.append((rows[middle] + visible.corner[0], columns[middle] + visible.corner[1]))
    weight *= 1 + 2 * _touching(owner)
    return Truth(
        picture,
        emergent(sample.proposals, size),
        tokens,
        figure,
        depth.astype(np.float16),
        weight.astype(np.float16),
        np.asarray(places, np.float32).reshape(-1, 2),
    )


def _depth(window: Window) -> FloatArray:
    """(area,) distance to the outline, as a share of the largest."""
    padded = np.pad(window.mask, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1][window.mask]
    return np.asarray(distance / distance.max(), np.float32)


def _touching(owner: npt.NDArray[np.int32]) -> FloatArray:
    """(h, w) 1 where two objects meet, 0 elsewhere: these few pixels are what cuts them apart."""
    kernel = np.ones((3, 3), np.uint8)
    numbers = owner.astype(np.float32)
    highest = cv2.dilate(numbers, kernel)
    lowest = cv2.erode(np.where(owner > 0, numbers, np.float32(1e6)), kernel)
    meet = (highest != lowest) & (highest > 0) & (lowest < 1e6)
    return np.asarray(cv2.dilate(meet.astype(np.float32), kernel), np.float32)


def normalised(picture: RGB) -> FloatArray:
    """(h, w, 3) uint8 → float32, the picture's own range to about -1 … 1."""
    low, high = np.percentile(picture[::4, ::4], (1, 99.5))
    scaled = (picture.astype(np.float32) - np.float32(low)) * np.float32(2 / max(high - low, 20))
    return np.asarray(np.clip(scaled - 1, -1.5, 1.5), np.float32)


def batch(
    truths: Sequence[Truth], chances: npt.NDArray[np.float64], size: int, rng: np.random.Generator
) -> Batch:
    """`size` random crops: pictures, tokens, figure, depth and weight, stacked, channels first."""
    crops = [_crop(truths[int(rng.choice(len(truths), p=chances))], rng) for _ in range(size)]
    pictures, tokens, figure, depth, weight = map(np.stack, zip(*crops, strict=True))
    return pictures, tokens, figure, depth, weight


def _crop(of: Truth, rng: np.random.Generator) -> tuple[FloatArray, ...]:
    """Turned, mirrored, scaled; mostly with an object in it."""
    placed = _placement(of, rng)

    def cut(values: FloatArray, flags: int) -> FloatArray:
        side = (CROP, CROP)
        found = cv2.warpAffine(values, placed[:2], side, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(found, np.float32)

    picture = _recoloured(cut(normalised(of.picture), _LINEAR), rng)
    found = cut(of.emergent.astype(np.float32), _LINEAR) / np.float32(255)
    return (
        np.ascontiguousarray(np.dstack([picture, found]).transpose(2, 0, 1), np.float32),
        _token_crop(of, placed),
        cut(of.figure.astype(np.float32), _NEAREST),
        np.clip(cut(of.depth.astype(np.float32), _LINEAR), 0, 1),
        cut(of.weight.astype(np.float32), _NEAREST),
    )


def _placement(of: Truth, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(3, 3): pixel of the crop → pixel of the picture."""
    height, width = of.figure.shape
    centre = rng.uniform((0, 0), (height, width))
    if len(of.places) and rng.random() < 0.7:
        centre = of.places[rng.integers(len(of.places))] + rng.uniform(-0.3, 0.3, 2) * CROP
    scale = np.exp(rng.uniform(-0.35, 0.45))
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < 0.3 else rng.integers(4) * np.pi / 2
    mirror = rng.choice((-1.0, 1.0))
    turn = scale * np.array(
        [[np.cos(angle) * mirror, -np.sin(angle)], [np.sin(angle) * mirror, np.cos(angle)]]
    )
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = centre[::-1] - turn @ np.full(2, CROP / 2)
    return matrix


def _token_crop(of: Truth, placed: npt.NDArray[np.float64]) -> FloatArray:
    """Tokens where the crop lies, one per STRIDE pixels of it."""
    middle = (STRIDE - 1) / 2
    to_crop = np.array([[STRIDE, 0, middle], [0, STRIDE, middle], [0, 0, 1]])
    (gh, gw), (height, width) = of.tokens.shape[1:], of.figure.shape
    across, down = gw / width, gh / height
    to_grid = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    matrix, side = (to_grid @ placed @ to_crop)[:2], CROP // STRIDE
    crops = [
        cv2.warpAffine(channel, matrix, (side, side), flags=_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        for channel in of.tokens
    ]
    return np.asarray(np.stack(crops), np.float32)


def _recoloured(picture: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Other light, another camera: contrast, brightness, tint, blur, noise."""
    out = picture * np.exp(rng.uniform(-0.3, 0.3)) + rng.uniform(-0.25, 0.25)
    if rng.random() < 0.5:
        out = out * np.exp(rng.uniform(-0.15, 0.15, 3)) + rng.uniform(-0.1, 0.1, 3)
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.2))
    if rng.random() < 0.3:
        out = out + rng.normal(0, 0.06, out.shape)
    return np.asarray(out, np.float32)
