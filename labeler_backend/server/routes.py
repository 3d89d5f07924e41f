"""What each route does. Nothing here knows how proposals are made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from labeler_backend.errors import LabelerError, WeightsError
from labeler_backend.server.body import dump, parse, parse_predict, read
from labeler_backend.server.metrics import CONTENT_TYPE, Metrics
from labeler_backend.server.page import SECURITY, render_status
from labeler_backend.server.protocol import (
    Failure,
    Health,
    Noted,
    PredictRequest,
    SetupRequest,
    SetupResponse,
    StatusReport,
    Versions,
    WebhookEvent,
)
from labeler_backend.server.types import Answer, Backend, HungUp

log = logging.getLogger(__name__)

PATHS = frozenset(
    {"/", "/health", "/setup", "/predict", "/webhook", "/versions", "/status", "/status.json", "/metrics"}
    | {"/openapi.json"}
)
SETUP_MAX_MB = 8.0  # a labelling config with 10,000 labels has half a MB
_FAILURES_KEPT = 50
_SMALL = 256_000  # bytes that are parsed in about a millisecond: not worth a thread

Out = TypeVar("Out")


class Routes:
    """The routes around one service. Docstrings stand in /openapi.json."""

    def __init__(self, service: Backend, body_max_mb: float) -> None:
        self._service = service
        self._body_max_mb = body_max_mb
        # Large bodies wait for each other, and pages do; neither for the other, as the first page may have to
        # count what is in the caches.
        self._bodies = ThreadPoolExecutor(2, thread_name_prefix="bodies")
        self._pages = ThreadPoolExecutor(1, thread_name_prefix="pages")
        self._failures: deque[Failure] = deque(maxlen=_FAILURES_KEPT)
        self.metrics = Metrics(self._report, PATHS)

    async def root(self) -> RedirectResponse:
        """To the status page, for a person who opens the backend's URL."""
        return RedirectResponse("status", 303)

    async def health(self) -> Health:
        """Answers at once, whatever the model is doing. Needs no login.

        Label Studio asks before every batch and gives up after a second."""
        return Health()

    async def setup(self, request: Request) -> SetupResponse:
        """Label Studio asks for a prediction wherever it has none of the `model_version` answered here.

        Answers at once and loads nothing: Label Studio waits three seconds. Nothing has to be set up before
        the other calls work."""
        wanted = parse(SetupRequest, await read(request, SETUP_MAX_MB))
        return SetupResponse(model_version=self._service.setup(wanted))

    async def predict(self, request: Request) -> Response:
        """Proposals for each task, or what a click means when `params.context` holds one.

        Exactly one element per task, in their order. `[]` stands for what is not ready, or failed for now:
        Label Studio saves nothing and asks again. An element with an empty `result` is final: nothing was
        found, or it can never work. Why something failed stands on /status."""
        begun = time.perf_counter()
        body = await read(request, self._body_max_mb)
        wanted = await self._aside(len(body) > _SMALL, lambda: parse_predict(body))
        elements = await self._predict(wanted, request.is_disconnected)
        text, unwritten = await self._aside(len(elements) > 8, lambda: dump(elements))
        for index, error in unwritten.items():
            log.error("The answer for task %d of %d cannot be written: %s", index + 1, len(elements), error)
            self._failed(wanted, "The answer could not be written as JSON; the log has the details.", index)
        self.metrics.predicted(_kind(wanted), time.perf_counter() - begun)
        return Response(text, media_type="application/json")

    async def webhook(self, request: Request) -> Noted:
        """Takes note of what happened in Label Studio and answers at once; unknown actions are ignored.

        With a login, the webhook in Label Studio needs an `Authorization` header of its own."""
        body = await read(request, self._body_max_mb)
        event = await self._aside(len(body) > _SMALL, lambda: parse(WebhookEvent, body))
        self._service.webhook(event)
        return Noted()

    async def versions(self) -> Versions:
        """The model versions there are."""
        return Versions(versions=self._service.versions())

    async def status(self) -> HTMLResponse:
        """How the backend is doing, for people: model, queue, caches, what became of the proposals, and what
        failed and why."""
        page = await self._paged(lambda: render_status(self._report(), time.time()))
        return HTMLResponse(page, headers=SECURITY)

    async def status_json(self) -> StatusReport:
        """What /status shows, for programs."""
        return await self._paged(self._report)

    async def prometheus(self) -> Response:
        """For Prometheus: queue, latency of /predict, caches, failures, what became of the proposals."""
        return Response(await self._paged(self.metrics.render), media_type=CONTENT_TYPE)

    async def _aside(self, large: bool, work: Callable[[], Out]) -> Out:
        """`work()`, in a thread where it is `large`, so that the event loop goes on answering."""
        if not large:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._bodies, work)

    async def _paged(self, work: Callable[[], Out]) -> Out:
        return await asyncio.get_running_loop().run_in_executor(self._pages, work)

    async def _predict(self, wanted: PredictRequest, hung_up: HungUp) -> Sequence[Answer]:
        """The service's answer. If it fails, every task gets `[]` and /status the reason.

        Raises:
            HTTPException: 422 when the request itself is wrong.
        """
        try:
            elements = await self._service.predict(wanted, hung_up)
        except WeightsError as error:
            self._failed(wanted, str(error))
        except LabelerError as error:
            self._failed(wanted, str(error))
            raise HTTPException(422, str(error)) from error
        except Exception:
            log.exception("/predict failed")
            self._failed(wanted, "The backend failed at this request; its log has the details.")
        else:
            if len(elements) == len(wanted.tasks):
                return elements
            log.error("%d elements for %d tasks", len(elements), len(wanted.tasks))
            self._failed(wanted, "The backend lost count of its answers, so none was given.")
        return [[] for _ in wanted.tasks]

    def _failed(self, wanted: PredictRequest, reason: str, index: int | None = None) -> None:
        """For the status page; about the task at `index`, or the only one."""
        if index is None and len(wanted.tasks) == 1:
            index = 0
        task = wanted.tasks[index] if index is not None else None
        number = task.get("id") if isinstance(task, dict) else None
        self._failures.appendleft(
            Failure(
                at=time.time(),
                project=wanted.project,
                task=number if isinstance(number, int) else None,
                link=None,
                reason=" ".join(reason.split()),
                final=False,
            )
        )

    def _report(self) -> StatusReport:
        report = self._service.status()
        failures = sorted([*self._failures, *report.failures], key=lambda failure: -failure.at)
        return report.model_copy(update={"failures": failures})


def _kind(wanted: PredictRequest) -> str:
    if wanted.params is not None and wanted.params.context is not None:
        return "click"
    return "opened" if len(wanted.tasks) == 1 else "batch"
