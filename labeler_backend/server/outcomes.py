"""What an annotator made of the proposals: each is accepted as it was, edited, or rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labeler_backend.server.shapes import Shape, same


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many of each, in one annotation."""

    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    drawn: int = 0


def compare(
    answers: Sequence[Mapping[str, Shape]], clicked: Mapping[str, Sequence[Shape]], made: Mapping[str, Shape]
) -> Outcome:
    """What became of the answers to a task in one annotation `made` of it.

    Regions are the same when their ids are: the editor keeps them. `origin` is not asked, because it stays
    `prediction` when a polygon is moved.

    Args:
        answers: one for each model version that answered, the newest first. The annotator began with that of
            which most regions are left.
        clicked: everything that was proposed to clicks; what of it was not taken is not a rejection.
        made: the annotation's regions.
    """
    # max takes the first, hence the newest, among equals
    begun = max(answers, key=lambda sent: len(sent.keys() & made.keys()), default={})
    accepted = edited = drawn = 0
    for region, shape in made.items():
        sent = [*([begun[region]] if region in begun else []), *clicked.get(region, ())]
        if not sent:
            drawn += 1
        elif any(same(one, shape) for one in sent):
            accepted += 1
        else:
            edited += 1
    return Outcome(accepted, edited, len(begun.keys() - made.keys()), drawn)
