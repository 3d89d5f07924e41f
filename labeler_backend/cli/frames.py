"""`labeler frames create` and `labeler frames collect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from labeler_backend.cli.options import (
    INPUT,
    OUTPUT,
    RUN,
    STUDIO,
    AsJson,
    ConfigOption,
    DeviceOption,
    DTypeOption,
    FrameRateOption,
    FrameSizeOption,
    InitFrameOption,
    ModelOption,
    ProjectOption,
    SourceArgument,
    TokenOption,
    UrlOption,
)

frames = typer.Typer(
    no_args_is_help=True,
    help="Masks on videos, which Label Studio does not have: correct them on sampled frames, as pictures.",
)
Regions = Literal["polygon", "brush"]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier run wrote.", rich_help_panel=RUN)
]
CREATE_EPILOG = """
**Examples**

Every 20th frame, with what is marked on the first one carried to them:
`labeler frames create clip.mp4 --every 20 --init first.png --labels cat --out frames`

The same into a new project of a Label Studio, the token in LABEL_STUDIO_API_KEY:
`labeler frames create clip.mp4 --every 20 --labels cat --out frames --upload --url http://127.0.0.1:8080`

Correct some of the frames there, submit them, export as JSON, and join them:
`labeler frames collect export.json clip.mp4 --out tracked`
"""
COLLECT_EPILOG = """
**Examples**

From a JSON export: `labeler frames collect export.json clip.mp4 --out tracked`

From the live project, the token in LABEL_STUDIO_API_KEY:
`labeler frames collect --video clip.mp4 --url http://127.0.0.1:8080 --ls-project 7 --out tracked`

Exit code: as of `labeler track`.
"""


@frames.command("create", epilog=CREATE_EPILOG)
def frames_create(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A video, or a folder of its frames.")],
    every: Annotated[
        int, typer.Option(min=1, metavar="N", help="A task for each Nth frame.", rich_help_panel=OUTPUT)
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for images/, tasks.json and config.xml; made whole or not at all.",
            rich_help_panel=OUTPUT,
        ),
    ],
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="MASK.png",
            help="The objects on one frame, as of `labeler track`. [default: proposals of the first frame]",
            rich_help_panel=INPUT,
        ),
    ] = None,
    init_frame: InitFrameOption = 0,
    keyframe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N=MASK.png", help="The objects on frame N, too. Repeatable.", rich_help_panel=INPUT
        ),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            help="Names of the classes, with commas between them. As many as there are objects: one each, in "
            "the order of their ids; else all have the first.",
            rich_help_panel=OUTPUT,
        ),
    ] = "object",
    kind: Annotated[Regions, typer.Option(help="What the regions are.", rich_help_panel=OUTPUT)] = "polygon",
    max_proposals: Annotated[
        int, typer.Option(min=1, max=50, help="Without --init: the most objects.", rich_help_panel=INPUT)
    ] = 3,
    image_prefix: Annotated[
        str | None,
        typer.Option(
            help="What stands before the pictures' names in the tasks. [default: /data/local-files/?d=, the "
            "name of OUT and /images/]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    upload: Annotated[
        bool,
        typer.Option(
            "--upload",
            help="Also make a project of them, in the Label Studio of --url.",
            rich_help_panel=STUDIO,
        ),
    ] = False,
    url: UrlOption = None,
    token: TokenOption = None,
    title: Annotated[
        str | None,
        typer.Option(
            help="With --upload: of the project. [default: the video's name]", rich_help_panel=STUDIO
        ),
    ] = None,
    frame_rate: FrameRateOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: FrameSizeOption = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make an image task of every Nth frame, with what was carried to it, to be corrected in Label Studio."""
    from labeler_backend.cli import framing
    from labeler_backend.cli.track import given_masks
    from labeler_backend.studio.labeling import split_labels
    from labeler_backend.track.types import Job

    masks = given_masks(init, init_frame, keyframe or []) if init or keyframe else {}
    job = Job(video, masks, init_frame, None, True, size, frame_rate)
    request = framing.Request(
        job=job,
        every=every,
        out=out,
        labels=tuple(split_labels(labels)),
        kind=kind,
        max_proposals=max_proposals,
        image_prefix=image_prefix,
        overwrite=overwrite,
        model=(model, device, dtype, size, True),
    )
    created = framing.create(request, quiet=as_json)
    project = framing.uploaded(created, url, token, title or video.name, as_json) if upload else None
    if as_json:
        typer.echo(json.dumps(created.json() | {"project": project}))
    else:
        framing.say_created(created, url, project)
    if created.failed:
        raise typer.Exit(1)


@frames.command("collect", epilog=COLLECT_EPILOG)
def frames_collect(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for what `labeler track` writes, and objects.json.", rich_help_panel=OUTPUT
        ),
    ],
    source: SourceArgument = None,
    video: Annotated[
        Path | None, typer.Argument(metavar="VIDEO", help="What the frames were taken from.")
    ] = None,
    of: Annotated[
        Path | None,
        typer.Option("--video", help="The same, where a live project is collected.", rich_help_panel=INPUT),
    ] = None,
    url: UrlOption = None,
    token: TokenOption = None,
    ls_project: ProjectOption = None,
    config: ConfigOption = None,
    frame_rate: FrameRateOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: FrameSizeOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT.", rich_help_panel=RUN)
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Join corrected frames into tracks: what lies between them is carried from both sides."""
    from labeler_backend.cli import framing
    from labeler_backend.cli.options import required
    from labeler_backend.cli.sources import Where
    from labeler_backend.cli.track import existing_run

    where = Where(source=source, url=url, token=token, ls_project=ls_project, config=config, images=None)
    summary = framing.collect(
        where,
        required(of or video, "VIDEO"),
        out,
        frame_rate,
        (model, device, dtype, size, True),
        existing_run(resume, overwrite),
        as_json,
    )
    framing.say_collected(summary, size, as_json)
    if summary.failed:
        raise typer.Exit(1)
