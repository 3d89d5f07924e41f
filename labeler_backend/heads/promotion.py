"""Whether a new head may serve instead of what serves now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeler_backend.heads.types import Metrics

MARGIN = 0.005
"""Panoptic quality that the new head has to gain on average."""
CHANCE = 0.9
"""Share of the bootstrap's draws in which it has to be better at all."""
FEW = 5
"""With fewer images a bootstrap says nothing: then no single one may become worse."""
_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether, and why: one sentence."""

    better: bool
    reason: str


def decide(before: Metrics, after: Metrics) -> Decision:
    """Paired over the images that both were measured on: a mean gain of at least MARGIN, and not by chance.

    Args:
        before: what serves now, on images it has not seen.
        after: the new head on the same images, which it has not seen either.
    """
    keys = sorted(before.per_image.keys() & after.per_image.keys())
    if len(keys) < 2:
        return Decision(
            False,
            "There is only one image to measure on, which says nothing: submit at least one more, and train "
            "again.",
        )
    gains = np.array([after.per_image[key] - before.per_image[key] for key in keys])
    said = f"panoptic quality {before.pq:.3f} → {after.pq:.3f} on {len(keys)} images that neither had seen"
    if gains.mean() < MARGIN:
        return Decision(False, f"It is not better by {MARGIN}: {said}.")
    if len(keys) < FEW:
        if gains.min() < -MARGIN:
            return Decision(False, f"It is worse on one of {len(keys)} images: {said}.")
        return Decision(True, f"It is better, and worse on none: {said}.")
    drawn = np.random.default_rng(0).choice(gains, (_DRAWS, len(gains))).mean(axis=1)
    chance = float((drawn > 0).mean())
    if chance < CHANCE:
        return Decision(False, f"It is better in only {chance:.0%} of the bootstrap's draws: {said}.")
    return Decision(True, f"It is better in {chance:.0%} of the bootstrap's draws: {said}.")


def decide_changed(before: Metrics, after: Metrics) -> Decision:
    """Where the only news is that annotations changed: the new head must not be worse by more than MARGIN.

    Args:
        before: what serves now, on images whose annotation changed since it was learned.
        after: the new head on the same images; it too has learned from them.
    """
    gain = float(np.mean([after.per_image[key] - before.per_image[key] for key in before.per_image]))
    images = f"{len(before.per_image)} image{'s' * (len(before.per_image) != 1)}"
    said = (
        f"worse by more than {MARGIN} on {images} whose annotation changed and that both have learned from: "
        f"panoptic quality {before.pq:.3f} → {after.pq:.3f}"
    )
    if gain >= -MARGIN:
        return Decision(True, f"It is not {said}.")
    return Decision(False, f"It is {said}; `labeler heads rollback --to` lets it serve all the same.")
