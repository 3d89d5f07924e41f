"""What the backend does with each request: who is asked, in which order, until when, and what is answered."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from labeler_backend import __version__
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.proposals.propose import ProposalSettings
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.connections import Connection, Connections
from labeler_backend.server.pool import Full, PriorityPool, Urgency
from labeler_backend.server.proposing import Proposing
from labeler_backend.server.protocol import (
    CacheStatus,
    Failure,
    ModelStatus,
    Prediction,
    PredictRequest,
    ProjectStatus,
    QueueStatus,
    SetupRequest,
    StatusReport,
    WebhookEvent,
    project_uid,
)
from labeler_backend.store import Store
from labeler_backend.studio.config import AnswerTag, ImageTag, LabelingConfig, read_config
from labeler_backend.studio.media import Access, Media, MediaError, MediaStore
from labeler_backend.studio.predictions import Page, answer_prompt, prediction

logger = logging.getLogger("labeler_backend")

PENDING = b"[]"
"""Saves nothing, so that Label Studio asks again (seen in its ml/models.py)."""
_IN_FLIGHT = 32  # tasks of one request: enough to keep every thread busy, few enough to stay fair
_FAILURES = 100
_LOOKING = 0.5  # seconds between two looks at whether the client is still there
_RATE_WINDOW = 60.0

Element = bytes
"""One task's answer as JSON: `PENDING` or a `Prediction`."""


@dataclass
class _Ask:
    """One /predict request; `urgency` falls when its deadline has passed.

    `fingerprint` is of all that its answers depend on, tasks and images apart.
    """

    project: str
    config: LabelingConfig
    access: Access | None
    context: Mapping[str, Any] | None
    urgency: Urgency
    fingerprint: str
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_IN_FLIGHT))


@dataclass(frozen=True)
class Limits:
    """How long a request may take.

    Attributes:
        deadline: seconds after which a batch is answered with what is ready; Label Studio gives up at 100.
        opening: the same where a labeler waits before a blank page.
    """

    deadline: float = 90.0
    opening: float = 20.0


class Service:
    """The backend without HTTP. All coroutines run in one event loop; what takes time runs in threads."""

    def __init__(
        self,
        *,
        model: str,
        size: int,
        model_version: str,
        proposing: Proposing,
        media: MediaStore,
        connections: Connections,
        answers: Store,
        acceptance: Acceptance,
        caches: Mapping[str, Store],
        limits: Limits,
    ) -> None:
        """`caches` are shown on the status page by these names; `answers` keeps whole answers by what they came of."""
        self.model_version = model_version
        self._model, self._size = model, size
        self._proposing, self._media = proposing, media
        self._connections, self._answers, self._acceptance = connections, answers, acceptance
        self._caches, self._limits = caches, limits
        self._fetching = PriorityPool("fetch", threads=8, express=4, capacity=10 * proposing.pool.capacity)
        self._ledger = ThreadPoolExecutor(1, "ledger")
        self._stopping = asyncio.Event()
        self._started = time.time()
        self._failures: deque[Failure] = deque(maxlen=_FAILURES)
        self._notes: dict[str, tuple[str, ...]] = {}
        self._titles: dict[str, str] = {}
        self._warming: dict[str, set[asyncio.Task[Element]]] = {}
        self._finished: deque[float] = deque(maxlen=10_000)
        self._done = self._failed_count = 0

    async def start(self) -> None:
        """Begins to load the model, so that the first request need not."""
        asyncio.get_running_loop().run_in_executor(None, self._preload)

    async def stop(self, grace: float) -> None:
        """Answers running requests with what is ready, gives running work `grace` seconds, writes what is to be."""
        self._stopping.set()
        for jobs in self._warming.values():
            _cancel(jobs)
        await asyncio.gather(
            asyncio.to_thread(self._proposing.pool.close, grace),
            asyncio.to_thread(self._fetching.close, grace),
            asyncio.to_thread(self._ledger.shutdown),
        )

    def setup(self, request: SetupRequest) -> str:
        """Remembers where the project lives; the version of its predictions. Touches neither model nor disk."""
        said = Connection(request.hostname, request.access_token, request.extra_params)
        if request.project and self._connections.remember(request.project, said):
            self._ledger.submit(self._connections.save)
        return self.model_version

    def versions(self) -> list[str]:
        """The versions whose predictions this backend can make."""
        return [self.model_version]

    def webhook(self, event: WebhookEvent) -> None:
        """Takes note; the work is done later."""
        self._ledger.submit(self._take_note, event)

    async def predict(self, request: PredictRequest, hung_up: Callable[[], Awaitable[bool]]) -> list[Element]:
        """One element per task, in their order, before the deadline; what is not ready then goes on without it.

        Args:
            request: as Label Studio sends it.
            hung_up: whether nobody waits for the answer any more; then its work is dropped.

        Raises:
            ConfigError: the labelling config cannot be read.
        """
        ask = await self._asked(request)
        if ask.urgency == Urgency.BATCH:  # it takes over where the last one ran out of time
            _cancel(self._warming.pop(ask.project, ()))
        jobs = [asyncio.create_task(self._element(ask, task)) for task in request.tasks]
        seconds = self._limits.deadline if ask.urgency == Urgency.BATCH else self._limits.opening
        await self._until(jobs, seconds, hung_up)
        if await hung_up():
            _cancel(jobs)
            return [PENDING] * len(jobs)
        ask.urgency = Urgency.WARMING
        self._warm(ask.project, [job for job in jobs if not job.done()])
        return [job.result() if job.done() and not job.cancelled() else PENDING for job in jobs]

    def status(self) -> StatusReport:
        """Everything the status page shows; to be called in a thread."""
        return StatusReport(
            product_version=__version__,
            started_at=self._started,
            model=self._model_status(),
            queue=self._queue_status(),
            caches=[
                CacheStatus(
                    name=name,
                    bytes=store.bytes,
                    max_bytes=store.max_bytes,
                    hits=store.hits,
                    misses=store.misses,
                )
                for name, store in self._caches.items()
            ],
            projects=[self._project_status(name) for name in sorted(self._projects())],
            failures=list(self._failures),
        )

    async def _until(
        self, jobs: Sequence[asyncio.Task[Element]], seconds: float, hung_up: Callable[[], Awaitable[bool]]
    ) -> None:
        """Returns when all jobs are done, the time is over, nobody waits any more, or the server stops."""
        if not jobs:
            return
        everything = asyncio.create_task(asyncio.wait(jobs))
        stopping = asyncio.create_task(self._stopping.wait())
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stopping.is_set():
            ends: set[asyncio.Task[Any]] = {everything, stopping}
            await asyncio.wait(ends, timeout=min(left, _LOOKING), return_when=asyncio.FIRST_COMPLETED)
            if everything.done() or await hung_up():
                break
        everything.cancel()
        stopping.cancel()

    def _warm(self, project: str, jobs: Sequence[asyncio.Task[Element]]) -> None:
        """Lets them go on, so that the next request finds their answers."""
        warming = self._warming.setdefault(project, set())
        warming.update(jobs)
        for job in jobs:
            job.add_done_callback(warming.discard)

    async def _asked(self, request: PredictRequest) -> _Ask:
        context = request.params.context if request.params else None
        extra = self._connections.of(request.project).extra_params
        config = await asyncio.to_thread(read_config, request.label_config, extra)
        self._notes[request.project] = config.notes
        if context:
            urgency = Urgency.CLICK
        else:
            urgency = Urgency.OPENED if len(request.tasks) == 1 else Urgency.BATCH
        access = self._connections.access(request.project)
        fingerprint = _digest([self.model_version, __version__, config.xml, extra])
        return _Ask(request.project, config, access, context, urgency, fingerprint)

    async def _element(self, ask: _Ask, task: Any) -> Element:
        """One task's answer, whatever goes wrong with it."""
        async with ask.turn:
            try:
                element = await self._answer(ask, *_identified(task))
            except Full:
                return PENDING
            except asyncio.CancelledError:  # the pools are closing
                return PENDING
            except MediaError as error:
                return self._failed(ask, task, error, final=error.final)
            except InputError as error:
                return self._failed(ask, task, error, final=True)
            except LabelerError as error:
                return self._failed(ask, task, error, final=False)
            except Exception as error:
                logger.exception("A task of project %s could not be answered.", ask.project)
                return self._failed(ask, task, error, final=False)
            self._finished.append(time.monotonic())
            self._done += 1
            return element

    async def _answer(self, ask: _Ask, task: int, data: Mapping[str, Any]) -> Element:
        tags = [(image, tag) for image in ask.config.images if (tag := ask.config.answer_for(image))]
        if not tags:
            return self._empty()
        media = {
            image.name: await asyncio.gather(
                *(self._fetch(ask, url, task) for url in ask.config.pages(data, image))
            )
            for image, _ in tags
        }
        if ask.context:
            clicked = await self._computed(ask, task, tags, media)
            self._ledger.submit(self._record, ask.project, task, clicked, True)
            return clicked
        contents = {name: [one.sha256 for one in pages] for name, pages in media.items()}
        key = _digest([ask.fingerprint, task, contents])
        known = await self._fetching.run(("answer", key), ask.urgency, lambda: self._answers.read(key))
        if known is None:
            known = await self._computed(ask, task, tags, media)
            self._ledger.submit(self._answers.write, key, known)
        self._ledger.submit(self._record, ask.project, task, known, False)
        return known

    async def _computed(
        self,
        ask: _Ask,
        task: int,
        tags: Sequence[tuple[ImageTag, AnswerTag]],
        media: Mapping[str, Sequence[Media]],
    ) -> Element:
        pages = {image.name: await self._pages(ask, image, tag, media[image.name]) for image, tag in tags}

        def answer() -> Element:
            if ask.context:
                made = answer_prompt(task, ask.config, ask.context, pages, self.model_version)
            else:
                made = prediction(task, ask.config, pages, self.model_version)
            return made.model_dump_json().encode()

        return await self._proposing.pool.run(object(), ask.urgency, answer)

    async def _pages(self, ask: _Ask, image: ImageTag, tag: AnswerTag, media: Sequence[Media]) -> list[Page]:
        usual = ProposalSettings()
        settings = ProposalSettings(
            max(usual.max_proposals, tag.max_proposals), min(usual.min_score, tag.min_score)
        )
        seen = await asyncio.gather(*(self._proposing.see(one, settings, ask.urgency) for one in media))
        return [
            Page(index if image.many else None, one.size, one.proposals) for index, one in enumerate(seen)
        ]

    async def _fetch(self, ask: _Ask, url: str, task: int) -> Media:
        return await self._fetching.run(
            (url, ask.access), ask.urgency, lambda: self._media.fetch(url, ask.access, task)
        )

    def _empty(self) -> Element:
        return Prediction(result=[], score=0.0, model_version=self.model_version).model_dump_json().encode()

    def _failed(self, ask: _Ask, task: Any, error: Exception, final: bool) -> Element:
        number = task.get("id") if isinstance(task, dict) else None
        number = number if isinstance(number, int) else None
        reason = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, LabelerError):
            reason = f"This is a mistake in the program ({type(error).__name__}: {reason}): please report it."
        self._failed_count += 1
        self._failures.appendleft(
            Failure(
                at=time.time(),
                project=ask.project,
                task=number,
                link=self._link(ask.project, number),
                reason=reason,
                final=final,
            )
        )
        return self._empty() if final else PENDING

    def _link(self, project: str, task: int | None = None) -> str | None:
        hostname, number = self._connections.of(project).hostname.rstrip("/"), project.partition(".")[0]
        if not hostname.startswith(("http://", "https://")) or not number.isdigit():
            return None
        return f"{hostname}/projects/{number}/data" + (f"?task={task}" if task is not None else "")

    def _record(self, project: str, task: int, element: Element, clicked: bool) -> None:
        self._acceptance.record_answer(project, task, Prediction.model_validate_json(element), clicked)

    def _take_note(self, event: WebhookEvent) -> None:
        about = (event.model_extra or {}).get("project")
        project = project_uid(about)
        if not project or not isinstance(about, dict):
            return
        try:
            self._acceptance.record_event(project, event)
        except Exception:
            logger.exception("The event %s could not be taken note of.", event.action)
        self._titles[project] = str(about.get("title") or "")

    def _preload(self) -> None:
        try:
            self._proposing.labeler()
        except LabelerError as error:
            logger.error("%s", error)

    def _model_status(self) -> ModelStatus:
        device, dtype, key = self._proposing.facts or (None, None, None)
        return ModelStatus(
            name=self._model,
            version=self.model_version,
            state=self._proposing.state,
            problem=self._proposing.problem,
            device=device,
            dtype=dtype,
            key=key,
            size=self._size,
        )

    def _queue_status(self) -> QueueStatus:
        waiting = self._proposing.pool.waiting()
        since = time.monotonic() - _RATE_WINDOW
        return QueueStatus(
            clicks=waiting[Urgency.CLICK],
            opened=waiting[Urgency.OPENED],
            batch=waiting[Urgency.BATCH],
            warming=waiting[Urgency.WARMING],
            running=self._proposing.pool.running,
            capacity=self._proposing.pool.capacity,
            done=self._done,
            failed=self._failed_count,
            images_per_second=sum(at > since for at in list(self._finished)) / _RATE_WINDOW,
        )

    def _project_status(self, project: str) -> ProjectStatus:
        counts = self._acceptance.counts(project)
        return ProjectStatus(
            id=project,
            title=self._titles.get(project),
            link=self._link(project),
            notes=list(self._notes.get(project, ())),
            **asdict(counts),
        )

    def _projects(self) -> set[str]:
        return {*self._acceptance.projects(), *self._notes}


def _identified(task: Any) -> tuple[int, Mapping[str, Any]]:
    """A task's id and data.

    Raises:
        InputError: it is none.
    """
    if not isinstance(task, dict):
        raise InputError(f"A task was {type(task).__name__} and not an object with id and data.")
    number, data = task.get("id"), task.get("data")
    if not isinstance(number, int) or isinstance(number, bool):
        raise InputError("A task came without a whole number as its id.")
    if not isinstance(data, dict):
        raise InputError(f"Task {number} came without data: import it again with the image's URL.")
    return number, data


def _cancel(jobs: Iterable[asyncio.Task[Element]]) -> None:
    for job in list(jobs):
        job.cancel()


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
