"""What `labeler export` puts together: a source, the policies, pictures, and a writer."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Literal

from exporters.categories import Categories
from exporters.coco.dataset import CocoDataset
from exporters.coco.reading import is_coco, read_coco
from exporters.dataset import Edits, Item, Pictures, Summary, write_dataset
from exporters.folder import building
from exporters.masks import MaskDataset
from exporters.pictures.folder import Found, PictureFolder
from exporters.report import REPORT, Report
from exporters.splits import Split
from exporters.video.davis import DavisDataset
from exporters.video.mot import MotDataset
from exporters.video.youtube_vis import YoutubeVisDataset
from exporters.writer import Options, Writer
from exporters.yolo import YoloDataset
from labeler_backend import __version__
from labeler_backend.cli import loading
from labeler_backend.cli.options import required
from labeler_backend.cli.progress import counter
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.records import Record, Tell
from labeler_backend.settings import load_server_settings
from labeler_backend.studio.client import Studio, base_url
from labeler_backend.studio.download import download, studio_tasks
from labeler_backend.studio.export_json import Policy, records, tasks_in
from labeler_backend.studio.export_json.names import file_name
from labeler_backend.studio.media.types import Access
from labeler_backend.studio.tags import Tags, read_tags
from labeler_backend.studio.tasks_json import TasksDataset
from labeler_backend.video.info import VideoInfo, read_info

CATEGORIES = "categories.json"
_WRITERS: dict[str, Callable[..., Writer]] = {
    "coco": CocoDataset,
    "masks": MaskDataset,
    "yolo": YoloDataset,
    "youtube-vis": YoutubeVisDataset,
    "mot": MotDataset,
    "davis": DavisDataset,
    "label-studio": TasksDataset,
}
Media = Literal["copy", "link", "reference"]
Find = Callable[[Item], Found | None]
_WITH_PICTURES = {"yolo"}  # formats that no trainer reads without the pictures beside the labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes:
        source: a file; None = a live project.
        url, token, ls_project: of the live project, or where the pictures of a file's tasks are.
        out, overwrite: where to.
        format: see `Format`.
        categories: a file that keeps their ids; None = that of the folder which is replaced.
        policy, edits, options, split: how.
        config: a file with the labelling config; None = that of the live project.
        images: a folder with the pictures.
        media: what becomes of them; None = what the format needs.
        kind, image_prefix: of `TasksDataset`.
    """

    source: Path | None
    url: str | None
    token: str | None
    ls_project: int | None
    out: Path
    overwrite: bool
    format: str
    categories: Path | None
    policy: Policy
    edits: Edits
    options: Options
    split: Split | None
    config: Path | None
    images: Path | None
    media: Media | None
    kind: str
    image_prefix: str


@dataclass(frozen=True, slots=True)
class Done:
    """What was written.

    Attributes:
        out: the folder.
        report: the file with what could not be taken as it was.
        counts: of what was written.
        problems: by what was done with them.
        annotators: folders of the annotators' data sets.
    """

    out: Path
    report: Path
    counts: dict[str, int]
    problems: dict[str, int]
    annotators: list[str]

    def json(self) -> dict[str, Any]:
        """For --json."""
        return {**asdict(self), "out": str(self.out), "report": str(self.report)}


@dataclass(frozen=True, slots=True)
class _Source:
    """Where records come from.

    Attributes:
        name: as the report shows it.
        title: as a data set's description shows it.
        items: the records.
        total: of tasks, where it is known.
        labels: those that are known beforehand, in their order.
        find: a record's picture; None = there is no way to them.
    """

    name: str
    title: str
    items: Iterable[Item]
    total: int | None
    labels: tuple[str, ...]
    find: Find | None


def run(request: Request, report: Report, quiet: bool) -> Done:
    """Reads, writes, and renames the folder when all is whole.

    Raises:
        LabelerError: the source, a flag or the folder cannot be used; nothing is left behind then.
    """
    _refuse_without_effect(request)
    with ExitStack() as stack:
        stack.enter_context(_rare_collections())
        folder = stack.enter_context(building(request.out, request.overwrite))
        source = _source(request, stack, report.tell, quiet)
        categories = Categories.load(request.categories or request.out / CATEGORIES, source.labels)
        progress = stack.enter_context(counter("export", source.total, quiet))
        summary = write_dataset(
            source.items,
            folder,
            partial(_writer, request, categories, replace(request.options, description=source.title), report),
            report.tell,
            pictures=_pictures(request, source),
            edits=request.edits,
            split=request.split,
            progress=progress,
        )
        categories.save(folder / CATEGORIES)
        if request.categories is not None:  # before the folder is there: ids too many do no harm
            categories.save(request.categories)
        report.write(folder, _about(request, source, summary))
    counts = dict(summary.counts)
    return Done(request.out, request.out / REPORT, counts, dict(report.counts), summary.annotators)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Tasks are trees of small lists, without cycles: looking for some takes a fifth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _source(request: Request, stack: ExitStack, tell: Tell, quiet: bool) -> _Source:
    """Of the kind that was asked for."""
    if (request.source is None) == (request.ls_project is None):
        raise LabelerError(
            "Give either a file or a live project: labeler export FILE …, or labeler export --url URL "
            "--ls-project ID …."
        )
    if request.source is None:
        return _live(request, stack, tell, quiet)
    if not request.source.is_file():
        raise InputError(f"{request.source} is no file: give a JSON export of Label Studio, or a COCO file.")
    if is_coco(request.source):
        if unused := _of_tasks_only(request):
            raise LabelerError(
                f"{unused} says which labels of Label Studio count, and {request.source} is a COCO file: "
                f"leave it out."
            )
        name, items = str(request.source), read_coco(request.source, tell)
        return _Source(name, request.source.name, items, None, (), _in_folder(request))
    return _of_file(request, request.source, tell)


def _refuse_without_effect(request: Request) -> None:
    """What was asked for in vain was meant to do something."""
    if request.policy.group_by is not None and request.split is None:
        raise LabelerError("--split-by says what stays together in splits: give --split too, or neither.")
    needs = (
        ("--segmentation", request.options.segmentation != "auto", "coco"),
        ("--kind", request.kind != "auto", "label-studio"),
        ("--image-prefix", bool(request.image_prefix), "label-studio"),
    )
    for flag, given, wanted in needs:
        if given and request.format != wanted:
            raise LabelerError(f"{flag} is for --format {wanted}, not {request.format}: leave it out.")


def _of_tasks_only(request: Request) -> str:
    """The flag, if any, that says something about a COCO file which only tasks have."""
    given, usual = request.policy, Policy()
    flags = (
        ("--annotations", given.annotations != usual.annotations),
        ("--predictions", given.predictions != usual.predictions),
        ("--include-skipped", given.skipped),
        ("--unlabeled", given.unlabeled),
        ("--crowd-label", given.crowd_label is not None),
        ("--keypoints", given.keypoints != usual.keypoints),
        ("--split-by", given.group_by is not None),
        ("--config", request.config is not None),
    )
    return next((flag for flag, was_given in flags if was_given), "")


def _of_file(request: Request, path: Path, tell: Tell) -> _Source:
    """A JSON export; pictures come from --images, or from Label Studio where that is named."""
    tags = _tags(request.config)
    find = _in_folder(request)
    if find is None and request.url and request.token:
        find = _fetched(Access(base_url(request.url), request.token))
    items = records(tasks_in(path, tell), request.policy, tell, config=tags, video_info=_measured(find))
    return _Source(str(path), path.name, items, None, _labels(tags), find)


def _live(request: Request, stack: ExitStack, tell: Tell, quiet: bool) -> _Source:
    """A project, downloaded first."""
    studio = stack.enter_context(Studio(request.url, request.token))
    folder = load_server_settings().cache_dir / "exports"
    with counter("download", None, quiet) as progress:
        project = stack.enter_context(
            download(studio, required(request.ls_project, "--ls-project"), folder, progress)
        )
    tags = _tags(request.config) or read_tags(project.config)
    find = _in_folder(request) or _fetched(Access(studio.url, studio.token))
    items = records(studio_tasks(project), request.policy, tell, config=tags, video_info=_measured(find))
    name = f"{studio.url}/projects/{project.project}"
    return _Source(name, project.title, items, project.tasks, _labels(tags), find)


def _tags(config: Path | None) -> Tags | None:
    if config is None:
        return None
    try:
        return read_tags(config.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Labelling config {config} cannot be read ({error}): check --config.") from error


def _labels(tags: Tags | None) -> tuple[str, ...]:
    """Of all tags that mark something, in their order; those that a task's data holds are not known yet."""
    if tags is None:
        return ()
    marking = (control for control in tags.controls if control.kind.endswith("labels"))
    return tuple(
        dict.fromkeys(name for control in marking for name in control.labels if not name.startswith("$"))
    )


def _in_folder(request: Request) -> Find | None:
    return PictureFolder(request.images).find if request.images is not None else None


def _fetched(access: Access) -> Find:
    """Pictures of tasks, through the cache that the backend uses too."""
    media = loading.load_media(load_server_settings())

    def find(item: Item) -> Found | None:
        if not item.uri:
            return None
        return Found(media.fetch(item.uri, access, item.task_id).path, item.file_name)

    return find


def _measured(find: Find | None) -> Callable[[str, int], VideoInfo | None]:
    """What the video of a task is, by its address."""

    def info(uri: str, task_id: int) -> VideoInfo | None:
        name = file_name(uri, f"task-{task_id}")
        found = find(Record(task_id, name, None, (), uri=uri, task_id=task_id)) if find else None
        return read_info(found.path) if found else None

    return info


def _pictures(request: Request, source: _Source) -> Pictures | None:
    if source.find is None:
        if request.media in ("copy", "link"):
            raise LabelerError(
                f"--media {request.media} needs the pictures: give --images DIR, or --url and a token."
            )
        return None
    # The cache may drop what it holds: links would lead nowhere one day.
    if request.media == "link" and request.images is None:
        raise LabelerError("--media link needs pictures that stay: give --images DIR, or --media copy.")
    how = request.media or ("copy" if request.format in _WITH_PICTURES else "reference")
    return Pictures(source.find, how, every=request.images is not None)


def _writer(
    request: Request, categories: Categories, options: Options, report: Report, folder: Path
) -> Writer:
    kind = _WRITERS[request.format]
    more = {"kind": request.kind, "image_prefix": request.image_prefix} if kind is TasksDataset else {}
    return kind(folder, categories, options, report.tell, **more)


def _about(request: Request, source: _Source, summary: Summary) -> dict[str, Any]:
    """What the report says of the export as a whole."""
    return {
        "source": source.name,
        "format": request.format,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": __version__,
        "policy": asdict(request.policy) | asdict(request.edits),
        "counts": dict(summary.counts),
    }
