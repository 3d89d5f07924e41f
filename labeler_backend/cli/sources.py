"""Where `export` and `train` take records from: a file of Label Studio's, a COCO file, a live project."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from exporters.coco.reading import is_coco, read_coco
from exporters.dataset import Item
from exporters.pictures.folder import Found, PictureFolder
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
from labeler_backend.studio.regions import shape_of
from labeler_backend.studio.tags import ControlTag, Tags, read_tags
from labeler_backend.video.info import VideoInfo, read_info

Find = Callable[[Item], Found | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where labels and pictures are.

    Attributes:
        source: a file; None = a live project.
        url, token, ls_project: of the live project, or where the pictures of a file's tasks are.
        config: a file with the labelling config; None = that of the live project.
        images: a folder with the pictures.
    """

    source: Path | None
    url: str | None
    token: str | None
    ls_project: int | None
    config: Path | None
    images: Path | None


@dataclass(frozen=True, slots=True)
class Source:
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


def open_source(where: Where, policy: Policy, stack: ExitStack, tell: Tell, quiet: bool) -> Source:
    """Of the kind that was asked for.

    Args:
        where: what was asked for.
        policy: which labels count.
        stack: closes what has to stay open while records are taken.
        tell: hears of what cannot be taken as it is.
        quiet: no progress on the terminal.

    Raises:
        LabelerError: it cannot be read, or a flag has no effect on it.
    """
    if (where.source is None) == (where.ls_project is None):
        raise LabelerError(
            "Give either a file or a live project: FILE as the first argument, or --url URL --ls-project ID."
        )
    if where.source is None:
        return _live(where, policy, stack, tell, quiet)
    if not where.source.is_file():
        raise InputError(f"{where.source} is no file: give a JSON export of Label Studio, or a COCO file.")
    if is_coco(where.source):
        if unused := _of_tasks_only(where, policy):
            raise LabelerError(
                f"{unused} says which labels of Label Studio count, and {where.source} is a COCO file: "
                f"leave it out."
            )
        name, items = str(where.source), read_coco(where.source, tell)
        return Source(name, where.source.name, items, None, (), _in_folder(where))
    return _of_file(where, where.source, policy, tell)


def _of_file(where: Where, path: Path, policy: Policy, tell: Tell) -> Source:
    """A JSON export; pictures come from --images, else from Label Studio and the hosts that are let in."""
    tags = _tags(where.config)
    find = _in_folder(where)
    settings = load_server_settings()
    if find is None and where.url and where.token:
        find = _fetched(Access(base_url(where.url), where.token))
    elif find is None and (settings.allowed_hosts or settings.media_roots):
        find = _fetched(None)
    items = records(tasks_in(path, tell), policy, tell, config=tags, video_info=_measured(find))
    return Source(str(path), path.name, items, None, _labels(tags), find)


def _live(where: Where, policy: Policy, stack: ExitStack, tell: Tell, quiet: bool) -> Source:
    """A project, downloaded first."""
    studio = stack.enter_context(Studio(where.url, where.token))
    folder = load_server_settings().cache_dir / "exports"
    with counter("download", None, quiet) as progress:
        project = stack.enter_context(
            download(studio, required(where.ls_project, "--ls-project"), folder, progress)
        )
    tags = _tags(where.config) or read_tags(project.config)
    find = _in_folder(where) or _fetched(Access(studio.url, studio.token))
    items = records(studio_tasks(project), policy, tell, config=tags, video_info=_measured(find))
    name = f"{studio.url}/projects/{project.project}"
    return Source(name, project.title, items, project.tasks, _labels(tags), find)


def _tags(config: Path | None) -> Tags | None:
    if config is None:
        return None
    try:
        return read_tags(config.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"Labelling config {config} cannot be read ({error}): check --config.") from error


def _labels(tags: Tags | None) -> tuple[str, ...]:
    """Of all tags that mark areas, in their order; those that a task's data holds are not known yet."""
    controls = filter(_marks_areas, tags.controls) if tags is not None else ()
    return tuple(
        dict.fromkeys(name for control in controls for name in control.labels if not name.startswith("$"))
    )


def _marks_areas(control: ControlTag) -> bool:
    """The labels of key points, often only clicks of a smart tool, are no categories."""
    return control.kind == "labels" or shape_of(control.kind) not in (None, "keypoint")


def _in_folder(where: Where) -> Find | None:
    return PictureFolder(where.images).find if where.images is not None else None


def _fetched(access: Access | None) -> Find:
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


def _of_tasks_only(where: Where, policy: Policy) -> str:
    """The flag, if any, that says something about a COCO file which only tasks have."""
    usual = Policy()
    flags = (
        ("--annotations", policy.annotations != usual.annotations),
        ("--predictions", policy.predictions != usual.predictions),
        ("--include-skipped", policy.skipped),
        ("--unlabeled", policy.unlabeled),
        ("--crowd-label", policy.crowd_label is not None),
        ("--keypoints", policy.keypoints != usual.keypoints),
        ("--split-by", policy.group_by is not None),
        ("--config", where.config is not None),
    )
    return next((flag for flag, was_given in flags if was_given), "")
