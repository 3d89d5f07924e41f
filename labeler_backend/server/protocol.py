"""What Label Studio 1.23 sends to an ML backend and what it expects back, as pydantic models.

Extra fields are let through: Label Studio sends far more than is used here, and adds to it with each version.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from labeler_backend.studio.prediction import Prediction

if TYPE_CHECKING:
    from labeler_backend.heads.types import Metrics
    from labeler_backend.heads.versions import Version

PROJECT_LENGTH = 100
"""Characters; it is kept, and stands on pages and in metrics. Label Studio's have about 15."""


def project_id(value: object) -> str:
    """The project's number, from what a request or an event names it by; empty where there is none.

    /setup and /predict say `1.1795428142` (number and time of creation), webhooks `{"id": 1, …}` or 1.
    """
    if isinstance(value, dict):
        return project_id(value.get("id"))
    number = str(value).partition(".")[0] if isinstance(value, str | int) else ""
    return number if len(number) <= PROJECT_LENGTH // 2 else ""


def project_uid(project: object) -> str:
    """`1.1795428142`, as /setup and /predict name it, from a webhook's project; empty where it does not say.

    Made as Label Studio's ml/api_connector.py does: number and time of creation, so that the projects of
    several Label Studios stay apart.
    """
    number = project_id(project)
    if not number or not isinstance(project, dict):
        return number
    try:
        created = datetime.fromisoformat(str(project.get("created_at")).replace("Z", "+00:00"))
        return f"{number}.{int(created.timestamp())}"
    except (ValueError, OverflowError, OSError):
        return number


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore")


class SetupRequest(_Lenient):
    """POST /setup: sent when the backend is connected and before each batch."""

    project: str = Field("", max_length=PROJECT_LENGTH)
    label_config: str = Field("", alias="schema")
    hostname: str = Field("", max_length=2000)
    access_token: str = Field("", max_length=4000)
    extra_params: dict[str, Any] | str | None = None


class SetupResponse(BaseModel):
    """The version that Label Studio compares with those of stored predictions."""

    model_config = ConfigDict(protected_namespaces=())
    model_version: str


class Params(_Lenient):
    """Of /predict; `context` is there when somebody clicked."""

    context: dict[str, Any] | None = None
    login: str | None = None
    password: str | None = None


class PredictRequest(_Lenient):
    """POST /predict. Tasks are checked one by one: a wrong one must not cost the others their answer."""

    tasks: list[Any]
    project: str = Field("", max_length=PROJECT_LENGTH)
    label_config: str
    params: Params | None = None


Element = Prediction | list[Prediction]
"""A task's answer. An empty list saves nothing, so that Label Studio asks again; a `Prediction` with an empty
result is saved and the task is not asked for again under that version."""


class PredictResponse(BaseModel):
    """Exactly one element per task, in their order."""

    results: list[Element]


class WebhookEvent(BaseModel):
    """POST /webhook: `action` and, depending on it, annotations, tasks and the project."""

    model_config = ConfigDict(extra="allow")
    action: str


class Health(BaseModel):
    """GET /health."""

    model_config = ConfigDict(protected_namespaces=())
    status: str = "UP"
    model_class: str = "EmergentLabeler"


class Versions(BaseModel):
    """GET and POST /versions."""

    versions: list[str]


class Failure(BaseModel):
    """Something that went wrong with one task, for the status page."""

    at: float = Field(description="Unix time in seconds.")
    project: str
    task: int | None
    link: str | None = Field(description="The task in Label Studio.")
    reason: str = Field(description="One sentence: what, where, the mend.")
    final: bool = Field(description="Whether trying again is pointless.")


class ModelStatus(BaseModel):
    """The model and where it runs; `device`, `dtype` and `key` are null until it is loaded."""

    name: str
    version: str
    state: str = Field(description="`waiting`, `loading`, `ready` or `failed`.")
    problem: str | None
    device: str | None
    dtype: str | None
    key: str | None
    size: int = Field(description="Long side in pixels of what the model sees.")


class QueueStatus(BaseModel):
    """What waits for the model, by urgency, and what was done since the start."""

    clicks: int
    opened: int
    batch: int
    warming: int
    running: int
    capacity: int
    done: int
    failed: int = Field(0, description="Tasks that failed since the start.")
    images_per_second: float = Field(description="Over the last minute.")


class CacheStatus(BaseModel):
    """One cache on disk and how often it had what was asked for since the start."""

    name: str
    bytes: int
    max_bytes: int
    hits: int
    misses: int


class VersionStatus(BaseModel):
    """What became of one model version's proposals; shares and seconds leave bulk-accepted ones out."""

    version: str | None = Field(
        description="Empty: began with no prediction; null: not recorded, or not known here."
    )
    head: int | None = Field(description="Number of the head behind it; null before the first one.")
    annotations: int = Field(description="That began with its predictions, and that somebody looked at.")
    bulk: int = Field(description="Predictions that became annotations without anybody opening them.")
    accepted: int
    edited: int
    redrawn: int
    rejected: int
    drawn: int
    relabelled: int = Field(description="Proposals whose label was changed, whatever their shape.")
    mean_iou: float | None = Field(description="Of proposals with the regions that came of them.")
    seconds_saved: float = Field(description="An estimate; see the documentation's page on learning.")


class Measured(BaseModel):
    """How good answers are on images that were not learned from, as heads.types.Metrics; null = not known."""

    images: int = Field(description="On how many.")
    pq: float | None = Field(description="Panoptic quality with labels, mean over the images.")
    ap50: float | None = Field(description="Mask average precision at IoU 0.5, mean over classes.")
    foreground: float | None = Field(description="IoU of all that was proposed with all that is there.")
    miou: float | None = Field(description="IoU of the class map, mean over classes.")

    @classmethod
    def of(cls, metrics: Metrics | None) -> Measured | None:
        """None where nothing was measured."""
        if metrics is None:
            return None
        found = {name: getattr(metrics, name) for name in cls.model_fields}
        return cls.model_validate({name: None if math.isnan(v) else v for name, v in found.items()})


class HeadStatus(BaseModel):
    """The head that serves a project."""

    number: int
    model_version: str
    kind: str
    classes: list[str]
    images: int = Field(description="It was learned from.")
    created_at: str = Field(description="ISO 8601.")
    before: Measured | None = Field(description="What served before it, on the same images.")
    after: Measured | None
    reason: str = Field(description="Why it serves, one sentence.")

    @classmethod
    def of(cls, version: Version, model_version: str) -> HeadStatus:
        """Of a version that serves as `model_version`."""
        return cls(
            number=version.number,
            model_version=model_version,
            kind=version.kind,
            classes=list(version.classes),
            images=version.n_images,
            created_at=version.created_at,
            before=Measured.of(version.before),
            after=Measured.of(version.after),
            reason=version.reason,
        )


class TrainingStatus(BaseModel):
    """The last training of a project, or the one that is to come."""

    state: str = Field(
        description="`none`, `queued`, `running`, `done`, `failed`, or `not_promoted`: it was no better."
    )
    progress: float = Field(default=0.0, description="In [0, 1].")
    doing: str = ""
    why: str = Field(default="", description="What asked for it.")
    started: float | None = Field(default=None, description="Unix time in seconds.")
    ended: float | None = Field(default=None, description="Unix time in seconds.")
    reason: str = Field(default="", description="How it ended and why, one sentence.")
    version: int | None = Field(default=None, description="Number of the head that came of it.")
    again: bool = Field(default=False, description="Whether another one follows.")
    left: int | None = Field(
        default=None, description="Annotations until the next one; null where none begins by itself."
    )


class ProjectStatus(BaseModel):
    """One project, what became of the proposals sent to it, and what was learned from that."""

    id: str
    title: str | None
    link: str | None
    notes: list[str] = Field(description="What in its labelling config cannot be answered, and why.")
    predicted_tasks: int
    annotated_tasks: int
    accepted: int = Field(description="Proposals submitted as they were.")
    edited: int = Field(description="Proposals whose shape or label was changed.")
    redrawn: int = Field(default=0, description="Proposals that another shape replaced.")
    rejected: int = Field(description="Proposals deleted.")
    drawn: int = Field(description="Regions that no proposal had.")
    versions: list[VersionStatus] = Field(default=[], description="In the order of their first use.")
    seconds_saved: float = Field(default=0.0, description="An estimate, of all versions together.")

    head: HeadStatus | None = Field(
        default=None, description="What was learned and serves; null before that."
    )
    head_problem: str | None = Field(
        default=None, description="Why another head serves than should, one sentence."
    )
    training: TrainingStatus | None = None


class VideoStatus(BaseModel):
    """A video whose objects are being followed, or that waits for it."""

    project: str
    task: int
    link: str | None = Field(description="The task in Label Studio.")
    running: bool
    done: int = Field(description="Frames looked at; of objects drawn on different frames each for itself.")
    total: int = Field(description="Frames to be looked at; 0 until it runs.")
    seconds_left: float | None = Field(description="At the speed it has; null where that cannot be told.")


class StatusReport(BaseModel):
    """GET /status.json, and what /status shows."""

    product_version: str
    started_at: float
    model: ModelStatus
    queue: QueueStatus
    caches: list[CacheStatus]
    projects: list[ProjectStatus]
    failures: list[Failure] = Field(description="The last ones, newest first.")
    videos: list[VideoStatus] = Field(default=[], description="Being followed, those that run first.")


class Noted(BaseModel):
    """POST /webhook: the event is noted; whatever it asks for is done later."""

    status: str = "ok"


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str = Field(description="One sentence: what, where, the mend.")
