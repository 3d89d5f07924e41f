"""The answer to a click or a box: one object, in the place of the region that it was or as a new one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.studio.canvas import Shown, on_canvas, regions_on
from labeler_backend.studio.config import AnswerKind, AnswerTag, LabelingConfig
from labeler_backend.studio.identity import object_ids, object_of
from labeler_backend.studio.prediction import Prediction
from labeler_backend.studio.predictions import checked
from labeler_backend.studio.prompting import Pointing
from labeler_backend.studio.refining import Click, Meant, meant
from labeler_backend.studio.regions import mask_to_regions, shape_of
from labeler_backend.studio.results import Item
from labeler_backend.studio.tags import is_bare

_SPECK = 0.1
"""Of the largest part of an object: smaller parts without a click do not become polygons of their own."""


@dataclass(frozen=True, slots=True)
class Clicked:
    """A request with a prompt.

    Attributes:
        task: as it came, with its id.
        config: of the project.
        pointing: what was clicked.
        version: of the model, as /setup says it.
        remembered: what was answered to earlier clicks and may be in no draft yet.
    """

    task: Mapping[str, Any]
    config: LabelingConfig
    pointing: Pointing
    version: str
    remembered: Sequence[Item] = ()


def answer_click(asked: Clicked, size: tuple[int, int], click: Click) -> tuple[Prediction, list[str]]:
    """The object somebody clicked on or drew a box around, and sentences on what could not be used.

    It has the label of the prompt; a region that a negative click makes smaller keeps its own. A region that
    changes stays of its type and keeps its id, so that the editor puts the answer in its place.

    Args:
        asked: the request.
        size: (H, W) of the picture.
        click: answers prompts on it.
    """
    pointing, config = asked.pointing, asked.config
    answer = config.answer_for(pointing.image)
    if answer is None:
        return checked(config, [], asked.version), []
    only_ask = {tag.name for tag in config.prompts} - {answer.name}
    items = on_canvas(asked.task, asked.remembered)
    shown = regions_on(items, pointing.image.name, pointing.page, size, only_ask)
    found, notes = meant(pointing, shown, size, click)
    if found is None:
        return checked(config, [], asked.version), notes
    if not found.mask.any():
        notes.append("Everything of a region was clicked away, and it was left as it is: delete it instead.")
        return checked(config, [], asked.version), notes
    regions = _in_its_tag(asked, answer, found, shown)
    return checked(config, regions, asked.version), notes


def _in_its_tag(
    asked: Clicked, answer: AnswerTag, found: Meant, shown: Sequence[Shown]
) -> list[dict[str, Any]]:
    """In the tag of the region whose place it takes, where that can hold it; else in the answering tag."""
    own, label = found.region, _label(asked, answer, found)
    if label is None:
        return []
    if own is not None and own.item["type"] in get_args(AnswerKind):
        kept = own.labels if not found.renamed and own.labels else (label,)
        name, kind = str(own.item.get("from_name")), own.item["type"]
        regions = _regions(asked, found, shown, kind, name, kept, answer)
        unnamed = is_bare(kind) and not any(tag.image == answer.image for tag in asked.config.naming)
        if regions and not unnamed and not asked.config.validate({"result": regions}):
            return regions
    return _regions(asked, found, shown, answer.kind, answer.name, (label,), answer)


def _label(asked: Clicked, answer: AnswerTag, found: Meant) -> str | None:
    """Of the answer; None where the tag knows no label."""
    wanted = [asked.pointing.label] if found.renamed else []
    wanted += list(found.region.labels) if found.region is not None else []
    wanted += [asked.pointing.label]
    return next((one for one in wanted if one and (one in answer.labels or not answer.labels)), answer.label)


def _regions(
    asked: Clicked,
    found: Meant,
    shown: Sequence[Shown],
    kind: str,
    tag: str,
    labels: Sequence[str],
    answer: AnswerTag,
) -> list[dict[str, Any]]:
    pointing = asked.pointing
    page = pointing.page if answer.image.many else None
    taken = {one.id for one in shown}
    name = found.region.id if found.region is not None else _new_id(asked, page, found.first, taken)
    painted = shape_of(kind) in ("brush", "bitmask")
    mask = found.mask if painted else _without_specks(found.mask, pointing)
    regions = mask_to_regions(
        mask,
        kind,
        asked.config.place(tag, kind, answer.image, page, labels),
        object_id=name,
        labels=labels,
        score=min(max(found.score, 0.0), 1.0),
        max_points=answer.max_points,
    )
    return _apart_from(regions, name, taken)


def _new_id(asked: Clicked, page: int | None, first: BoolMask, taken: Collection[str]) -> str:
    """By the answer to the first click, so that later ones replace it; never that of another region."""
    about = asked.task["id"], asked.pointing.image.name, page
    objects = {object_of(one) or one for one in taken}
    twins = (object_ids(*about, [first] * count)[-1] for count in range(1, len(objects) + 2))
    return next(one for one in twins if one not in objects)


def _apart_from(regions: Sequence[dict[str, Any]], name: str, taken: Collection[str]) -> list[dict[str, Any]]:
    """The first keeps the id; further polygons get numbers that no region on the picture has."""
    numbers = (f"{object_of(name) or name}-{n}" for n in range(1, len(regions) + len(taken) + 1))
    free = (one for one in numbers if one not in taken and one != name)
    ids = {one: one if one == name else next(free) for one in dict.fromkeys(r["id"] for r in regions)}
    return [{**region, "id": ids[region["id"]]} for region in regions]


def _without_specks(mask: BoolMask, pointing: Pointing) -> BoolMask:
    """Small parts away from the clicks left out: each would be a polygon to delete."""
    count, blobs, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    kept = {n + 1 for n in np.flatnonzero(areas >= _SPECK * areas.max()).tolist()}
    for point in pointing.points((mask.shape[0], mask.shape[1])):
        row = min(max(int(point.y), 0), mask.shape[0] - 1)
        column = min(max(int(point.x), 0), mask.shape[1] - 1)
        kept.add(int(blobs[row, column]))
    return np.isin(blobs, list(kept - {0}))
