"""What `labeler export` puts together: a source, the policies, pictures, and a writer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from exporters.categories import Categories
from exporters.coco import CocoDataset
from exporters.dataset import Edits, Item, Pictures, write_dataset
from exporters.folder import building
from exporters.from_coco import is_coco, read_coco
from exporters.masks import MaskDataset
from exporters.pictures import Found, PictureFolder
from exporters.report import REPORT, Report
from exporters.splits import Split
from exporters.video import DavisDataset, MotDataset, YoutubeVisDataset
from exporters.writer import Options, Writer
from exporters.yolo import YoloDataset
from labeler_backend import __version__
from labeler_backend.cli import loading
from labeler_backend.cli.progress import counter
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.records import Record
from labeler_backend.studio.client import Studio
from labeler_backend.studio.export_json import Policy, records, tasks_in
from labeler_backend.studio.media.types import Access
from labeler_backend.studio.tags import Tags, read_tags
from labeler_backend.studio.tasks_json import TasksDataset

if TYPE_CHECKING:
    from labeler_backend.studio.media.store import MediaStore
    from labeler_backend.video.info import VideoInfo

CATEGORIES = "categories.json"


Media = Literal["copy", "link", "reference"]
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
        items: the records.
        total: of tasks, where it is known.
        labels: those that are known beforehand, in their order.
        find: a record's picture; None = there is no way to them.
    """

    name: str
    items: Iterable[Item]
    total: int | None
    labels: tuple[str, ...]
    find: Callable[[Item], Found | None] | None


def run(request: Request, report: Report, quiet: bool) -> Done:
    """Reads, writes, and renames the folder when all is whole.

    Raises:
        LabelerError: the source, a flag or the folder cannot be used; nothing is left behind then.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(building(request.out, request.overwrite))
        source = _source(request, stack, report.tell, quiet)
        categories = Categories.load(request.categories or request.out / CATEGORIES, source.labels)
        progress = stack.enter_context(counter("export", source.total, quiet))
        summary = write_dataset(
            source.items,
            folder,
            partial(_writer, request, categories, report),
            report.tell,
            pictures=_pictures(request, source),
            edits=request.edits,
            split=request.split,
            progress=progress,
        )
        categories.save(folder / CATEGORIES)
        report.write(folder, _about(request, source, summary))
    if request.categories is not None:
        categories.save(request.categories)
    counts = dict(summary.counts)
    return Done(request.out, request.out / REPORT, counts, dict(report.counts), summary.annotators)


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
        raise InputError(f"{request.source} is not a file: give a JSON export of Label Studio or a COCO file.")
    if is_coco(request.source):
        return _Source(str(request.source), read_coco(request.source, tell), None, (), _folder(request))
    return _file(request, request.source, tell)


def _file(request: Request, path: Path, tell: Tell) -> _Source:
    """A JSON export; pictures come from --images, or from Label Studio where that is named."""
    tags = _tags(request.config)
    find = _folder(request)
    if find is None and request.url and request.token:
        find = _fetching(Access(base_url(request.url), request.token))
    items = records(tasks_in(path, tell), request.policy, tell, config=tags, video_info=_video_info(find))
    return _Source(str(path), items, None, _labels(tags), find)


def _live(request: Request, stack: ExitStack, tell: Tell, quiet: bool) -> _Source:
    """A project, downloaded first."""
    studio = stack.enter_context(Studio(request.url, request.token))
    project = required(request.ls_project, "--ls-project")
    with counter("download", None, quiet) as progress:
        download = stack.enter_context(downloaded(studio, project, progress))
    tags = _tags(request.config) or read_tags(download.label_config)
    find = _folder(request) or _fetching(Access(studio.url, studio.token))
    items = records(download.tasks(), request.policy, tell, config=tags, video_info=_video_info(find))
    name = f"{studio.url}/projects/{project}"
    return _Source(name, items, download.count, _labels(tags), find)
