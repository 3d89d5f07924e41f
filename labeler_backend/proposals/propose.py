"""From one image's features to its ranked proposals: the order of the steps, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from labeler_backend.backbone.features import Features, FloatArray, unit_tokens
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou_matrix
from labeler_backend.masks.refine import Canvas, prepare, refine, to_mask
from labeler_backend.media import RGB
from labeler_backend.proposals.candidates import FIGURE, gather
from labeler_backend.proposals.components import Component, find_components, objects_are_small
from labeler_backend.proposals.roles import HeadRoles, figure_map
from labeler_backend.proposals.scoring import figure_score, measure, object_score
from labeler_backend.proposals.selection import suppress
from labeler_backend.proposals.softmap import soften
from labeler_backend.proposals.types import Proposal

DEFAULT_MIN_SCORE = 0.05
JUDGED = 30
"""So many of the best regions tell whether objects are small, however many were asked for."""
VERSION = 1
"""Raised whenever the same features would give other proposals."""


@dataclass(frozen=True, slots=True)
class ProposalSettings:
    """How many proposals, and how much alike they may be.

    Attributes:
        max_proposals: at most so many per image.
        min_score: those below are dropped, in [0, 1]. A picture with nothing in it stays below the default.
        grid_overlap: IoU on the patch grid above which of two candidates the lower one goes.
        mask_overlap: the same between finished masks.
    """

    max_proposals: int = 20
    min_score: float = DEFAULT_MIN_SCORE
    grid_overlap: float = 0.5
    mask_overlap: float = 0.7

    def fingerprint(self) -> str:
        """Everything here that changes the answer."""
        return (
            f"v{VERSION},n={self.max_proposals},min={self.min_score:g}"
            f",overlap={self.grid_overlap:g}/{self.mask_overlap:g}"
        )


def propose(
    image: RGB, features: Features, roles: HeadRoles, settings: ProposalSettings | None = None
) -> list[Proposal]:
    """Objects somebody may want to label, the likeliest first.

    The first is the picture's figure, where there is one: the mask that best parts what the figure heads look
    at from the rest. The others are ranked as single objects.

    Args:
        image: (H, W, 3) uint8, upright.
        features: of that image.
        roles: of the model's heads.
        settings: None = the defaults.
    """
    settings = settings or ProposalSettings()
    if min(features.grid) < 2:
        return []
    unit = unit_tokens(features.tokens)
    found, small = _regions(image, features, roles, unit, settings)
    if small:
        # tokens are too coarse for these: their regions stand behind what pixels show
        found = found[:1] + [Proposal(p.rle, 0.5 * p.score, p.source) for p in found[1:]]
        components = _from_components(
            *find_components(image, unit), (image.shape[0], image.shape[1]), settings.max_proposals
        )
        found = _distinct(sorted(found + components, key=lambda p: -p.score), settings)
    return found


def _regions(
    image: RGB, features: Features, roles: HeadRoles, unit: FloatArray, settings: ProposalSettings
) -> tuple[list[Proposal], bool]:
    """Proposals from regions of tokens, and whether objects are too small for them."""
    figure = figure_map(features, roles)
    candidates = gather(features, figure, roles)
    if not len(candidates.masks):
        return [], True
    evidence = measure(candidates.masks, unit, figure)
    several = np.array([source == FIGURE for source in candidates.sources])
    single, figures = object_score(evidence), figure_score(evidence)
    scores = np.where(several, 0, single)
    first = int(np.argmax(figures)) if figures.max() > 0 else None
    most = 2 * max(settings.max_proposals, JUDGED)  # refined, some become alike
    ranked = suppress(candidates.masks, scores, overlap=settings.grid_overlap, most=most, first=first)
    ranked = [i for i in ranked if i == first or not several[i]]
    small = objects_are_small(evidence, [i for i in ranked if i != first][:JUDGED], figure.size)
    canvas = prepare(image, features.grid)
    top = float(max((single[i] for i in ranked), default=0.0))

    def refined() -> Iterator[Proposal]:
        for index in ranked:
            soft = soften(candidates.masks[index].reshape(features.grid), unit)
            score = top if index == first else float(scores[index])
            yield from _refined(canvas, soft, score, candidates.sources[index])

    return _distinct(refined(), settings), small


def _refined(canvas: Canvas, soft: FloatArray, score: float, source: str) -> Iterator[Proposal]:
    pixels, corner = refine(canvas, soft)
    mask = to_mask(canvas, pixels, corner)
    if mask.any():
        yield Proposal(rle.encode(mask), score, source)


def _from_components(
    components: list[Component], work: tuple[int, int], size: tuple[int, int], most: int
) -> list[Proposal]:
    """The best components at the image's full size."""
    best = sorted(components, key=lambda c: -c.score)[: 4 * most]
    found = []
    for component in best:
        mask = _placed(component, work, size)
        if mask.any():
            found.append(Proposal(rle.encode(mask), component.score, "components"))
    return found


def _placed(component: Component, work: tuple[int, int], size: tuple[int, int]) -> rle.BoolMask:
    mask = np.zeros(work, bool)
    mask[component.window] = component.mask
    if work == size:
        return mask
    soft = cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft > 0.5, bool)


def _distinct(ranked: Iterable[Proposal], settings: ProposalSettings) -> list[Proposal]:
    """The first `max_proposals` of falling score that are not too much like one before them."""
    kept: list[Proposal] = []
    for proposal in ranked:
        if len(kept) == settings.max_proposals or proposal.score < settings.min_score:
            break
        overlaps = iou_matrix([proposal.rle], [p.rle for p in kept]) if kept else np.zeros(1)
        if overlaps.max() <= settings.mask_overlap:
            kept.append(proposal)
    return kept
