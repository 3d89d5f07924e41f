"""`labeler track`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    INPUT,
    OUTPUT,
    RUN,
    AsJson,
    DeviceOption,
    DTypeOption,
    FrameRateOption,
    FrameSizeOption,
    InitFrameOption,
    ModelOption,
)
from labeler_backend.cli.progress import frames_bar
from labeler_backend.errors import LabelerError

if TYPE_CHECKING:
    from labeler_backend.track.folder import Existing
    from labeler_backend.track.types import Job, Summary

EPILOG = """
**Examples**

An object marked on the first frame, through a whole video:
`labeler track clip.mp4 --init first.png --out tracked`

Then look at `tracked/overlay.mp4`, which shows the number of each frame. Where it goes wrong, correct
`tracked/masks/00120.png` in an editor that keeps its values, save it elsewhere, and give it as well. It
counts in both directions:
`labeler track clip.mp4 --init first.png --keyframe 120=mended.png --out tracked --overwrite`

A folder of frames, and boxes instead of masks:
`labeler track frames/ --boxes boxes.txt --out tracked`

What makes a mask: `labeler masks frame.jpg --out proposals` (its `masks/frame.jpg.png` is one, with an id for
every proposal), or any picture editor. Values are ids, 0 is the background; white on black is one object.

Exit code: 0 all done, 1 some frames cannot be decoded (OUT/failures.jsonl says which), 2 bad input,
130 stopped by Ctrl-C.
"""


def track(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A video, or a folder of its frames.")],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for masks/ (a PNG of ids per frame), tracks.json (YouTube-VIS), tracks.txt (MOT), "
            "overlay.mp4 and failures.jsonl.",
            rich_help_panel=OUTPUT,
        ),
    ],
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="MASK.png",
            help="The objects on one frame: indexed or grey PNG, each pixel the id of its object, 0 = none.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    init_frame: InitFrameOption = 0,
    keyframe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N=MASK.png",
            help="The objects on frame N; one that is not in this mask is not in the picture. Repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    new_objects: Annotated[
        bool,
        typer.Option(
            "--new-objects", help="Let --keyframe bring objects that --init has not.", rich_help_panel=INPUT
        ),
    ] = False,
    boxes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Instead of --init: rows of frame (from 1), id, left, top, width, height, as MOT has them. "
            "On any frames; masks are found in the boxes.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    frame_rate: FrameRateOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: FrameSizeOption = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in OUT where it stopped.", rich_help_panel=RUN),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in OUT.", rich_help_panel=RUN)
    ] = False,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            help="Do not keep features for the next run, which are what takes time (about 5 MB a frame).",
            rich_help_panel=RUN,
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Carry masks of one or a few frames through a whole video, and write them as masks and as tracks."""
    from labeler_backend.track.types import Job

    existing = existing_run(resume, overwrite)
    if init is None and boxes is None:
        raise LabelerError("Nothing says what to follow: give a mask of a frame with --init, or --boxes.")
    if boxes is not None and (init is not None or keyframe):
        raise LabelerError("--boxes says on its own what to follow: leave out --init and --keyframe.")
    masks = given_masks(init, init_frame, keyframe or [])
    job = Job(source, masks, init_frame, boxes, new_objects, size, frame_rate)
    _track(job, out, (model, device, dtype, size, not no_cache), existing, as_json)


def existing_run(resume: bool, overwrite: bool) -> Existing:
    """What is to be done where OUT already holds a run.

    Raises:
        LabelerError: both.
    """
    if resume and overwrite:
        raise LabelerError("--resume and --overwrite contradict each other: give one of them.")
    return "resume" if resume else "overwrite" if overwrite else "refuse"


def given_masks(init: Path | None, init_frame: int, keyframes: list[str]) -> dict[int, Path]:
    """Files of masks by frame.

    Raises:
        LabelerError: --keyframe is not as it must be, or a frame has two.
    """
    masks = {} if init is None else {init_frame: init}
    for text in keyframes:
        number, sign, name = text.partition("=")
        if not sign or not name or not (number.isascii() and number.isdigit()):
            raise LabelerError(
                f"--keyframe {text} is not N=MASK.png: give a frame, counted from 0, and its mask."
            )
        if int(number) in masks:
            raise LabelerError(
                f"Frame {int(number)} has two masks, {masks[int(number)]} and {name}: give one."
            )
        masks[int(number)] = Path(name)
    return masks


def _track(job: Job, out: Path, model: Any, existing: Any, as_json: bool) -> None:
    from exporters.video.davis import as_png
    from exporters.video.single import write_mot, write_youtube_vis
    from labeler_backend.track.finish import summary_json
    from labeler_backend.track.run import run
    from labeler_backend.track.types import Formats

    formats = Formats(as_png, write_youtube_vis, write_mot)
    make = partial(loading.load_tracker, *model)
    with frames_bar(quiet=as_json) as (show, show_overlay):
        summary = run(job, out, make, formats, existing=existing, show=show, show_overlay=show_overlay)
    if as_json:
        typer.echo(json.dumps(summary_json(summary)))
    else:
        say_tracked(summary, job.size)
    if summary.failed:
        raise typer.Exit(1)


def say_tracked(summary: Summary, asked: int | None) -> None:
    """What is there, and what to look at; `asked`: the size that was asked for, if any."""
    from labeler_backend.video.propagate import SIZE

    out = Path(summary.out)
    many = "object" if len(summary.objects) == 1 else "objects"
    typer.echo(
        f"{len(summary.objects)} {many} on {summary.frames} frames in {out}/masks/, {out}/tracks.json and "
        f"{out}/tracks.txt"
    )
    if asked is None and summary.size > SIZE:
        typer.echo(
            f"The objects are small or thin, so the model saw frames at {summary.size} pixels, not {SIZE}: "
            f"--size {SIZE} is quicker."
        )
    if summary.failed:
        typer.echo(
            f"{summary.failed} of {summary.frames} frames cannot be decoded, and their masks are empty: "
            f"{out}/failures.jsonl says which.",
            err=True,
        )
    typer.echo(f"Look at {out / 'overlay.mp4'}")
