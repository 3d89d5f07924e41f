"""Request bodies of the shape that Label Studio 1.23.2 sends to an ML backend."""

from __future__ import annotations

from typing import Any

CONFIG = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <PolygonLabels name="polygon" toName="image" smart="false"><Label value="car"/></PolygonLabels>
  <KeyPointLabels name="kp" toName="image" smart="true"><Label value="car"/></KeyPointLabels>
</View>"""
CREATED = 1795428142  # 2026-11-23T10:02:22Z; a project is named by its id and when it was made


def setup(project: int = 1, config: str = CONFIG, **fields: Any) -> dict[str, Any]:
    """POST /setup."""
    return {
        "project": f"{project}.{CREATED}",
        "schema": config,
        "hostname": "http://127.0.0.1:8085",
        "access_token": "0123456789abcdef0123456789abcdef01234567",
        "extra_params": None,
        **fields,
    }


def task(number: int, url: str = "/data/upload/1/a.jpg", project: int = 1) -> dict[str, Any]:
    """One of `tasks` in POST /predict."""
    return {
        "id": number,
        "data": {"image": url},
        "meta": {},
        "created_at": "2026-11-23T10:02:23.042491Z",
        "updated_at": "2026-11-23T10:02:23.042527Z",
        "is_labeled": False,
        "overlap": 1,
        "inner_id": number,
        "total_annotations": 0,
        "cancelled_annotations": 0,
        "total_predictions": 0,
        "comment_count": 0,
        "unresolved_comment_count": 0,
        "last_comment_updated_at": None,
        "project": project,
        "updated_by": None,
        "file_upload": None,
        "comment_authors": [],
        "annotations": [],
        "predictions": [],
    }


def predict(
    tasks: list[dict[str, Any]],
    project: int = 1,
    config: str = CONFIG,
    context: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """POST /predict; with `context`, what a click sends."""
    return {
        "tasks": tasks,
        "project": f"{project}.{CREATED}",
        "label_config": config,
        "params": {"login": None, "password": None, "context": context},
    }


def click(x: float, y: float) -> dict[str, Any]:
    """The context of one key point, in percent."""
    point = {
        "original_width": 640,
        "original_height": 480,
        "image_rotation": 0,
        "value": {"x": x, "y": y, "width": 0.23, "labels": ["car"], "keypointlabels": ["car"]},
        "is_positive": True,
        "id": "c5l4WidMTN",
        "from_name": "kp",
        "to_name": "image",
        "type": "keypointlabels",
        "origin": "manual",
    }
    return {"result": [point]}


def webhook(action: str, project: int = 1, config: str = CONFIG, **fields: Any) -> dict[str, Any]:
    """POST /webhook; `fields` are annotations and tasks, which depend on the action."""
    about = {
        "id": project,
        "title": "cars",
        "created_at": "2026-11-23T10:02:22.913405Z",
        "label_config": config,
        "model_version": "Emergent Labeler",  # the backend's title
        "task_number": 2,
    }
    return {"action": action, "project": about, **fields}


def annotation(number: int, of_task: int, result: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """`annotation` in a webhook."""
    return {
        "id": number,
        "task": of_task,
        "project": 1,
        "completed_by": 1,
        "result": result or [],
        "was_cancelled": False,
        "ground_truth": False,
        "lead_time": 3.2,
        "parent_prediction": None,
        "created_at": "2026-11-23T10:05:00.000000Z",
        "updated_at": "2026-11-23T10:05:00.000000Z",
    }
