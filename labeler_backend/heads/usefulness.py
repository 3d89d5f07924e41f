"""Which image should be labelled next: the one whose answer is least sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.types import SHOWN
from labeler_backend.heads.windows import all_shrunk, counted
from labeler_backend.proposals.types import Proposal

LEAST = 0.05
FINER = 8
"""A mask's share of a patch is taken at so many places each way."""


def confidence(answer: Sequence[Proposal], class_map: FloatArray, novelty: float) -> float:
    """In [0, 1]; the lower, the more there is to learn from having a person look at the image.

    One minus the mean of three reasons to look: doubt (how near the chances of the objects are to even),
    disagreement (the share of the patches where the class map and the objects differ on whether something is
    there, against what either holds) and novelty.

    Args:
        answer: objects with the chance of being accepted.
        class_map: (K+1, gh, gw) probabilities, background first.
        novelty: in [0, 1].
    """
    chances = np.array([p.score for p in answer if p.score >= LEAST])
    doubt = float((4 * chances * (1 - chances)).mean()) if len(chances) else 1.0
    return float(np.clip(1 - (doubt + _disagreement(answer, class_map) + novelty) / 3, 0, 1))


def _disagreement(answer: Sequence[Proposal], class_map: FloatArray) -> float:
    there = class_map[0] < 0.5
    covered = np.zeros(there.shape, np.uint8)
    shown = [proposal.rle for proposal in answer if proposal.score >= SHOWN]
    for window in all_shrunk(shown, (there.shape[0] * FINER, there.shape[1] * FINER)):
        cells, (y, x) = counted(window, FINER)
        place = covered[y : y + cells.shape[0], x : x + cells.shape[1]]
        np.maximum(place, cells, out=place)
    given = covered > FINER**2 / 2
    union = int((there | given).sum())
    return int((there ^ given).sum()) / union if union else 0.0
