"""Proposals → COCO annotations, still without ids."""

from __future__ import annotations

from collections.abc import Sequence

from labeler_backend.batch.types import Annotation, Options
from labeler_backend.masks.polygons import mask_to_polygons, to_coco
from labeler_backend.masks.rle import RLE
from labeler_backend.proposals.types import Proposal

DEFAULT_CATEGORY = "object"


def annotate(proposals: Sequence[Proposal], options: Options) -> list[Annotation]:
    """One annotation per proposal, in their order; polygons where asked for, RLE otherwise.

    `area` and `bbox` are the mask's own either way. A mask of no pixels has no polygon and keeps its RLE.
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


def _segmentation(proposal: Proposal, options: Options) -> RLE | list[list[float]]:
    if options.polygons:
        drawn = to_coco(mask_to_polygons(proposal.mask, max_points=options.max_points))
        if drawn:
            return drawn
    return proposal.rle
