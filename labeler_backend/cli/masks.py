"""`labeler masks`."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    MODEL,
    OUTPUT,
    RUN,
    AsJson,
    DeviceOption,
    DTypeOption,
    MaxPixelsOption,
    ModelOption,
    SizeOption,
)
from labeler_backend.cli.progress import progress_bar
from labeler_backend.errors import LabelerError

if TYPE_CHECKING:
    from labeler_backend.batch.types import MaskProposer, Options, Summary


class Engine(str, Enum):
    """Where a batch runs."""

    local = "local"
    ray = "ray"


EPILOG = """
**Examples**

A folder, with everything below it:
`labeler masks photos/ --out proposals`

The ten best per picture, as polygons for an editor:
`labeler masks "photos/**/*.jpg" --out proposals --max-proposals 10 --polygons`

With what was learned for a project:
`labeler masks photos/ --out proposals --project birds`

A bucket, on a GPU, going on after an interruption:
`labeler masks s3://bucket/photos --out proposals --device cuda --resume`

Exit code: 0 all done, 1 some images failed (OUT/failures.jsonl says why), 2 bad input, 130 stopped by Ctrl-C.
"""


def masks(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders (with all below), quoted globs, a .txt list, s3:// or gs:// URLs.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for annotations.json (COCO), masks/, overlays/, report.html and failures.jsonl.",
            rich_help_panel=OUTPUT,
        ),
    ],
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: SizeOption = 518,
    project: Annotated[
        str | None,
        typer.Option(
            help="Name, score and choose with what was learned for this project (`labeler train`).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    max_proposals: Annotated[
        int, typer.Option(min=1, max=65535, help="The most proposals per image.", rich_help_panel=OUTPUT)
    ] = 20,
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Leave out proposals below it.", rich_help_panel=OUTPUT)
    ] = 0.05,
    polygons: Annotated[
        bool,
        typer.Option(
            "--polygons", help="Polygons in annotations.json instead of RLE.", rich_help_panel=OUTPUT
        ),
    ] = False,
    max_points: Annotated[
        int,
        typer.Option(min=4, max=80, help="The most points per mask with --polygons.", rich_help_panel=OUTPUT),
    ] = 60,
    no_overlays: Annotated[
        bool, typer.Option("--no-overlays", help="Do not write overlays/.", rich_help_panel=OUTPUT)
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per model call.", rich_help_panel=RUN)] = 8,
    max_pixels: MaxPixelsOption = 100_000_000,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the run in OUT; failed images are tried again.", rich_help_panel=RUN
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in OUT.", rich_help_panel=RUN)
    ] = False,
    no_cache: Annotated[
        bool,
        typer.Option(
            "--no-cache",
            help="Do not keep features for the next run (about 1 MB an image).",
            rich_help_panel=RUN,
        ),
    ] = False,
    engine: Annotated[
        Engine,
        typer.Option(help="This machine, or a Ray cluster (RAY_ADDRESS).", rich_help_panel=RUN),
    ] = Engine.local,
    as_json: AsJson = False,
) -> None:
    """Propose masks for images, without labels, and write them as COCO, PNG masks and a report to look at."""
    from labeler_backend.batch.types import Options

    if resume and overwrite:
        raise LabelerError("--resume and --overwrite contradict each other: give one of them.")
    head = loading.project_head(project) if project is not None else None
    options = Options(
        categories=head.classes if head else (),
        polygons=polygons,
        max_points=max_points,
        overlays=not no_overlays,
        max_pixels=max_pixels,
        batch_size=batch_size,
    )
    make = partial(
        loading.load_proposer, model, device, dtype, size, max_proposals, min_score, not no_cache, head
    )
    existing = "resume" if resume else "overwrite" if overwrite else "refuse"
    _masks(inputs, out, make, options, existing, engine, as_json)


def _masks(
    inputs: list[str],
    out: Path,
    make: Callable[[], MaskProposer],
    options: Options,
    existing: Any,
    engine: Engine,
    as_json: bool,
) -> None:
    from exporters.coco.dataset import instance, write_coco
    from exporters.masks import write_instance_png
    from labeler_backend.batch.run import run, summary_json
    from labeler_backend.batch.types import Formats

    formats = Formats(instance=instance, instance_png=write_instance_png, coco=write_coco)
    with progress_bar(quiet=as_json) as progress:
        summary = run(
            inputs, out, make, options, formats, existing=existing, engine=engine.value, progress=progress
        )
    if as_json:
        typer.echo(json.dumps(summary_json(summary)))
    else:
        _say(summary)
    if summary.failed:
        raise typer.Exit(1)


def _say(summary: Summary) -> None:
    out = Path(summary.out)
    typer.echo(
        f"{summary.proposals} proposals on {summary.done} images in {out}/annotations.json and {out}/masks/"
    )
    if summary.failed:
        typer.echo(
            f"{summary.failed} of {summary.images} images failed: {out}/failures.jsonl says why.", err=True
        )
    typer.echo(f"Look at {out / 'report.html'}")
