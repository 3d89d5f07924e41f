"""What became of proposals, region by region: the facts behind the learning curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["accepted", "edited", "redrawn", "rejected", "drawn"]
OUTCOMES: tuple[Outcome, ...] = ("accepted", "edited", "redrawn", "rejected", "drawn")

BOXES = frozenset({"rectangle", "ellipse"})
"""Kinds of regions that a few clicks draw; all others are outlines or masks."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one proposal, or where one region came from.

    Attributes:
        outcome: `accepted`: submitted as it was, shape and label. `edited`: shape or label changed.
            `redrawn`: another shape in its place. `rejected`: deleted. `drawn`: a region that no proposal
            had.
        kind: of the region: `polygon`, `brush`, `rectangle`, …
        iou: of the proposal and the region that came of it, in [0, 1]; None where there is no such pair, or
            one of the two encloses nothing.
        proposed: label of the proposal; several with commas between; None where there is no proposal.
        submitted: label of the region; None where there is no region.
        clicked: whether the proposal answered a click.
        reshaped: whether its shape was changed.
        count: how many alike this stands for.
    """

    outcome: Outcome
    kind: str
    iou: float | None = None
    proposed: str | None = None
    submitted: str | None = None
    clicked: bool = False
    reshaped: bool = False
    count: int = 1

    @property
    def relabelled(self) -> bool:
        """Whether the proposal's label was changed."""
        return None not in (self.proposed, self.submitted) and self.proposed != self.submitted


@dataclass(frozen=True, slots=True)
class Submission:
    """One submitted annotation.

    Attributes:
        version: model version of the prediction it began with; empty where it began with none; None where
            nobody recorded it, or nobody knows.
        at: Unix time at which it was made.
        seconds: how long it took, by Label Studio's `lead_time`; None where unknown.
        bulk: whether predictions were made annotations without anybody opening them.
        fates: of its regions, and of the proposals that are not among them.
        count: of annotations, where several are summed up.
    """

    version: str | None
    at: float
    seconds: float | None
    bulk: bool
    fates: tuple[Fate, ...]
    count: int = 1
