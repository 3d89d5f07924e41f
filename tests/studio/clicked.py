"""Prompts as the browser sends them, on the two painted discs of `tests/prompts/made.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.answer import answer
from labeler_backend.prompts.types import Answer, Prompt
from labeler_backend.studio.clicks import Clicked, answer_click
from labeler_backend.studio.config import LabelingConfig
from labeler_backend.studio.prediction import Prediction
from labeler_backend.studio.prompting import read_pointing
from labeler_backend.studio.refining import Click
from labeler_backend.studio.regions import Place, mask_to_regions
from labeler_backend.studio.results import read_result
from tests.prompts.made import SIZE, scene
from tests.studio.made import config_of, control, through_json

POINTS = control("KeyPointLabels", "kp", "car,tree", 'smart="true"')
BOXES = control("RectangleLabels", "box", "car,tree", 'smart="true"')
POLYGONS = control("PolygonLabels", "polygon", "car,tree", 'smart="false"')
NAMES = control("Labels", "names", "car,tree")
CONFIG = config_of(POINTS, BOXES, POLYGONS)
SCENE = scene()


def point(
    x: float, y: float, positive: bool | None = True, label: str = "car", **rest: Any
) -> dict[str, Any]:
    """A click at pixel coordinates (see the reference of Label Studio 1.23.2's browser)."""
    item = {
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "image_rotation": 0,
        "value": {
            "x": 100 * x / SIZE[1],
            "y": 100 * y / SIZE[0],
            "width": 0.23,
            "labels": [label],
            "keypointlabels": [label],
        },
        "id": f"p{x:g}-{y:g}",
        "from_name": "kp",
        "to_name": "image",
        "type": "keypointlabels",
        "origin": "manual",
    }
    return item | ({} if positive is None else {"is_positive": positive}) | rest


def box(x: float, y: float, w: float, h: float, label: str = "car", **rest: Any) -> dict[str, Any]:
    """A drawn box in pixels."""
    value = {"x": x / 2.8, "y": y / 1.68, "width": w / 2.8, "height": h / 1.68, "rotation": 0}
    return {
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "image_rotation": 0,
        "value": {**value, "rectanglelabels": [label]},
        "id": f"b{x:g}-{y:g}",
        "from_name": "box",
        "to_name": "image",
        "type": "rectanglelabels",
        "origin": "manual",
        **rest,
    }


def region(
    mask: BoolMask,
    name: str = "elaaaaaaaaaaaa",
    label: str = "car",
    kind: str = "polygonlabels",
    tag: str = "polygon",
    names: str | None = None,
) -> list[dict[str, Any]]:
    """A mask as it lies on the picture in Label Studio, named by itself or by the `<Labels>` `names`."""
    place = Place(tag, "image", labels_name=names)
    return mask_to_regions(mask, kind, place, object_id=name, labels=[label], score=0.5)


def task(
    drafts: Sequence[Any] | None = None,
    annotations: Sequence[Any] | None = None,
    predictions: Sequence[Any] | None = None,
) -> dict[str, Any]:
    """As an interactive request carries it, with at most one of each."""

    def entry(result: Sequence[Any] | None) -> list[dict[str, Any]]:
        return (
            [] if result is None else [{"result": list(result), "updated_at": "2026-11-23T10:02:24.704083Z"}]
        )

    kinds = {"drafts": entry(drafts), "annotations": entry(annotations), "predictions": entry(predictions)}
    return {"id": 7, "data": {"image": "/data/upload/1/a.jpg"}, **kinds}


def on_discs(prompt: Prompt) -> Answer:
    """The product's own answer."""
    return answer(SCENE, prompt)


def asked(
    *items: Any,
    body: dict[str, Any] | None = None,
    config: LabelingConfig = CONFIG,
    remembered: Sequence[dict[str, Any]] = (),
    click: Click = on_discs,
) -> tuple[Prediction, list[str]]:
    """The answer to a request, and what of it could not be used; the answer fits the labelling config."""
    context = through_json({"result": list(items)})
    pointing, notes = read_pointing(context, config.images, config.prompts)
    if pointing is None:
        return Prediction(result=[], score=0.0, model_version="v1"), notes
    clicked = Clicked(through_json(body or task()), config, pointing, "v1", remembered)
    found, more = answer_click(clicked, SIZE, click)
    assert config.validate(through_json(found.model_dump())) == []
    return found, [*notes, *more]


def masks(found: Prediction) -> list[BoolMask]:
    """What the regions of an answer enclose."""
    return [one.mask for one in read_result(through_json(found.result)).objects]


def accepted(canvas: Sequence[dict[str, Any]], found: Prediction) -> list[dict[str, Any]]:
    """The regions on a picture after an answer is accepted: the editor replaces those of the same id."""
    ids = {one["id"] for one in found.result}
    return [one for one in canvas if one["id"] not in ids] + found.result
