"""Samples out of nothing."""

from __future__ import annotations

import hashlib

import numpy as np

from labeler_backend.backbone.features import Features
from labeler_backend.heads.samples import coverage
from labeler_backend.heads.types import CORRECTED, Sample
from labeler_backend.masks.rle import RLE, encode
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

MODEL = "model:abc:fp32:p1"


def key_of(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()[:32]


def box(size: tuple[int, int], top: int, left: int, bottom: int, right: int) -> RLE:
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return encode(mask)


def picture(n: int, size: tuple[int, int]) -> RGB:
    return np.random.default_rng(n).integers(0, 256, (*size, 3), np.uint8)


def features_of(
    image: RGB, grid: tuple[int, int] = (4, 5), model_key: str = MODEL, channels: int = 8
) -> Features:
    random = np.random.default_rng(int(image[0, 0, 0]))
    return Features(
        tokens=random.normal(size=(*grid, channels)).astype(np.float16).astype(np.float32),
        attention=random.random((3, *grid)).astype(np.float32) ** 20,
        image_size=(image.shape[0], image.shape[1]),
        input_size=(grid[0] * 14, grid[1] * 14),
        model_key=model_key,
        middle=random.normal(size=(*grid, 2 * channels)).astype(np.float16),
    )


def sample(
    n: int,
    *,
    labels: tuple[str, ...] = ("cat", "dog"),
    revision: str = "r1",
    model_key: str = MODEL,
    grid: tuple[int, int] = (4, 5),
    channels: int = 8,
) -> Sample:
    """Of an image of 100 × 80 pixels with as many boxes as labels."""
    size = (80, 100)
    masks = tuple(box(size, 3 * i, 2 * i, 3 * i + 30, 2 * i + 40) for i in range(len(labels)))
    features = features_of(picture(n, size), grid, model_key, channels)
    return Sample(
        key=key_of(n),
        group=f"group {n}",
        features=features,
        picture=picture(n, features.input_size),
        labels=labels,
        masks=masks,
        coverage=coverage(masks, size, grid),
        unknown=np.full(grid, n % 7, np.uint8),
        trust=CORRECTED,
        proposals=tuple(Proposal(mask, 0.5 / (i + 1), "attention") for i, mask in enumerate(masks)),
        revision=revision,
    )
