"""Proposals → what Label Studio stores: a prediction per task."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.proposals.types import Proposal
from labeler_backend.studio.config import AnswerTag, ImageTag, LabelingConfig
from labeler_backend.studio.identity import object_ids
from labeler_backend.studio.prediction import GUESSED, Prediction
from labeler_backend.studio.regions import mask_to_regions
from labeler_backend.studio.results import Item, id_of, page_of
from labeler_backend.studio.showing import showing

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """One picture of a task and what was found in it.

    Attributes:
        index: from 0; None unless the tag shows several (`valueList`).
        size: (H, W) of the upright image.
        proposals: masks of that size.
        confidence: in [0, 1], how sure the model is of the picture as a whole.
    """

    index: int | None
    size: tuple[int, int]
    proposals: Sequence[Proposal]
    confidence: float = 0.0


def prediction(
    task_id: int,
    config: LabelingConfig,
    pages: Mapping[str, Sequence[Page]],
    model_version: str,
    tracks: Sequence[Mapping[str, Any]] = (),
) -> Prediction:
    """A task's proposals as its answer; what the labelling config does not allow is left out.

    Its score is the confidence of its least certain picture or track: Label Studio's uncertainty sampling and
    an ascending sort by prediction score bring the lowest first, which should be labelled next.

    Args:
        task_id: in Label Studio; region ids depend on it.
        config: of the project.
        pages: by the name of the image tag.
        model_version: as /setup says it.
        tracks: regions on its videos.
    """
    regions: list[dict[str, Any]] = []
    for image in config.images:
        answer = config.answer_for(image)
        if answer is not None:
            for page in pages.get(image.name, ()):
                regions += _page_regions(task_id, config, answer, page)
    looked_at = [page.confidence for found in pages.values() for page in found]
    looked_at += [track["score"] for track in tracks]
    return checked(config, [*regions, *tracks], model_version, min(looked_at, default=0.0))


def _page_regions(
    task_id: int, config: LabelingConfig, answer: AnswerTag, page: Page
) -> Iterator[dict[str, Any]]:
    learned = any(p.label is not None for p in page.proposals)
    shown = showing(answer, learned=learned).of(page.proposals)
    for name, proposal in _named(task_id, answer.image, page, shown):
        label, certain = _label(answer, proposal.label)
        if label is not None:
            score = proposal.score if certain else proposal.score * GUESSED
            yield from mask_to_regions(
                proposal.mask,
                answer.kind,
                config.place(answer.name, answer.kind, answer.image, page.index, [label]),
                object_id=name,
                labels=[label],
                score=min(max(score, 0.0), 1.0),
                max_points=answer.max_points,
            )


def _named(
    task_id: int, image: ImageTag, page: Page, proposals: Sequence[Proposal]
) -> list[tuple[str, Proposal]]:
    """Proposals with the ids of their regions."""
    ids = object_ids(task_id, image.name, page.index, (p.mask for p in proposals))
    return list(zip(ids, proposals, strict=True))


def _label(answer: AnswerTag, named: str | None) -> tuple[str | None, bool]:
    """The label a proposal takes, and whether it is more than a guess."""
    if named is not None and (named in answer.labels or not answer.labels):
        return named, True
    return answer.label, answer.certain


def checked(
    config: LabelingConfig,
    regions: Sequence[Mapping[str, Any]],
    model_version: str,
    score: float | None = None,
) -> Prediction:
    """Label Studio, with validation on, refuses a prediction for one wrong region.

    Without a `score` it is that of the best region.
    """
    result: list[dict[str, Any]] = []
    for items in _by_region(regions):
        errors = config.validate({"result": items})
        if errors:
            _LOG.warning("A region of %s is left out: %.200s", items[0]["from_name"], errors[0])
        else:
            result += map(dict, items)
    if score is None:
        score = max((region["score"] for region in result), default=0.0)
    return Prediction(result=result, score=min(max(score, 0.0), 1.0), model_version=model_version)


def _by_region(items: Sequence[Item]) -> list[list[Item]]:
    """What has one id belongs together: the labels of a bare tag's region are valid beside it alone."""
    found: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        found.setdefault((id_of(item), item.get("to_name"), page_of(item)), []).append(item)
    return list(found.values())
