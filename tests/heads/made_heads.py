"""A head and what training says of it, made by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from labeler_backend.backbone.features import Features
from labeler_backend.heads import logistic, pixel_crops, pixels, quality
from labeler_backend.heads.head import Head
from labeler_backend.heads.training import Trained, train
from labeler_backend.heads.types import CORRECTED, Metrics, Sample
from labeler_backend.masks import rle
from labeler_backend.proposals.types import Proposal
from tests.heads.made import MODEL

GRID, PATCH = (6, 8), 10


def sample(key: str = "00", seed: int = 0, model_key: str = MODEL) -> Sample:
    """60×80 pixels: a red square, which has a token of its own, on something else."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 40, (60, 80, 3), dtype=np.uint8)
    top, left = 10 * int(random.integers(0, 4)), 10 * int(random.integers(0, 5))
    mask = np.zeros((60, 80), bool)
    mask[top : top + 20, left : left + 30] = True
    picture[mask] = (220, 30, 30)
    inside = mask[::PATCH, ::PATCH]
    tokens = random.normal(0, 0.1, (*GRID, 4)).astype(np.float32)
    tokens[inside] += np.array([2, 0, 0, 0], np.float32)
    found = rle.encode(mask)
    return Sample(
        key=key,
        group=key,
        features=Features(tokens, np.full((1, *GRID), 1 / 48, np.float32), (60, 80), (60, 80), model_key),
        picture=picture,
        labels=("square",),
        masks=(found,),
        coverage=255 * inside[None].astype(np.uint8),
        unknown=np.zeros(GRID, np.uint8),
        trust=CORRECTED,
        proposals=(Proposal(found, 0.6, "made"), Proposal(rle.encode(~mask), 0.5, "made")),
        revision=f"r{seed}",
    )


def with_middle(of: Sample, channels: int = 8) -> Sample:
    """Its features with middle layers that know nothing."""
    noise = np.random.default_rng(0).normal(0, 0.1, (*of.features.grid, channels)).astype(np.float16)
    return replace(of, features=replace(of.features, middle=noise))


def metrics(pq: float, **more: Any) -> Metrics:
    """As good as `pq`; there was no class to measure the class map on."""
    return Metrics(
        4, pq, pq, 0.5, float("nan"), {"square": {"ap50": pq, "iou": 0.5}}, {"00": pq, "01": pq}, **more
    )


def trained(better: bool = True, n_images: int = 3, **more: Any) -> Trained:
    """What training would give, with a real head."""
    found = _train(n_images)
    reason = "It is better." if better else "It is not better."
    return replace(
        found, better=better, reason=reason, before=metrics(0.25), after=metrics(0.5), n_held_out=4, **more
    )


def hurried(patch: pytest.MonkeyPatch) -> None:
    """The networks take few steps on small crops, a hundredth of the time; what they are worth is tested in
    `test_pixels.py` and `test_quality.py`."""
    patch.setattr(pixels, "STEPS", 3)
    patch.setattr(pixels, "STEPS_MOST", 3)
    patch.setattr(pixels, "BATCH", 2)
    patch.setattr(pixel_crops, "CROP", 64)
    patch.setattr(quality, "STEPS", 5)
    patch.setattr(logistic, "_STEPS", 10)


@cache
def _train(n_images: int) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        hurried(patch)
        return train([sample(f"{i:02x}", i) for i in range(n_images)])


def same(a: Head, b: Head) -> bool:
    """Whether two heads are one."""
    left, right = a.to_files(), b.to_files()
    tensors = left[0].keys() == right[0].keys() and all(
        np.array_equal(value, right[0][name]) for name, value in left[0].items()
    )
    return tensors and left[1] == right[1]
