"""The backend as a model of label-studio-ml, for people who already run their backends with it.

`labeler serve` is the better server for the same work. What this one cannot do is in `EmergentLabelerModel`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from labeler_backend.errors import InputError
from labeler_backend.server.build import make_service  # not later: the first /setup has three seconds
from labeler_backend.server.protocol import Params, PredictRequest, SetupRequest, WebhookEvent
from labeler_backend.server.service import Service
from labeler_backend.settings import load_server_settings

try:
    from label_studio_ml.model import LabelStudioMLBase
except ImportError as error:
    raise ImportError(
        f"label-studio-ml cannot be imported ({error}): run "
        '`pip install "emergent-labeler[label-studio-ml]"`, which also brings what it does not declare.'
    ) from error

logger = logging.getLogger("labeler_backend")

API = 2 if importlib.util.find_spec("label_studio_ml.response") else 1
"""Which API of label-studio-ml is installed: 1 = PyPI's 1.0.9, 2 = what is on GitHub."""

_POSITIONAL = {1: ("label_config", "train_output"), 2: ("project_id", "label_config")}[API]


def _service_of_settings() -> Service:
    return make_service(load_server_settings())


make: Callable[[], Service] = _service_of_settings
"""Builds the process's service when the first model is made; put another in its place before that."""


class _Host:
    """The process's service, however many models label-studio-ml makes, and the event loop it lives in."""

    def __init__(self) -> None:
        self.service = make()
        self.process = os.getpid()
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def predict(self, setup: SetupRequest, request: PredictRequest) -> list[Any]:
        """One decoded element per task; blocks until they are there."""

        async def answer() -> list[bytes]:
            self.service.setup(setup)
            return await self.service.predict(request, _nobody_hangs_up)

        elements = asyncio.run_coroutine_threadsafe(answer(), self._running()).result()
        return [json.loads(element) for element in elements]

    def _running(self) -> asyncio.AbstractEventLoop:
        """Started by the first prediction: a process that only takes note of webhooks needs no model."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="labeler", daemon=True).start()
                asyncio.run_coroutine_threadsafe(self.service.start(), self._loop).result()
            return self._loop


async def _nobody_hangs_up() -> bool:
    return False  # neither API of label-studio-ml says when a client has gone


_building = threading.Lock()
_built: _Host | None = None


def _host() -> _Host:
    """This process's; a fork has no use for its parent's, whose threads stayed behind."""
    global _built
    with _building:
        if _built is None or _built.process != os.getpid():
            _built = _Host()
        return _built


class EmergentLabelerModel(LabelStudioMLBase):  # type: ignore[misc] # it has no types
    """Proposals, clicks and the count of what became of them, served by label-studio-ml.

    It goes by the settings of `labeler serve` (`LABELER_*`, `LABEL_STUDIO_URL`, `LABEL_STUDIO_API_KEY`). All
    models of one process share one service, and so one backbone, one queue and one cache.

    Limits that come from label-studio-ml and not from here:

    - 1.x keeps one model, made from the labelling config that /setup said last, and asks it for the tasks of
      every project: serve one project with it. It answers 500 to /predict until the first /setup.
    - 1.x names its own model version, `INITIAL`, whatever the model is. Predictions carry none there, so that
      Label Studio stamps them with that one; with another it would ask for the tasks again each time. When
      the model is changed or a head was learned, the predictions made before have to be deleted by hand.
    - 1.x does not hand over the extra params of the Model page: give `extra_params` to its `init_app`.
    - 1.x starts a process for each webhook. 2.x drops the webhooks of deleted and of bulk-made annotations,
      so that the counts of accepted and rejected proposals are off by them.
    - 2.x takes no address and no token from /setup: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY.
    - Neither says that a client has gone, offers GET /versions, or has a page that shows what failed.
    """

    TRAIN_EVENTS = (
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "TASKS_DELETED",
        "START_TRAINING",
    )
    """What 1.x hands to `fit`; its own list has events that Label Studio never sends and lacks others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As label-studio-ml makes its models.

        Args:
            args: 1.x: `label_config, train_output`; 2.x: `project_id, label_config`.
            kwargs: the same by name; 1.x also `hostname`, `access_token` and what was given to `init_app`,
                such as `extra_params` (an object or JSON, as on Label Studio's Model page).

        Raises:
            LabelerError: a setting cannot be used.
        """
        given = {**dict(zip(_POSITIONAL, args, strict=False)), **kwargs}
        self._config: str | None = given.get("label_config")
        self._extra_params: Any = given.pop("extra_params", None)
        super().__init__(**given)
        if API == 1:
            self.model_version = _host().service.version("")  # it does not say which project it is for

    def setup(self) -> None:
        """2.x calls this at the end of its constructor and answers /setup with the version it finds.

        It has to be the one that predictions are stamped with, whichever head answers by now: with another,
        Label Studio asks for all tasks each time, and stores answer beside answer.
        """
        version = _host().service.version(str(self.project_id))
        if self.get("model_version") != version:
            self.set("model_version", version)

    def set_extra_params(self, extra_params: Any) -> None:
        """2.x hands over what Label Studio sent, an object or a string, and can only keep a string."""
        kept = extra_params if isinstance(extra_params, str) else json.dumps(extra_params)
        super().set_extra_params(kept)

    def predict(
        self, tasks: Sequence[Any], context: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> list[Any]:
        """One element per task, in their order; an empty list where a task is not ready: ask for it again.

        Args:
            tasks: as Label Studio sends them.
            context: what somebody clicked: `{"result": [...]}`.
            kwargs: `login` and `password` of the task data; not used.

        Returns:
            Predictions as in the protocol. A plain list under 2.x too: its `ModelResponse` would turn every
            region into an object and back.

        Raises:
            InputError: there is no labelling config, which happens before the first /setup.
            ConfigError: the labelling config cannot be read.
        """
        project, config = self._project(tasks), self._config or self.label_config
        if not config:
            raise InputError(
                "There is no labelling config yet: Label Studio sends it when a backend is connected."
            )
        said = {"project": project, "schema": config, "extra_params": self._extra()}
        if API == 1:
            said |= {"hostname": self.hostname or "", "access_token": self.access_token or ""}
        params = Params(context=dict(context) if context else None)
        request = PredictRequest(tasks=list(tasks), project=project, label_config=config, params=params)
        elements = _host().predict(SetupRequest.model_validate(said), request)
        if API == 2:
            return elements
        self.model_version = _host().service.version(project)
        return [_unstamped(element) for element in elements]

    def fit(self, *args: Any, event: str | None = None, data: Any = None, **kwargs: Any) -> None:
        """Takes note of a webhook and returns at once; learning from annotations reads the project's export.

        Args:
            args: 2.x: `event, data`; 1.x: tasks, which it leaves empty.
            event: such as ANNOTATION_CREATED.
            data: the webhook's body without its `action`.
            kwargs: `job_id`, `workdir` and the like; not used.

        Returns:
            None, always: 1.x takes anything else for a new model, and has all tasks predicted again.
        """
        if event is None and len(args) == 2:
            event, data = args
        if not isinstance(event, str) or not isinstance(data, Mapping):
            return
        try:
            _host().service.webhook(WebhookEvent.model_validate({**_known_by_number(data), "action": event}))
        except ValidationError as error:
            logger.warning("Webhook %s cannot be read: %s.", event, error.errors()[0]["msg"])

    def _project(self, tasks: Sequence[Any]) -> str:
        """2.x says it; in 1.x only the tasks know."""
        if API == 2:
            return str(self.project_id)
        of_tasks = (task.get("project") for task in tasks if isinstance(task, dict))
        return str(next((project for project in of_tasks if project is not None), ""))

    def _extra(self) -> Any:
        return self._extra_params or (self.get("extra_params") if API == 2 else None)


def _known_by_number(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without the second the project was made in: part of its name where known, but predictions lack it."""
    about = data.get("project")
    if not isinstance(about, Mapping):
        return dict(data)
    return {**data, "project": {name: value for name, value in about.items() if name != "created_at"}}


def _unstamped(element: Any) -> Any:
    """Without the model version, which under 1.x is never the one that its /setup says."""
    if isinstance(element, list):
        return [_unstamped(one) for one in element]
    return {name: value for name, value in element.items() if name != "model_version"}
