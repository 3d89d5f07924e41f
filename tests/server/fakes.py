"""A service whose answers are made up, so that the app can be tested without a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeler_backend.server.protocol import (
    CacheStatus,
    Failure,
    HeadStatus,
    Measured,
    ModelStatus,
    PredictRequest,
    ProjectStatus,
    QueueStatus,
    SetupRequest,
    StatusReport,
    TrainingStatus,
    VersionStatus,
    VideoStatus,
    WebhookEvent,
)
from labeler_backend.server.types import Answer, HungUp
from labeler_backend.studio.prediction import Prediction

VERSION = "fake-1"


def triangle(
    region: str, label: str = "car", points: Sequence[Sequence[float]] | None = None
) -> dict[str, Any]:
    """A polygon as Label Studio writes one."""
    value = {"points": points or [[1, 1], [20, 1], [20, 20]], "closed": True, "polygonlabels": [label]}
    envelope = {"from_name": "poly", "to_name": "image", "original_width": 640, "original_height": 480}
    return {
        "id": region,
        "type": "polygonlabels",
        "image_rotation": 0,
        "score": 0.9,
        "value": value,
    } | envelope


def prediction(*regions: dict[str, Any], version: str = VERSION) -> Prediction:
    """An answer with these regions."""
    return Prediction(result=list(regions), score=0.9, model_version=version)


@dataclass
class FakeService:
    """Answers every task with one triangle; set `answer`, `on_webhook`, `on_setup` or `report` for more."""

    answer: Callable[[PredictRequest], Sequence[Answer]] | None = None
    on_setup: Callable[[SetupRequest], str] = lambda _: VERSION
    on_webhook: Callable[[WebhookEvent], None] = lambda _: None
    report: StatusReport | None = None
    seconds: float = 0.0
    seen: list[Any] = field(default_factory=list)
    hung_up: bool = False
    started: int = 0
    stopped: list[float] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        self.started += 1

    async def stop(self, grace: float) -> None:
        self.stopped.append(grace)
        self.stopping.set()

    def setup(self, request: SetupRequest) -> str:
        self.seen.append(request)
        return self.on_setup(request)

    async def predict(self, request: PredictRequest, hung_up: HungUp) -> Sequence[Answer]:
        self.seen.append(request)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not self.stopping.is_set():
            if await hung_up():
                self.hung_up = True
                return [[] for _ in request.tasks]
            await asyncio.sleep(0.01)
        if self.answer is not None:
            return self.answer(request)
        return [prediction(triangle(f"r{index}")) for index in range(len(request.tasks))]

    def webhook(self, event: WebhookEvent) -> None:
        self.seen.append(event)
        self.on_webhook(event)

    def versions(self) -> list[str]:
        return [VERSION]

    def status(self) -> StatusReport:
        return self.report or idle()


def idle() -> StatusReport:
    """Just started: nothing asked, nothing failed."""
    return StatusReport(
        product_version="0.1.0",
        started_at=time.time() - 12,
        model=ModelStatus(
            name="dinov2-small",
            version=VERSION,
            state="waiting",
            problem=None,
            device=None,
            dtype=None,
            key=None,
            size=518,
        ),
        queue=QueueStatus(
            clicks=0,
            opened=0,
            batch=0,
            warming=0,
            running=0,
            capacity=2000,
            done=0,
            failed=0,
            images_per_second=0,
        ),
        caches=[],
        projects=[],
        failures=[],
    )


def busy() -> StatusReport:
    """In the middle of a day's work, with some of it failing."""
    report = idle()
    now = time.time()
    model = report.model.model_copy(
        update={"state": "ready", "device": "cpu", "dtype": "bf16", "key": "9f2a6c01d4" * 4}
    )
    queue = report.queue.model_copy(
        update={
            "clicks": 1,
            "opened": 2,
            "batch": 1312,
            "warming": 40,
            "running": 8,
            "done": 12873,
            "failed": 3,
            "images_per_second": 3.27,
        }
    )
    reasons = [
        (
            "http://127.0.0.1:8080/projects/7/data?task=512",
            512,
            "http://pictures.example/a/very/long/path/" + "x" * 90,
        ),
        (None, 77, "The task has no 'image' in its data, which $image in the labelling config names"),
        ("javascript:alert(1)", None, "<script>alert('no')</script> is not XML"),
    ]
    failures = [
        Failure(
            at=now - 40 * 9**place,
            project="7.1795428142",
            task=task,
            link=link,
            reason=f"{reason} cannot be read: mend it.",
            final=place == 1,
        )
        for place, (link, task, reason) in enumerate(reasons)
    ]
    project = ProjectStatus(
        id="7.1795428142",
        title="Parking lots, spring",
        link="http://127.0.0.1:8080/projects/7",
        notes=["'quality' (Choices) gets no answer: no head has been trained for it yet."],
        predicted_tasks=1500,
        annotated_tasks=212,
        accepted=1304,
        edited=288,
        rejected=411,
        drawn=97,
        head=HeadStatus(
            number=3,
            model_version=f"{VERSION}-h3",
            kind="logistic",
            classes=["car", "van"],
            images=212,
            created_at="2026-11-23T22:00:00+00:00",
            before=Measured(images=40, pq=0.41, ap50=0.5, foreground=0.8, miou=None),
            after=Measured(images=40, pq=0.53, ap50=0.61, foreground=0.84, miou=None),
            reason="It is better.",
        ),
        training=TrainingStatus(
            state="running", progress=0.25, doing="fitting", why="10 annotations", started=now - 30, left=7
        ),
        versions=[_version(number) for number in range(3)],
        seconds_saved=41_000,
    )
    quiet = project.model_copy(
        update={
            "id": "9",
            "title": None,
            "link": None,
            "notes": [],
            "head": None,
            "training": TrainingStatus(
                state="failed", reason="There is <b>no</b> accepted region.", ended=now - 120, left=1
            ),
            "annotated_tasks": 0,
            "predicted_tasks": 1,
        }
        | {"accepted": 0, "edited": 0, "rejected": 0, "drawn": 0}
        | {"versions": [], "seconds_saved": 0.0}
    )
    caches = [
        CacheStatus(name="features", bytes=3_412_000_000, max_bytes=10_000_000_000, hits=4120, misses=12873),
        CacheStatus(name="pictures", bytes=612_000, max_bytes=5_000_000_000, hits=0, misses=0),
    ]
    return report.model_copy(
        update={
            "started_at": now - 7 * 3600,
            "model": model,
            "queue": queue,
            "caches": caches,
            "projects": [project, quiet],
            "failures": failures,
            "videos": [
                VideoStatus(
                    project="7.1795428142",
                    task=31,
                    link="http://127.0.0.1:8080/projects/7/data?task=31",
                    running=True,
                    done=1250,
                    total=3000,
                    seconds_left=700,
                ),
                VideoStatus(
                    project="9", task=4, link=None, running=False, done=0, total=0, seconds_left=None
                ),
            ],
        }
    )


def _version(head: int) -> VersionStatus:
    """The better, the later; 0 = before the first head."""
    return VersionStatus(
        version=f"{VERSION}-h{head}" if head else VERSION,
        head=head or None,
        annotations=70,
        bulk=3,
        accepted=50 + 20 * head,
        edited=30,
        redrawn=10,
        rejected=10,
        drawn=20,
        relabelled=5,
        mean_iou=0.7 + 0.1 * head,
        seconds_saved=4000.0,
    )


def broken() -> StatusReport:
    """The model could not be loaded."""
    report = busy()
    problem = "dinov2-small cannot be fetched: no route to the model hub; set HTTPS_PROXY, or name a folder."
    model = report.model.model_copy(
        update={"state": "failed", "problem": problem, "device": None, "dtype": None, "key": None}
    )
    return report.model_copy(update={"model": model})
