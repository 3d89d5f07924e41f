"""What the backend does with each request: who is served first, until when, and what goes on after."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labeler_backend import __version__
from labeler_backend.errors import LabelerError
from labeler_backend.server.answering import PENDING, Answering, Ask, Element
from labeler_backend.server.carrying import Progress
from labeler_backend.server.connections import Connection, Connections
from labeler_backend.server.journal import Journal
from labeler_backend.server.live import Live
from labeler_backend.server.pool import Urgency
from labeler_backend.server.proposing import Proposing
from labeler_backend.server.protocol import (
    CacheStatus,
    HeadStatus,
    ModelStatus,
    PredictRequest,
    ProjectStatus,
    QueueStatus,
    SetupRequest,
    StatusReport,
    VideoStatus,
    WebhookEvent,
)
from labeler_backend.server.renewing import Renewing
from labeler_backend.server.telling import Telling
from labeler_backend.server.trainings import Trainings
from labeler_backend.studio.config import read_config

logger = logging.getLogger("labeler_backend")

HungUp = Callable[[], Awaitable[bool]]
_IN_FLIGHT = 32  # tasks of one request: enough to keep every thread busy, few enough to stay fair
_LOOKING = 0.5  # seconds between two looks at whether the client is still there


@dataclass(frozen=True)
class Limits:
    """How long a request may take.

    Attributes:
        deadline: seconds after which a batch is answered with what is ready; Label Studio gives up at 100.
        opening: the same where a labeler waits before a blank page; for a box drawn in a video, `deadline`
            counts, since the page stays as it is.
    """

    deadline: float = 90.0
    opening: float = 20.0


class Cache(Protocol):
    """What the status page shows of a cache; in bytes, or counts since the start."""

    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def max_bytes(self) -> int: ...


class Service:
    """The backend without HTTP."""

    def __init__(
        self,
        model: str,
        size: int,
        proposing: Proposing,
        answering: Answering,
        live: Live,
        telling: Telling,
        trainings: Trainings,
        renewing: Renewing,
        connections: Connections,
        journal: Journal,
        caches: Mapping[str, Cache],
        limits: Limits,
    ) -> None:
        """`model`, `size` and `caches`, by name, are shown on the status page."""
        self._live, self._telling, self._trainings = live, telling, trainings
        self._renewing = renewing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._model, self._size = model, size
        self._proposing, self._answering = proposing, answering
        self._connections, self._journal = connections, journal
        self._caches, self._limits = caches, limits
        self._stopping = asyncio.Event()
        self._started = time.time()
        self._warming: dict[str, set[asyncio.Task[None]]] = {}

    def version(self, project: str) -> str:
        """What predictions of a project are stamped with."""
        return self._live.version(project)

    async def start(self) -> None:
        """Begins to load the model, so that the first request need not."""
        self._loop = asyncio.get_running_loop()
        # A thread of its own that nobody waits for: fetching weights may take minutes, stopping may not.
        threading.Thread(target=self._preload, name="preload", daemon=True).start()
        self._trainings.start()
        self._telling.start()

    async def stop(self, grace: float) -> None:
        """Has running requests answer with what is ready, and gives running work `grace` seconds to end."""
        self._stopping.set()
        for jobs in self._warming.values():
            _cancel(jobs)
        await asyncio.gather(
            asyncio.to_thread(self._proposing.pool.close, grace),
            asyncio.to_thread(self._answering.close, grace),
            asyncio.to_thread(self._trainings.stop, grace),
            asyncio.to_thread(self._telling.stop, grace),
        )
        self._renewing.close()
        await asyncio.to_thread(self._journal.close)

    def setup(self, request: SetupRequest) -> str:
        """Remembers where the project lives; gives the version. Loads nothing; looks at one file's date."""
        said = Connection(request.hostname, request.access_token, request.extra_params)
        if request.project and self._connections.remember(request.project, said):
            self._journal.later(self._connections.save)
        return self._live.version(request.project)

    def versions(self) -> list[str]:
        """The versions whose predictions this backend can make."""
        return self._live.versions()

    def webhook(self, event: WebhookEvent) -> None:
        """Takes note; the work is done later."""
        self._journal.event(event)
        self._trainings.event(event)
        self._renewing.event(event, self._follow)

    def _follow(self, request: PredictRequest) -> None:
        """Begins to follow what was drawn in a video; from any thread."""

        async def begin() -> None:
            ask = await self._asked(request)
            ask.urgency, ask.until = Urgency.WARMING, time.monotonic()
            await self._answering.element(ask, request.tasks[0])

        if self._loop is not None and not self._stopping.is_set():
            asyncio.run_coroutine_threadsafe(begin(), self._loop)

    async def predict(self, request: PredictRequest, hung_up: HungUp) -> list[Element]:
        """One element per task, in their order, before the deadline; what is not ready goes on without it.

        Args:
            request: as Label Studio sends it.
            hung_up: whether nobody waits for the answer any more; then its work is dropped.

        Raises:
            ConfigError: the labelling config cannot be read.
        """
        ask = await self._asked(request)
        if ask.urgency == Urgency.BATCH:  # it takes over where the last one ran out of time
            _cancel(self._warming.pop(ask.project, ()))
        patient = ask.urgency == Urgency.BATCH or (ask.context is not None and ask.config.tracks)
        seconds = self._limits.deadline if patient else self._limits.opening
        ask.until = time.monotonic() + seconds
        elements = [PENDING] * len(request.tasks)
        todo = iter(enumerate(request.tasks))
        workers = min(_IN_FLIGHT, len(elements))
        jobs = [asyncio.create_task(self._work(ask, todo, elements)) for _ in range(workers)]
        await self._until(jobs, seconds, hung_up)
        if self._stopping.is_set() or (not all(job.done() for job in jobs) and await hung_up()):
            _cancel(jobs)
        ask.urgency = Urgency.WARMING
        self._warm(ask.project, [job for job in jobs if not job.done()])
        return list(elements)

    async def _work(self, ask: Ask, todo: Iterator[tuple[int, Any]], elements: list[Element]) -> None:
        """Takes tasks off `todo`, which others share, until none is left."""
        for index, task in todo:
            elements[index] = await self._answering.element(ask, task)
            await asyncio.sleep(0)  # an answer that nothing was waited for lets others have their turn, too

    def status(self) -> StatusReport:
        """Everything the status page shows; to be called in a thread."""
        return StatusReport(
            product_version=__version__,
            started_at=self._started,
            model=self._model_status(),
            queue=self._queue_status(),
            caches=[
                CacheStatus(
                    name=name, bytes=one.bytes, max_bytes=one.max_bytes, hits=one.hits, misses=one.misses
                )
                for name, one in self._caches.items()
            ],
            projects=[self._learning(project) for project in self._journal.projects()],
            failures=self._journal.failures(),
            videos=[self._video_status(one) for one in self._answering.carrying.progress()],
        )

    def _video_status(self, one: Progress) -> VideoStatus:
        wanted = one.wanted
        return VideoStatus(
            project=wanted.project,
            task=wanted.task,
            link=self._journal.link(wanted.project, wanted.task),
            running=one.running,
            done=one.done,
            total=one.total,
            seconds_left=one.seconds_left,
        )

    def _learning(self, project: ProjectStatus) -> ProjectStatus:
        """With what was learned for the project."""
        version, problem = self._live.state(project.id)
        head = HeadStatus.of(version, self._live.version(project.id)) if version else None
        training = self._trainings.status(project.id)
        return project.model_copy(update={"head": head, "head_problem": problem, "training": training})

    async def _asked(self, request: PredictRequest) -> Ask:
        context = request.params.context if request.params else None
        extra = self._connections.of(request.project).extra_params
        config = await asyncio.to_thread(read_config, request.label_config, extra)
        serving = await asyncio.to_thread(self._live.serving, request.project)
        self._journal.noted(request.project, config.notes)
        urgency = Urgency.OPENED if len(request.tasks) == 1 else Urgency.BATCH
        return Ask(
            request.project,
            config,
            self._connections.access(request.project),
            context,
            Urgency.CLICK if context else urgency,
            serving,
            extra,
        )

    async def _until(self, jobs: Sequence[asyncio.Task[None]], seconds: float, hung_up: HungUp) -> None:
        """Returns when all jobs are done, the time is over, nobody waits any more, or the server stops."""
        if not jobs:
            return
        everything = asyncio.create_task(asyncio.wait(jobs))
        stopping = asyncio.create_task(self._stopping.wait())
        ends: set[asyncio.Task[Any]] = {everything, stopping}
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stopping.is_set():
            await asyncio.wait(ends, timeout=min(left, _LOOKING), return_when=asyncio.FIRST_COMPLETED)
            if everything.done() or await hung_up():
                break
        everything.cancel()
        stopping.cancel()

    def _warm(self, project: str, jobs: Sequence[asyncio.Task[None]]) -> None:
        """Lets them go on, so that the next request finds their answers."""
        for job in jobs:
            self._warming.setdefault(project, set()).add(job)
            job.add_done_callback(lambda done: self._warmed(project, done))

    def _warmed(self, project: str, job: asyncio.Task[None]) -> None:
        warming = self._warming.get(project, set())
        warming.discard(job)
        if not warming:
            self._warming.pop(project, None)

    def _preload(self) -> None:
        try:
            self._proposing.labeler()
        except LabelerError as error:
            logger.error("%s", error)

    def _model_status(self) -> ModelStatus:
        device, dtype, key = self._proposing.facts or (None, None, None)
        return ModelStatus(
            name=self._model,
            version=self._live.base,
            state=self._proposing.state,
            problem=self._proposing.problem,
            device=device,
            dtype=dtype,
            key=key,
            size=self._size,
        )

    def _queue_status(self) -> QueueStatus:
        pool = self._proposing.pool
        waiting = pool.waiting()
        return QueueStatus(
            clicks=waiting[Urgency.CLICK],
            opened=waiting[Urgency.OPENED],
            batch=waiting[Urgency.BATCH],
            warming=waiting[Urgency.WARMING],
            running=pool.running,
            capacity=pool.capacity,
            done=self._journal.done,
            failed=self._journal.failed,
            images_per_second=self._journal.images_per_second(),
        )


def _cancel(jobs: Iterable[asyncio.Task[None]]) -> None:
    for job in list(jobs):
        job.cancel()
