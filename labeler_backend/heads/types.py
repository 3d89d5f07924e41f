"""What heads learn from, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features
from labeler_backend.masks.rle import RLE
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

SHOWN = 0.3
"""Answers of at least this score count as given; average precision counts all."""
CORRECTED = 1.0
"""Trust in what a person drew, changed, or submitted after looking at it."""
BULK = 0.5
"""Trust in predictions that became annotations without anybody opening them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image, ready to learn from.

    Attributes:
        key: of the image, the same whenever it comes again.
        group: images of one group (frames of one video) are never split between training and testing.
        features: of the image.
        picture: (h, w, 3) uint8, the upright image, at up to twice `features.input_size`.
        labels: (n,) class of each instance.
        masks: (n,) of each instance, at the upright image's full size.
        coverage: (n, gh, gw) uint8: the share of each patch that the instance covers, 255 = all of it.
        unknown: (gh, gw) uint8: the share of each patch of which nobody said what it is (crowds, regions that
            could not be read); it is neither class nor background.
        trust: in (0, 1], `CORRECTED` or `BULK`.
        proposals: the emergent ones, a large pool of them, by falling score, without labels.
        revision: identity of the annotation: another one means other instances.
    """

    key: str
    group: str
    features: Features
    picture: RGB
    labels: tuple[str, ...]
    masks: tuple[RLE, ...]
    coverage: npt.NDArray[np.uint8]
    unknown: npt.NDArray[np.uint8]
    trust: float
    proposals: tuple[Proposal, ...]
    revision: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a head, or in its absence the emergent proposals, say of one image.

    Attributes:
        proposals: by falling score. Where a head gave it, the score is the chance of being accepted.
        confidence: in [0, 1], of the whole image; the lowest should be labelled next (Label Studio's
            "uncertainty sampling" and an ascending sort by prediction score go by it).
    """

    proposals: tuple[Proposal, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good answers are on images that were not learned from.

    Attributes:
        images: on how many.
        pq: mean over images of the panoptic quality with labels: the sum of the IoU of matched objects
            (IoU > 0.5, same class) over matches + half of what is missed and half of what is too much.
        ap50: mask average precision at IoU 0.5, mean over classes (COCO's).
        foreground: mean IoU of the union of the answer with the union of the truth.
        miou: mean IoU of the class map over the classes in these images.
        per_class: class → {"ap50", "iou", "instances"}.
        per_image: key → pq; what a test of significance compares.
    """

    images: int
    pq: float
    ap50: float
    foreground: float
    miou: float
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    per_image: Mapping[str, float] = field(default_factory=dict)
