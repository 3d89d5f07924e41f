"""How many of a picture's proposals an annotator gets, with a head and without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labeler_backend.heads.types import SHOWN
from labeler_backend.proposals.objects import OVERLAP, RELATIVE, apart, side_by_side
from labeler_backend.proposals.propose import ProposalSettings
from labeler_backend.proposals.types import Proposal
from labeler_backend.studio.config import AnswerTag


@dataclass(frozen=True, slots=True)
class Showing:
    """What of the proposals of one picture is shown.

    Attributes:
        max_proposals: at most so many.
        min_score: none below it.
        overlap: the share of a proposal that may be covered by better ones; 1 shows all, nested as they are.
        relative: none below this share of the best one's score.
    """

    max_proposals: int
    min_score: float
    overlap: float
    relative: float

    def of(self, proposals: Iterable[Proposal]) -> list[Proposal]:
        """The objects to show, by falling score."""
        ranked = sorted(proposals, key=lambda p: -p.score)
        likely = [p for p in ranked if p.score >= self.min_score][: self.max_proposals]
        if self.overlap == 1:
            return apart(likely)
        return side_by_side(likely, overlap=self.overlap, relative=self.relative)


EMERGENT = Showing(ProposalSettings().max_proposals, ProposalSettings().min_score, OVERLAP, RELATIVE)
"""Scores rank, and which of several overlapping outlines is meant is not known."""
LEARNED = Showing(max_proposals=200, min_score=SHOWN, overlap=0.7, relative=0.0)
"""A head's scores are chances, so that each object stands on its own; it has left out rivals of better ones,
and what overlaps still may well be a belt on a dress. 200 polygons open in 4.5 s."""


def showing(answer: AnswerTag, *, learned: bool) -> Showing:
    """What the tag's attributes say, and where they are silent the usual.

    Args:
        answer: the tag.
        learned: whether a head has named and scored the proposals.
    """
    usual = LEARNED if learned else EMERGENT
    return Showing(
        usual.max_proposals if answer.max_proposals is None else answer.max_proposals,
        usual.min_score if answer.min_score is None else answer.min_score,
        usual.overlap if answer.overlap is None else answer.overlap,
        usual.relative,
    )


def asked(answers: Sequence[AnswerTag], *, learned: bool) -> ProposalSettings:
    """Enough proposals for all of these tags to choose from, and no fewer than usual."""
    usual, tags = ProposalSettings(), [showing(answer, learned=learned) for answer in answers]
    return ProposalSettings(
        max(usual.max_proposals, *(tag.max_proposals for tag in tags)),
        min(usual.min_score, *(tag.min_score for tag in tags)),
    )
