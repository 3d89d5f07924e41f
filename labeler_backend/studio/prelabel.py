"""Predictions for a project's tasks without a connected backend: pulled, predicted, pushed.

Label Studio itself is the state of a run: what has a prediction of this model version is done. It is asked
once more right before predictions are pushed, so that neither a run that was killed before it knew of its
success nor an editor that opened a task meanwhile leads to a second prediction of a task.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from labeler_backend.batch.flow import ordered
from labeler_backend.batch.pipeline import outcomes
from labeler_backend.batch.stages import Tools
from labeler_backend.batch.state import Counts
from labeler_backend.batch.types import Failure as ImageFailure
from labeler_backend.batch.types import Job, MaskProposer, Options, Result
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.report.preview import MAX_PREVIEWS
from labeler_backend.studio.client import Studio, StudioError, with_version
from labeler_backend.studio.config import LabelingConfig, read_config
from labeler_backend.studio.media.types import Access, Media
from labeler_backend.studio.prediction import Prediction
from labeler_backend.studio.predictions import Page, prediction
from labeler_backend.studio.version import is_ours

UNCERTAINTY = "Uncertainty sampling"
"""What Label Studio calls the order by rising score of the predictions that the project shows."""
CHUNK = 50
"""The most predictions that are pushed at once."""
PUSH_SECONDS = 10.0
"""After so long what is ready is pushed, so that little is lost to a kill."""

_FETCHERS = 8
_TRIES = 5
_PUSH_TIMEOUT = 300.0  # seconds
_WAIT = 2.0  # seconds before the second try, doubled with each


class Fetches(Protocol):
    """What `MediaStore` is to this module."""

    def fetch(self, url: str, access: Access | None, task_id: int | None = None) -> Media:
        """The file behind a task's URL.

        Raises:
            InputError: it cannot be had.
        """


@dataclass(frozen=True, slots=True)
class Failure:
    """A task without a prediction, and why."""

    task: int
    link: str
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        tasks: in the project.
        before: had a prediction of this version when the run began.
        pushed: predictions that this run pushed.
        proposals: regions in them.
        elsewhere: got one from somebody else while this run worked on them.
        failures: tasks that got none.
        stopped: by Ctrl-C; what was pushed is kept.
        shown: the model version whose predictions the project shows; None where that was not looked at.
    """

    project: int
    model_version: str
    tasks: int
    before: int
    pushed: int = 0
    proposals: int = 0
    elsewhere: int = 0
    failures: tuple[Failure, ...] = ()
    wall_seconds: float = 0.0
    stopped: bool = False
    shown: str | None = None

    def json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {**asdict(self), "failed": len(self.failures)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do."""

    project: int
    config: LabelingConfig
    model_version: str
    tasks: int
    before: int

    @property
    def pending(self) -> int:
        """Tasks without a prediction of this version."""
        return max(0, self.tasks - self.before)


@dataclass
class _Task:
    """A task on its way: its pictures by (tag name, page), as far as they are known."""

    number: int
    data: Mapping[str, Any]
    missing: int = 0
    pages: dict[str, list[Page]] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Picture:
    """Where a result belongs."""

    task: _Task
    tag: str
    index: int | None
    media: Media


def plan(
    studio: Studio,
    project: int,
    model_version: str,
    max_proposals: int | None = None,
    min_score: float | None = None,
) -> Plan:
    """Looks at the project; None takes what its labelling config says.

    Raises:
        LabelerError: Label Studio refuses, or the labelling config has nothing that can be answered.
    """
    studio.version()
    row = studio.project(project)
    config = read_config(row.get("label_config") or "")
    if not config.answers and config.tracks:
        raise LabelerError(
            f"Project {project} labels videos, which only a connected backend follows: run labeler serve and "
            "labeler connect, then Actions > Retrieve Predictions."
        )
    if not config.answers:
        why = " ".join(config.notes) or "it has no PolygonLabels, BrushLabels or RectangleLabels on an Image."
        raise LabelerError(
            f"The labelling config of project {project} asks for nothing that can be answered: {why}"
        )
    wanted = {"max_proposals": max_proposals, "min_score": min_score}
    given = {name: value for name, value in wanted.items() if value is not None}
    answers = tuple(replace(answer, **given) for answer in config.answers)  # type: ignore[arg-type]
    return Plan(
        project,
        replace(config, answers=answers),
        model_version,
        studio.count(project),
        studio.count(project, with_version(model_version)),
    )


def prelabel(
    studio: Studio,
    plan: Plan,
    proposer: MaskProposer,
    media: Fetches,
    *,
    options: Options | None = None,
    progress: Callable[[Counts], None] = lambda counts: None,
    stopped: Callable[[], bool] = lambda: False,
    uncertain_first: bool = False,
) -> Summary:
    """Pushes a prediction for each task that has none of this version; a task that fails costs only itself.

    Args:
        studio: as a user who may change the project.
        plan: from `plan`.
        proposer: makes the proposals.
        media: fetches the tasks' pictures.
        options: batch size, threads and the largest picture; overlays and polygons do not matter.
        progress: told after each task.
        stopped: once it says so, what has begun is finished and pushed, and the rest left.
        uncertain_first: once all are made, those of the lowest score are pushed first.

    Raises:
        LabelerError: Label Studio cannot be reached any more, or takes nothing; what was pushed is kept.
    """
    started = time.monotonic()
    run = _Run(studio, plan, media, progress)
    tools = Tools(proposer, _no_annotation, options or Options(overlays=False))
    with ThreadPoolExecutor(_FETCHERS, "fetch") as fetchers, ThreadPoolExecutor(1, "push") as pusher:
        ready = run.collected(outcomes(run.jobs(fetchers), tools, stopped=stopped))
        if uncertain_first:
            ready = least_certain_first(ready)
        for _ in ordered(pusher, run.push, chunks(ready, CHUNK, PUSH_SECONDS), ahead=2):
            pass
    return Summary(
        plan.project,
        plan.model_version,
        plan.tasks,
        plan.before,
        run.pushed,
        run.proposals,
        run.elsewhere,
        tuple(run.failures),
        round(time.monotonic() - started, 3),
        stopped(),
    )


def show_predictions(studio: Studio, project: int, model_version: str, base: str = "") -> str:
    """Has the project show predictions of this version unless another one was chosen → the one it shows.

    One of ours with another head, or with none (`base`), is followed by this one, where no connected backend
    is called so.

    A new project without a backend shows none to who labels task after task, and leaves the Data Manager's
    score column empty.

    Raises:
        StudioError: Label Studio refuses; it does while there are no predictions of this version.
    """
    shown = str(studio.project(project).get("model_version") or "")
    if shown == model_version:
        return shown
    if shown and not (base and is_ours(shown, base) and is_ours(model_version, base)):
        return shown
    if shown and any(row["title"] == shown for row in studio.backends(project)):
        return shown
    studio.patch(f"/api/projects/{project}", {"model_version": model_version})
    return model_version


class _Run:
    """One run's tallies, and the steps that keep them."""

    def __init__(
        self, studio: Studio, plan: Plan, media: Fetches, progress: Callable[[Counts], None]
    ) -> None:
        self._studio, self._plan, self._media, self._progress = studio, plan, media, progress
        self._access = Access(studio.url, studio.token)
        self._pictures: dict[str, _Picture] = {}
        self.failures: list[Failure] = []
        self.pushed = self.proposals = self.elsewhere = self._ready = 0

    def jobs(self, fetchers: ThreadPoolExecutor) -> Iterator[Job]:
        """One job per picture, its file on this disk; in the thread that pulls."""
        for task, found in ordered(fetchers, self._fetched, self._pending(), ahead=4 * _FETCHERS):
            if isinstance(found, str):
                self._fail(task.number, found)
                continue
            task.missing = len(found)
            for picture in found:
                key = f"{task.number}/{picture.tag}/{picture.index}"
                self._pictures[key] = picture
                # Past the pictures that the batch's report shows, so that none is drawn.
                yield Job(MAX_PREVIEWS, key, str(picture.media.path))

    def collected(self, results: Iterable[Result | ImageFailure]) -> Iterator[tuple[int, Prediction]]:
        """The prediction of each task whose pictures are all done."""
        for result in results:
            picture = self._pictures.pop(result.job.path)
            task = picture.task
            task.missing -= 1
            if isinstance(result, ImageFailure):
                task.problem = result.reason.replace(result.job.uri, picture.media.name)
            else:
                page = Page(picture.index, result.size, result.proposals, result.confidence)
                task.pages.setdefault(picture.tag, []).append(page)
            if task.missing:
                continue
            if task.problem is not None:
                self._fail(task.number, task.problem)
                continue
            for pages in task.pages.values():
                pages.sort(key=lambda page: page.index or 0)
            yield (
                task.number,
                prediction(task.number, self._plan.config, task.pages, self._plan.model_version),
            )
            self._ready += 1
            self._tell()

    def push(self, chunk: Sequence[tuple[int, Prediction]]) -> None:
        """Pushes predictions; in the thread that pushes, one chunk at a time."""
        for attempt in range(_TRIES):
            try:
                todo = self._without(chunk)
                if todo:
                    self._import(todo)
                return
            except StudioError as error:
                if error.status == 400:
                    self._one_by_one(chunk, error)
                    return
                # An answer that never came may still be on its way into the database: pushing again now could
                # double it. Not reached, or an answer that says so: nothing was stored.
                sure = not error.reached or error.status in (429, 502, 503)
                if not sure or attempt == _TRIES - 1:
                    raise StudioError(
                        f"{error} ({self.pushed} predictions are pushed and kept: run it again to go on.)",
                        error.status,
                    ) from error
                time.sleep(_WAIT * 2**attempt)

    def _pending(self) -> Iterator[_Task]:
        plan = self._plan
        for page in self._studio.tasks(plan.project):
            numbers = [task["id"] for task in page]
            done = self._studio.predicted(plan.project, plan.model_version, min(numbers), max(numbers))
            yield from (_Task(task["id"], task["data"]) for task in page if task["id"] not in done)

    def _fetched(self, task: _Task) -> tuple[_Task, list[_Picture] | str]:
        """A task's pictures, or why it has none; in a fetching thread."""
        try:
            found = [
                _Picture(task, image.name, number if image.many else None, self._fetch(url, task.number))
                for image in self._plan.config.images
                if self._plan.config.answer_for(image)
                for number, url in enumerate(self._plan.config.pages(task.data, image))
            ]
        except InputError as error:
            return task, " ".join(str(error).split())
        return task, found

    def _fetch(self, url: str, task: int) -> Media:
        return self._media.fetch(url, self._access, task)

    def _without(self, chunk: Sequence[tuple[int, Prediction]]) -> list[tuple[int, Prediction]]:
        """Those that Label Studio still has none of."""
        numbers = [number for number, _ in chunk]
        version = self._plan.model_version
        done = self._studio.predicted(self._plan.project, version, min(numbers), max(numbers))
        self.elsewhere += len(done & set(numbers))
        return [(number, made) for number, made in chunk if number not in done]

    def _import(self, todo: Sequence[tuple[int, Prediction]]) -> None:
        body = [{"task": number, **made.model_dump()} for number, made in todo]
        path = f"/api/projects/{self._plan.project}/import/predictions"
        self._studio.post(path, body, timeout=_PUSH_TIMEOUT)
        self.pushed += len(todo)
        self.proposals += sum(len(made.result) for _, made in todo)

    def _one_by_one(self, chunk: Sequence[tuple[int, Prediction]], error: StudioError) -> None:
        """After Label Studio refused a chunk for one of its tasks, deleted meanwhile, say."""
        if len(chunk) == 1:
            self._fail(chunk[0][0], str(error))
            return
        for one in chunk:
            self.push([one])

    def _fail(self, task: int, reason: str) -> None:
        link = f"{self._studio.url}/projects/{self._plan.project}/data?task={task}"
        self.failures.append(Failure(task, link, reason))
        self._tell()

    def _tell(self) -> None:
        done, failed = self._ready, len(self.failures)
        left = max(0, self._plan.pending - done - failed)
        self._progress(Counts(left, done, failed, self.proposals))


def least_certain_first(
    ready: Iterable[tuple[int, Prediction]],
) -> Iterator[tuple[int, Prediction]]:
    """The same by rising score, once all are made; kept on the disk until then."""
    places: list[tuple[float, int, int]] = []
    with tempfile.TemporaryFile() as kept:
        for number, made in ready:
            places.append((made.score, number, kept.tell()))
            kept.write(made.model_dump_json().encode() + b"\n")
        for _, number, place in sorted(places):
            kept.seek(place)
            yield number, Prediction.model_validate_json(kept.readline())


def sample_uncertain_first(studio: Studio, project: int) -> bool:
    """Has "Label All Tasks" bring the task with the lowest score first → whether that is new.

    Raises:
        StudioError: Label Studio refuses.
    """
    if studio.project(project).get("sampling") == UNCERTAINTY:
        return False
    studio.patch(f"/api/projects/{project}", {"sampling": UNCERTAINTY})
    return True


def chunks(items: Iterable[Any], size: int, seconds: float) -> Iterator[list[Any]]:
    """Groups of at most `size`, and of what came within about `seconds`."""
    group: list[Any] = []
    began = time.monotonic()
    for item in items:
        group.append(item)
        if len(group) >= size or time.monotonic() - began >= seconds:
            yield group
            group, began = [], time.monotonic()
    if group:
        yield group


@contextmanager
def alone(folder: Path, studio: Studio, project: int) -> Iterator[None]:
    """One run per project and user on this machine: two at once would each push a prediction per task.

    Raises:
        LabelerError: another one runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{studio.url} {project}".encode()).hexdigest()[:16]
    try:
        with FileLock(folder / f"{name}.lock", timeout=0):
            yield
    except Timeout as error:
        raise LabelerError(
            f"Another labeler prelabel works on project {project} of {studio.url}: wait for it to finish."
        ) from error


def _no_annotation(*_: object, **__: object) -> dict[str, Any]:
    return {}
