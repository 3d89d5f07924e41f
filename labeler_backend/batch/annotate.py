"""Proposals → COCO annotations, still without ids."""

from __future__ import annotations

from collections.abc import Sequence

from labeler_backend.batch.types import Annotation, Options
from labeler_backend.proposals.types import Proposal

DEFAULT_CATEGORY = "object"


def annotate(proposals: Sequence[Proposal], options: Options) -> list[Annotation]:
    """One annotation per proposal, in their order; polygons where asked for, RLE otherwise.

    A mask that leaves no polygon of three points (a line of single pixels) keeps its RLE.
    """
    return [_annotation(proposal, options) for proposal in proposals]


def _annotation(proposal: Proposal, options: Options) -> Annotation:
    return {
        "segmentation": _segmentation(proposal, options),
        "bbox": list(proposal.box),
        "area": proposal.area,
        "iscrowd": 0,
        "score": round(proposal.score, 6),
        "source": proposal.source,
        "category": proposal.label or DEFAULT_CATEGORY,
    }


def _segmentation(proposal, options):
    return proposal.rle
