"""What an annotator made of the proposals: each is accepted as it was, edited, redrawn or rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labeler_backend.report.fates import Fate, Outcome
from labeler_backend.server.overlaps import overlaps
from labeler_backend.server.shapes import Shape, same, same_outline

REDRAWN_BELOW = 0.5
"""IoU. Below it a region and a proposal are not the same object's outline any more (COCO's usual threshold);
above it, a region drawn anew is of the object that a deleted proposal had meant."""

Shapes = Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Answered:
    """The regions that one model version proposed for a task, by their ids."""

    version: str
    sent: Shapes


def began_with(answers: Sequence[Answered], made: Shapes, named: bool) -> Answered | None:
    """The answer that an annotator began with: the one that most regions are left of.

    Regions are the same when their ids are: the editor keeps them. As an object keeps its id from version to
    version, outlines decide among answers with as many. `origin` is not asked, because it stays `prediction`
    when a polygon is moved.

    Args:
        answers: one for each version, the newest first.
        made: the annotation's regions.
        named: whether the annotation names a prediction as its parent.

    Returns:
        None where it began with none of them.
    """
    shared = [len(answer.sent.keys() & made.keys()) for answer in answers]
    most = max(shared, default=0)
    if not answers or (most == 0 and not named):
        return None
    best = [answer for answer, number in zip(answers, shared, strict=True) if number == most]
    # max takes the first, hence the newest, among equals
    return max(best, key=lambda answer: _likeness(answer.sent, made)) if len(best) > 1 else best[0]


def compare(begun: Shapes, clicked: Mapping[str, Sequence[Shape]], made: Shapes) -> tuple[Fate, ...]:
    """What became of each proposal, and where each region came from.

    Args:
        begun: what the annotator began with.
        clicked: everything that was proposed to clicks; what of it was not taken is not a rejection.
        made: the annotation's regions.
    """
    fates, left = [], {}
    for region, shape in made.items():
        offers = [(sent, True) for sent in reversed(clicked.get(region, ()))]
        if region in begun:
            offers.insert(0, (begun[region], False))
        if offers:
            fates.append(_fate(*_taken(offers, shape), shape))
        else:
            left[region] = shape
    return (*fates, *_without_ids({k: s for k, s in begun.items() if k not in made}, left))


def _without_ids(deleted: Shapes, new: Shapes) -> list[Fate]:
    """Deleted proposals and new regions: pairs of one object, the most alike first, then what remains."""
    proposals, regions = list(deleted.values()), list(new.values())
    alike = np.nan_to_num(overlaps(proposals, regions))
    pairs: dict[int, int] = {}
    for flat in np.argsort(-alike, axis=None, kind="stable").tolist():
        row, column = divmod(flat, len(regions))
        if alike[row, column] < REDRAWN_BELOW:
            break
        if row not in pairs and column not in pairs.values():
            pairs[row] = column
    return [
        *(_anew(proposals[row], regions[column], float(alike[row, column])) for row, column in pairs.items()),
        *(
            Fate("rejected", shape.base, proposed=shape.label)
            for row, shape in enumerate(proposals)
            if row not in pairs
        ),
        *(
            Fate("drawn", shape.base, submitted=shape.label)
            for column, shape in enumerate(regions)
            if column not in pairs.values()
        ),
    ]


def _anew(sent: Shape, made: Shape, iou: float) -> Fate:
    """Of a region with an id of its own; where nothing else is new, it only lost the old one."""
    if same(sent, made):
        return _fate(sent, False, made)
    return Fate("redrawn", made.base, iou, sent.label, made.label, reshaped=True)


def _fate(sent: Shape, clicked: bool, made: Shape) -> Fate:
    kept = same_outline(sent, made)
    iou = 1.0 if kept else _iou(sent, made)
    if kept and sent.labels == made.labels:
        return Fate("accepted", made.base, iou, sent.label, made.label, clicked)
    outcome: Outcome = "redrawn" if iou is not None and iou < REDRAWN_BELOW else "edited"
    return Fate(outcome, made.base, iou, sent.label, made.label, clicked, reshaped=not kept)


def _iou(sent: Shape, made: Shape) -> float | None:
    found = float(overlaps([sent], [made])[0, 0])
    return None if np.isnan(found) else found


def _taken(offers: Sequence[tuple[Shape, bool]], made: Shape) -> tuple[Shape, bool]:
    """Of all that was proposed under one id, what a region was made of, and whether that answered a click."""
    for sent, clicked in offers:
        if same(sent, made):
            return sent, clicked
    alike = np.nan_to_num(overlaps([sent for sent, _ in offers], [made]))[:, 0] if len(offers) > 1 else [0]
    return offers[int(np.argmax(alike))]


def _likeness(sent: Shapes, made: Shapes) -> float:
    """Sum over shared regions of their IoU, and of 1 for each that is just the same."""
    shared = sent.keys() & made.keys()
    return sum(
        2.0 if same(sent[name], made[name]) else (_iou(sent[name], made[name]) or 0.0) for name in shared
    )
