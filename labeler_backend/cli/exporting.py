"""What `labeler export` puts together: a source, the policies, pictures, and a writer."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Literal

from exporters.categories import Categories
from exporters.coco.dataset import CocoDataset
from exporters.dataset import Edits, Pictures, Summary, write_dataset
from exporters.folder import building
from exporters.masks import MaskDataset
from exporters.report import REPORT, Report
from exporters.splits import Split
from exporters.video.davis import DavisDataset
from exporters.video.mot import MotDataset
from exporters.video.youtube_vis import YoutubeVisDataset
from exporters.writer import Options, Writer
from exporters.yolo import YoloDataset
from labeler_backend import __version__
from labeler_backend.cli.progress import counter
from labeler_backend.cli.sources import Source, Where, open_source
from labeler_backend.errors import LabelerError
from labeler_backend.studio.export_json import Policy
from labeler_backend.studio.tasks_json import TasksDataset

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
_WITH_PICTURES = {"yolo"}  # formats that no trainer reads without the pictures beside the labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes:
        where: the labels and pictures are.
        out, overwrite: where to.
        format: one of the formats.
        categories: a file that keeps their ids; None = that of the folder which is replaced.
        policy, edits, options, split: how.
        media: what becomes of the pictures; None = what the format needs.
        kind, image_prefix: of `TasksDataset`.
    """

    where: Where
    out: Path
    overwrite: bool
    format: str
    categories: Path | None
    policy: Policy
    edits: Edits
    options: Options
    split: Split | None
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


def run(request: Request, report: Report, quiet: bool) -> Done:
    """Reads, writes, and renames the folder when all is whole.

    Raises:
        LabelerError: the source, a flag or the folder cannot be used; nothing is left behind then.
    """
    _refuse_without_effect(request)
    with ExitStack() as stack:
        stack.enter_context(_rare_collections())
        folder = stack.enter_context(building(request.out, request.overwrite))
        source = open_source(request.where, request.policy, stack, report.tell, quiet)
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


def _pictures(request: Request, source: Source) -> Pictures | None:
    if source.find is None:
        if request.media in ("copy", "link"):
            raise LabelerError(
                f"--media {request.media} needs the pictures: give --images DIR, --url and a token, or set "
                "LABELER_ALLOWED_HOSTS."
            )
        return None
    # The cache may drop what it holds: links would lead nowhere one day.
    if request.media == "link" and request.where.images is None:
        raise LabelerError("--media link needs pictures that stay: give --images DIR, or --media copy.")
    how = request.media or ("copy" if request.format in _WITH_PICTURES else "reference")
    return Pictures(source.find, how, every=request.where.images is not None)


def _writer(
    request: Request, categories: Categories, options: Options, report: Report, folder: Path
) -> Writer:
    kind = _WRITERS[request.format]
    more = {"kind": request.kind, "image_prefix": request.image_prefix} if kind is TasksDataset else {}
    return kind(folder, categories, options, report.tell, **more)


def _about(request: Request, source: Source, summary: Summary) -> dict[str, Any]:
    """What the report says of the export as a whole."""
    return {
        "source": source.name,
        "format": request.format,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": __version__,
        "policy": asdict(request.policy) | asdict(request.edits),
        "counts": dict(summary.counts),
    }
