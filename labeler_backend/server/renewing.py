"""What people draw in a video outdates what was predicted for it: that is taken back, so as to be asked anew.

Label Studio asks for no task that has a prediction of the version it knows, whatever has been drawn since.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from labeler_backend.errors import LabelerError
from labeler_backend.server.connections import Connections, logged_in
from labeler_backend.server.protocol import PredictRequest, WebhookEvent, project_uid
from labeler_backend.studio.client import Studio
from labeler_backend.studio.version import is_ours
from labeler_backend.studio.video.seals import followed, to_follow

logger = logging.getLogger("labeler_backend")

_EVENTS = frozenset({"ANNOTATION_CREATED", "ANNOTATION_UPDATED"})

Follow = Callable[[PredictRequest], None]
"""Begins to follow what was drawn in a task, for nobody who waits."""


class Renewing:
    """One thread, so that events of a task are looked at in their order."""

    def __init__(self, connections: Connections, base: str) -> None:
        """`base`: what predictions without a head are stamped with."""
        self._connections, self._base = connections, base
        self._worker = ThreadPoolExecutor(1, "renewing")

    def event(self, event: WebhookEvent, follow: Follow) -> None:
        """Something happened in Label Studio; returns at once."""
        request = request_of(event)
        if request is not None:
            self._worker.submit(self._renew, request, follow)

    def close(self) -> None:
        """Looks at no more events."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _renew(self, request: PredictRequest, follow: Follow) -> None:
        [task] = request.tasks
        try:
            if not self._answered(request.project, task["id"], to_follow(task["annotations"][0]["result"])):
                follow(request)
        except LabelerError as error:
            logger.warning("Predictions of task %s are outdated, and stay: %s", task["id"], error)
        except Exception:
            logger.exception("Predictions of task %s could not be renewed.", task["id"])

    def _answered(self, project: str, task: int, news: Mapping[str, str]) -> bool:
        """Whether a prediction follows all that is new; those of ours that do not are deleted."""
        access = self._connections.access(project)
        if access is None:
            return False
        with logged_in(access) as studio:
            return _take_back(studio, task, news, self._base)


def request_of(event: WebhookEvent) -> PredictRequest | None:
    """What Label Studio would ask after an annotation in which something new was drawn in a video."""
    said = event.model_extra or {}
    annotation, project, task = (said.get(name) for name in ("annotation", "project", "task"))
    if event.action not in _EVENTS or not all(isinstance(one, dict) for one in (annotation, project, task)):
        return None
    assert isinstance(annotation, dict)
    assert isinstance(project, dict)
    assert isinstance(task, dict)
    result, config = annotation.get("result"), project.get("label_config")
    if annotation.get("was_cancelled") or not isinstance(result, list) or not to_follow(result):
        return None
    if not isinstance(config, str) or not isinstance(task.get("id"), int):
        return None
    tasks = [{**task, "annotations": [annotation]}]
    return PredictRequest(tasks=tasks, project=project_uid(project), label_config=config)


def _take_back(studio: Studio, task: int, news: Mapping[str, str], base: str) -> bool:
    answered = False
    for prediction in studio.get("/api/predictions", task=task):
        if not is_ours(str(prediction.get("model_version")), base):
            continue
        if news.items() <= followed(_list(prediction.get("result"))).items():
            answered = True
        else:
            studio.delete(f"/api/predictions/{prediction['id']}/")
    return answered


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
