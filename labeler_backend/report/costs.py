"""What labelling costs in seconds, by published figures where there are some."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from labeler_backend.report.fates import BOXES, Fate


@dataclass(frozen=True, slots=True)
class CostModel:
    """Seconds of a person's time for one object. What no publication says is an assumption, and says so.

    Attributes:
        draw_mask: draw an outline or a mask by hand. Lin et al. 2014, "Microsoft COCO: Common Objects in
            Context", section 4.3: "over 22 worker hours per 1,000 segmentations", which are 79 s each.
        draw_box: draw a box or an ellipse by hand. Papadopoulos et al. 2017, "Extreme clicking for efficient
            object annotation": 7 s; other ways of drawing a box take up to 35 s.
        check: look at a proposal and leave it. Papadopoulos et al. 2016, "We don't need no bounding-boxes":
            1.6 to 2.4 s for a box; the slower is taken for masks too.
        correct_mask: correct an outline or a mask. Benenson et al. 2019, "Large-scale interactive object
            segmentation with human annotators": three times as fast as drawing polygons, so a third of 79 s.
        correct_box: move the sides of a box. An assumption: half of drawing it.
        relabel: give another label. An assumption.
        delete: select and delete a proposal. An assumption.
        click: point at an object that no proposal had, and wait for the mask. An assumption.
    """

    draw_mask: float = 79.0
    draw_box: float = 7.0
    check: float = 2.4
    correct_mask: float = 26.0
    correct_box: float = 3.5
    relabel: float = 3.0
    delete: float = 2.0
    click: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} has to be a number of seconds, 0 or more")

    def draw(self, kind: str) -> float:
        """To draw a region of that kind by hand."""
        return self.draw_box if kind in BOXES else self.draw_mask

    def spent(self, fate: Fate) -> float:
        """By the annotator, on one region or proposal."""
        if fate.outcome == "drawn":
            return self.draw(fate.kind)
        seen = self.check + (self.click if fate.clicked else 0.0)
        if fate.outcome == "accepted":
            return seen
        if fate.outcome == "edited":
            return seen + self._change(fate)
        redo = self.draw(fate.kind) if fate.outcome == "redrawn" else 0.0
        return seen + self.delete + redo

    def by_hand(self, fate: Fate) -> float:
        """What the same result would have taken without proposals."""
        return 0.0 if fate.outcome == "rejected" else self.draw(fate.kind)

    def saved(self, fate: Fate) -> float:
        """Their difference, below 0 where a proposal was only in the way."""
        return self.by_hand(fate) - self.spent(fate)

    def _change(self, fate: Fate) -> float:
        correct = self.correct_box if fate.kind in BOXES else self.correct_mask
        return (self.relabel if fate.relabelled else 0.0) + (correct if fate.reshaped else 0.0)


TABLE: tuple[tuple[str, str, str], ...] = (
    (
        "draw an outline or a mask by hand",
        "draw_mask",
        "Lin et al. 2014, section 4.3: over 22 worker hours per 1,000 segmentations",
    ),
    ("draw a box or an ellipse by hand", "draw_box", "Papadopoulos et al. 2017, the quickest way published"),
    ("check a proposal", "check", "Papadopoulos et al. 2016: 1.6 to 2.4 s for a box"),
    ("correct an outline or a mask", "correct_mask", "Benenson et al. 2019: a third of drawing it"),
    ("correct a box", "correct_box", "an assumption: half of drawing it"),
    ("give another label", "relabel", "an assumption"),
    ("delete a proposal", "delete", "an assumption"),
    ("click, and wait for the mask", "click", "an assumption"),
)
"""What each figure is for, the field that holds it, and where its default comes from."""
