"""From overlapping proposals to objects laid side by side, as a person who labels wants to find them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from labeler_backend.masks import rle
from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal

OVERLAP = 0.3
RELATIVE = 0.5
_CRUMB = 0.02  # of the largest part: smaller ones are left over from an edge
_CRUMB_PIXELS = 16


def parts(mask: BoolMask) -> list[BoolMask]:
    """(H, W) bool → its connected parts, the largest first, without crumbs."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    areas = facts[1:, cv2.CC_STAT_AREA]
    if count <= 2:
        return [mask] if count == 2 else []
    least = max(_CRUMB_PIXELS, _CRUMB * areas.max())
    order = np.argsort(-areas, kind="stable")
    return [labels == 1 + part for part in order if areas[part] >= least or part == order[0]]


def apart(proposals: Iterable[Proposal]) -> list[Proposal]:
    """Each connected part as a proposal of its own, in the order given: the figure of a picture with several
    objects that do not touch is all of them in one mask."""
    return [
        Proposal(rle.encode(part), proposal.score, proposal.source, proposal.label)
        for proposal in proposals
        for part in parts(proposal.mask)
    ]


def side_by_side(
    proposals: Sequence[Proposal], *, overlap: float = OVERLAP, relative: float = RELATIVE
) -> list[Proposal]:
    """The objects to show first: no parts of what is shown already, none far less likely than the best.

    On pictures with ground truth (`benchmarks/preannotation.py`) this leaves a fraction of the regions and
    most of the right ones.

    Args:
        proposals: by falling score.
        overlap: the share of a proposal that may be covered by better ones; 1 keeps all.
        relative: proposals below this share of the best one's score are dropped; 0 keeps all.
    """
    shown: list[Proposal] = []
    covered: BoolMask | None = None
    for proposal in proposals:
        if proposal.score < relative * proposals[0].score:
            continue
        mask = proposal.mask
        if covered is None:
            covered = np.zeros_like(mask)
        if (mask & covered).sum() <= overlap * mask.sum():
            covered |= mask
            shown.append(proposal)
    return apart(shown)
