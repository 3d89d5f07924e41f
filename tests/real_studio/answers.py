"""What is asked, and what any answer has to satisfy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import shapely
from label_studio_sdk.label_interface import LabelInterface

from .client import Client

POLYGONS = """<View>
  <Image name="image" value="$image"/>
  <KeyPointLabels name="point" toName="image" smart="true">{labels}</KeyPointLabels>
  <RectangleLabels name="box" toName="image" smart="true">{labels}</RectangleLabels>
  <PolygonLabels name="polygon" toName="image" smart="false"{attributes}>{labels}</PolygonLabels>
</View>"""


def polygon_config(*labels: str, attributes: str = "") -> str:
    """Polygons as answers, key points and boxes as prompts."""
    tags = "".join(
        f'<Label value="{label}" background="#{40 * i:02x}ff00"/>' for i, label in enumerate(labels)
    )
    return POLYGONS.format(labels=tags, attributes=f" {attributes}" if attributes else "")


def assert_predicted(config: str, predictions: Mapping[int, Sequence[Mapping[str, Any]]], tasks: int) -> None:
    """Every one of `tasks` tasks has exactly one prediction, with at least one region, and it is valid."""
    assert len(predictions) == tasks
    assert {task: len(ones) for task, ones in predictions.items()} == dict.fromkeys(predictions, 1)
    for ones in predictions.values():
        assert_valid(config, ones[0])


def assert_valid(config: str, prediction: Mapping[str, Any]) -> None:
    """It has regions, fits the labelling config, and its regions lie within the picture."""
    answer = {name: prediction[name] for name in ("result", "score", "model_version")}
    assert answer["result"], "no region"
    assert LabelInterface(config).validate_prediction(answer, return_errors=True) == []
    ids = [region["id"] for region in answer["result"]]
    assert len(set(ids)) == len(ids)
    assert 0 < answer["score"] <= 1
    for region in answer["result"]:
        for x, y in region["value"].get("points", []):
            assert -0.01 <= x <= 100.01, region["id"]
            assert -0.01 <= y <= 100.01, region["id"]


def labels_of(prediction: Mapping[str, Any]) -> set[str]:
    """All labels of all its regions."""
    return {label for region in prediction["result"] for label in region["value"][region["type"]]}


def sizes_of(prediction: Mapping[str, Any]) -> set[tuple[int, int]]:
    """The (H, W) that its regions say the picture has."""
    return {(region["original_height"], region["original_width"]) for region in prediction["result"]}


def predict_body(client: Client, project: int, config: str) -> dict[str, Any]:
    """One POST /predict for all tasks of a project, as Label Studio 1.23 writes it."""
    written = (
        "id",
        "data",
        "meta",
        "created_at",
        "updated_at",
        "is_labeled",
        "overlap",
        "inner_id",
        "project",
    )
    tasks = [{name: task[name] for name in written} for task in client.tasks(project)]
    for task in tasks:
        task |= {"annotations": [], "predictions": [], "file_upload": None, "comment_authors": []}
    params = {"login": None, "password": None, "context": None}
    return {"tasks": tasks, "project": client.uid(project), "label_config": config, "params": params}


def prompt_on(region: Mapping[str, Any], kind: str, label: str) -> dict[str, Any]:
    """A key point on, or a box around, a region, as the editor sends it."""
    xs, ys = zip(*region["value"]["points"], strict=True)
    common = {name: region[name] for name in ("original_width", "original_height")}
    common |= {"id": "prompt-1", "image_rotation": 0, "to_name": "image", "type": kind, "origin": "manual"}
    if kind == "rectanglelabels":
        box = {
            "x": min(xs),
            "y": min(ys),
            "width": max(xs) - min(xs),
            "height": max(ys) - min(ys),
            "rotation": 0,
        }
        return {**common, "from_name": "box", "value": {**box, "rectanglelabels": [label]}}
    x, y = _inside(region)
    value = {"x": x, "y": y, "width": 0.3, "labels": [label], "keypointlabels": [label]}
    return {**common, "from_name": "point", "is_positive": True, "value": value}


def _inside(region: Mapping[str, Any]) -> tuple[float, float]:
    """A point well inside a polygon, in percent."""
    point = shapely.maximum_inscribed_circle(
        shapely.Polygon(region["value"]["points"]).buffer(0), 0.5
    ).coords[0]
    return float(point[0]), float(point[1])
