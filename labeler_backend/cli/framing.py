"""What `labeler frames` puts together: propagation, tasks of frames, and tracks of what came back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import cv2
import numpy as np
import typer
from PIL import Image

from exporters.categories import Categories
from exporters.folder import building
from exporters.report import Report
from exporters.video.davis import as_png
from exporters.video.single import write_mot, write_youtube_vis
from exporters.writer import Options
from labeler_backend import __version__
from labeler_backend.cli import loading
from labeler_backend.cli.problems import Problems, say
from labeler_backend.cli.progress import counter, frames_bar
from labeler_backend.cli.sources import Where, open_source
from labeler_backend.cli.track import say_tracked
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.files import write_bytes
from labeler_backend.labeler import Labeler
from labeler_backend.media import RGB
from labeler_backend.proposals.objects import side_by_side
from labeler_backend.records import VideoRecord
from labeler_backend.studio.client import Studio
from labeler_backend.studio.export_json import Policy
from labeler_backend.studio.frames import Corrected, Object, corrected, frame_record
from labeler_backend.studio.frames_upload import read_tasks, upload_frames
from labeler_backend.studio.tasks_json import TasksDataset
from labeler_backend.studio.version import model_version
from labeler_backend.track.finish import summary_json
from labeler_backend.track.masks import read_masks
from labeler_backend.track.run import run
from labeler_backend.track.types import Formats, Job, Summary
from labeler_backend.video.frames import FrameSource, open_frames
from labeler_backend.video.info import VideoInfo, read_info
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.propagate import propagate
from labeler_backend.video.sizing import short_side

TASKS, CONFIG, PICTURES, OBJECTS = "tasks.json", "config.xml", "images", "objects.json"

ModelFlags = tuple[str | None, str | None, str | None, int | None, bool]
_QUALITY = 95  # of the JPEGs


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What `labeler frames create` was asked for.

    Attributes:
        job: the video and what is given of it.
        every, out, labels, kind, max_proposals, image_prefix, overwrite: as the flags.
        model: of `loading.load_tracker`.
    """

    job: Job
    every: int
    out: Path
    labels: tuple[str, ...]
    kind: Literal["polygon", "brush"]
    max_proposals: int
    image_prefix: str | None
    overwrite: bool
    model: ModelFlags


@dataclass(frozen=True, slots=True)
class Created:
    """What it wrote.

    Attributes:
        out: the folder.
        frames: of the video.
        tasks: frames that became tasks.
        regions: objects in them.
        failed: frames that should have, and cannot be decoded.
    """

    out: str
    frames: int
    tasks: int
    regions: int
    failed: int

    def json(self) -> dict[str, Any]:
        """What `--json` prints."""
        return asdict(self)


def create(request: Request, quiet: bool) -> Created:
    """Writes a folder of frames and their tasks.

    Raises:
        LabelerError: the video, a mask or the folder cannot be used.
        Interrupted: Ctrl-C; nothing is left behind then.
    """
    job, name = request.job, request.job.input.resolve().name
    with ExitStack() as stack:
        report = stack.enter_context(Report())
        frames = stack.enter_context(open_frames(job.input, job.frame_rate))
        masks = read_masks(job.masks, job.first, frames.info, True) if job.masks else {}
        folder = stack.enter_context(building(request.out, request.overwrite))
        labeler = loading.load_tracker(*request.model, frames.info)
        masks = masks or _proposed(frames, labeler, request.max_proposals)
        size = job.size or short_side(masks.values(), labeler.patch)
        labels = _labels(masks, request.labels)
        dataset = TasksDataset(
            folder,
            Categories(names=request.labels),
            Options(),
            report.tell,
            kind=request.kind,
            image_prefix=_prefix(request),
            model_version=f"{model_version(labeler_name(request), size)}-frames",
        )
        stack.callback(dataset.close)
        progress = stack.enter_context(counter("frames", len(frames), quiet))
        failed = 0
        for carried in propagate(frames, masks, lambda image: labeler.encode_frame(image, size)):
            progress(carried.index + 1)
            if carried.index % request.every:
                continue
            if carried.problem:
                failed += 1
                continue
            record = frame_record(carried, name, _file_name(name, carried.index), labels)
            dataset.add(record, None)
            _write_jpeg(folder / PICTURES / record.file_name, frames[carried.index].image)
        counts = dataset.finish()
        report.write(folder, {"source": str(job.input), "version": __version__, "counts": counts})
    say(report)
    return Created(str(request.out), len(frames), counts["images"], counts["instances"], failed)


def labeler_name(request: Request) -> str:
    """The model's name, as settings have it where no flag says it."""
    from labeler_backend.settings import load_settings

    return request.model[0] or load_settings().model


def uploaded(created: Created, url: str | None, token: str | None, title: str, quiet: bool) -> int:
    """What was created, as a new project → its number.

    Raises:
        LabelerError: Label Studio is not reached, or refuses.
    """
    out = Path(created.out)
    tasks = read_tasks(out / TASKS)
    pictures = [out / PICTURES / _file_name(task["data"]["video"], task["data"]["frame"]) for task in tasks]
    with Studio(url, token) as studio, counter("upload", len(tasks), quiet) as progress:
        return upload_frames(studio, title, (out / CONFIG).read_text("utf-8"), tasks, pictures, progress)


def collect(
    where: Where,
    video: Path,
    out: Path,
    frame_rate: float | None,
    model: ModelFlags,
    existing: Literal["refuse", "resume", "overwrite"],
    quiet: bool,
) -> Summary:
    """Corrected frames → what `labeler track` writes, and `objects.json` with the tracks' names and labels.

    Raises:
        LabelerError: the export, the video or the folder cannot be used.
        Interrupted: Ctrl-C; what is done is kept.
    """
    info = _info(video, frame_rate)
    problems = Problems()
    with ExitStack() as stack:
        source = open_source(where, Policy(), stack, problems.tell, quiet)
        found = corrected(source.items, video.resolve().name, info, problems.tell)
        say(problems)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="labeler-frames-")))
        masks = {number: _kept(folder, number, labels) for number, labels in found.masks.items()}
        first = next(number for number, labels in found.masks.items() if labels.any())
        job = Job(video, masks, first, None, True, model[3], frame_rate)
        show, show_overlay = stack.enter_context(frames_bar(quiet))
        summary = run(
            job,
            out,
            lambda seen: loading.load_tracker(*model, seen),
            _formats(found),
            existing=existing,
            show=show,
            show_overlay=show_overlay,
        )
    listed = {str(number): asdict(one) for number, one in found.objects.items()}
    write_bytes(out / OBJECTS, (json.dumps(listed, indent=1, ensure_ascii=False) + "\n").encode())
    return summary


def say_created(created: Created, url: str | None, project: int | None) -> None:
    """What is there, and what comes next."""
    out = Path(created.out)
    typer.echo(f"{created.regions} regions on {created.tasks} frames of {created.frames}: {out / TASKS}")
    if created.failed:
        typer.echo(f"{created.failed} frames cannot be decoded, and have no task.", err=True)
    if project is not None:
        typer.echo(f"Label them at {url}/projects/{project}/data")
        return
    where = out.resolve()
    typer.echo(
        f"Make a project with {out / CONFIG} and import {out / TASKS}. For the pictures, start Label Studio "
        f"with LOCAL_FILES_SERVING_ENABLED=true and LOCAL_FILES_DOCUMENT_ROOT={where.parent}, and add a "
        f"local storage with the path {where}. Or give --upload and --url, which does it all."
    )


def say_collected(summary: Summary, size: int | None, as_json: bool) -> None:
    """The same of tracks."""
    if as_json:
        typer.echo(json.dumps(summary_json(summary) | {"objects_file": str(Path(summary.out) / OBJECTS)}))
    else:
        say_tracked(summary, size)


def _proposed(frames: FrameSource, labeler: Labeler, most: int) -> dict[int, LabelMap]:
    """The likeliest objects of the first frame, side by side."""
    image = frames[0].image
    found = side_by_side(labeler.masks(image))[:most]
    if not found:
        raise InputError("Nothing is found on the first frame: mark what is to be followed with --init.")
    labels = np.zeros(frames.info.size, np.uint16)
    for number, one in enumerate(found, 1):
        labels[one.mask & (labels == 0)] = number
    return {0: labels}


def _labels(masks: Mapping[int, LabelMap], names: tuple[str, ...]) -> dict[int, str]:
    """Of each object: one each where there are as many, else the first."""
    ids = sorted({int(one) for labels in masks.values() for one in np.unique(labels) if one})
    if len(names) == len(ids):
        return dict(zip(ids, names, strict=True))
    return dict.fromkeys(ids, names[0])


def _prefix(request: Request) -> str:
    if request.image_prefix is not None:
        return request.image_prefix
    from urllib.parse import quote

    return f"/data/local-files/?d={quote(request.out.resolve().name)}/{PICTURES}/"


def _file_name(video: str, index: int) -> str:
    return f"{Path(video).stem}/{index:06d}.jpg"


def _write_jpeg(path: Path, image: RGB) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise LabelerError(f"{path.name} cannot be written as a JPEG: this is larger than its 65,535 pixels.")
    path.write_bytes(data.tobytes())


def _info(video: Path, frame_rate: float | None) -> VideoInfo:
    if not video.is_dir():
        return read_info(video)
    with open_frames(video, frame_rate) as frames:
        return frames.info


def _kept(folder: Path, number: int, labels: LabelMap) -> Path:
    path = folder / f"{number:06d}.png"
    Image.fromarray(labels.astype(np.uint8)).save(path)
    return path


def _formats(found: Corrected) -> Formats:
    """Files whose tracks have the labels that people gave."""
    return Formats(
        as_png,
        lambda path, video, about: write_youtube_vis(path, _labelled(video, found.objects), about),
        lambda path, video: write_mot(path, _labelled(video, found.objects)),
    )


def _labelled(video: VideoRecord, objects: Mapping[int, Object]) -> VideoRecord:
    return replace(
        video, tracks=tuple(replace(track, label=objects[int(track.id)].label) for track in video.tracks)
    )
