"""What a head has to do before it may serve: answer soundly, and as it did before it was saved."""

from __future__ import annotations

import math

import cv2
import numpy as np

from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.types import Answer, Sample
from labeler_backend.media import RGB

_TOLERANCE = 0.02  # of probabilities: tensors may be rounded when they are saved


def check_head(saved: Head, trained: Head, sample: Sample) -> None:
    """Asks both for the same picture.

    Args:
        saved: as it was read back from the disk.
        trained: as it was in memory.
        sample: any that it was learned from.

    Raises:
        HeadError: an answer is not sound, or not the same.
    """
    image = _upright(sample)
    found = saved.class_map(image, sample.features)
    if not (np.isfinite(found).all() and np.abs(found.sum(axis=0) - 1).max() < _TOLERANCE):
        raise HeadError(_failed("its class map holds no probabilities"))
    sharp = saved.pixel_map(image, sample.features, sample.proposals)
    if not np.isfinite(sharp).all():
        raise HeadError(_failed("its pixel map holds no probabilities"))
    off = (
        np.abs(found - trained.class_map(image, sample.features)).max(),
        np.abs(sharp - trained.pixel_map(image, sample.features, sample.proposals)).max(),
    )
    if max(off) > _TOLERANCE:
        raise HeadError(_failed("it answers otherwise than before it was saved"))
    if fault := _fault(saved.answer(image, sample.features, sample.proposals), saved):
        raise HeadError(_failed(fault))


def _fault(answer: Answer, head: Head) -> str:
    """What is wrong with an answer, or nothing."""
    scores = [*(proposal.score for proposal in answer.proposals), answer.confidence]
    if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
        return "a score is not between 0 and 1"
    if any(proposal.label not in (None, *head.classes) for proposal in answer.proposals):
        return "it gives a class that it never learned"
    return ""


def _upright(sample: Sample) -> RGB:
    """(H, W, 3) uint8 as large as the image itself: what a head is asked about when it serves."""
    height, width = sample.features.image_size
    return np.asarray(cv2.resize(sample.picture, (width, height)), np.uint8)


def _failed(why: str) -> str:
    return f"The new head failed its test ({why}) and was not kept; please report it."
