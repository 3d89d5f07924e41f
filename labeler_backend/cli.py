"""The `labeler` command. Heavy imports stay inside the commands, so that `labeler --help` is instant."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from labeler_backend import __version__
from labeler_backend.batch.errors import Interrupted
from labeler_backend.errors import LabelerError

if TYPE_CHECKING:
    from labeler_backend.batch.state import Counts
    from labeler_backend.batch.types import MaskProposer, Options, Summary
    from labeler_backend.labeler import Labeler


class _Sentences(TyperGroup):
    """Prints what a person can mend as one line on stderr: exit 2, or 130 after Ctrl-C."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LabelerError as error:
            typer.echo(f"labeler: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(130 if isinstance(error, Interrupted) else 2) from error
        except KeyboardInterrupt as error:
            typer.echo("labeler: Stopped.", err=True)
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_Sentences,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    help="Masks before anyone has labelled anything, from what DINO transformers already see.",
    epilog="Begin with: labeler masks my-photos/ --out proposals",
)
models = typer.Typer(
    no_args_is_help=True, help="Which backbones there are, and which of them are on this machine."
)
app.add_typer(models, name="models")


class Engine(str, Enum):
    """Where a batch runs."""

    local = "local"
    ray = "ray"


AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object and nothing else.")]
OUTPUT, MODEL, RUN = "What comes out", "Model", "How it runs"
ModelOption = Annotated[
    str | None,
    typer.Option(
        help="Short name, hub id or folder; `labeler models list` shows them. [default: dinov2-small]",
        rich_help_panel=MODEL,
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps. [default: auto]", rich_help_panel=MODEL)
]
DTypeOption = Annotated[
    str | None, typer.Option(help="auto, fp32, bf16 or fp16. [default: auto]", rich_help_panel=MODEL)
]
SizeOption = Annotated[
    int, typer.Option(min=64, help="Long side in pixels of what the model sees.", rich_help_panel=MODEL)
]
MaxPixelsOption = Annotated[
    int, typer.Option(min=1, help="Refuse larger images before decoding them.", rich_help_panel=RUN)
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labeler {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


MASKS_EPILOG = """
**Examples**

A folder, with everything below it:
`labeler masks photos/ --out proposals`

The ten best per picture, as polygons for an editor:
`labeler masks "photos/**/*.jpg" --out proposals --max-proposals 10 --polygons`

A bucket, on a GPU, going on after an interruption:
`labeler masks s3://bucket/photos --out proposals --device cuda --resume`

Exit code: 0 all done, 1 some images failed (OUT/failures.jsonl says why), 2 bad input, 130 stopped by Ctrl-C.
"""


@app.command(epilog=MASKS_EPILOG)
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
    options = Options(
        polygons=polygons,
        max_points=max_points,
        overlays=not no_overlays,
        max_pixels=max_pixels,
        batch_size=batch_size,
    )
    make = partial(load_proposer, model, device, dtype, size, max_proposals, min_score, not no_cache)
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
    from exporters.coco import instance, write_coco
    from exporters.masks import write_instance_png
    from labeler_backend.batch.run import run, summary_json
    from labeler_backend.batch.types import Formats

    formats = Formats(instance=instance, instance_png=write_instance_png, coco=write_coco)
    with _progress(quiet=as_json) as progress:
        summary = run(
            inputs, out, make, options, formats, existing=existing, engine=engine.value, progress=progress
        )
    if as_json:
        typer.echo(json.dumps(summary_json(summary)))
    else:
        _say(summary)
    if summary.failed:
        raise typer.Exit(1)


def load_proposer(
    model: str | None,
    device: str | None,
    dtype: str | None,
    size: int,
    max_proposals: int,
    min_score: float,
    cached: bool = True,
) -> Labeler:
    """The product's proposer; what is None comes from the environment or the defaults."""
    from labeler_backend.backbone.cache import FeatureCache
    from labeler_backend.labeler import Labeler
    from labeler_backend.settings import load_settings

    settings = load_settings()
    return Labeler.load(
        model or settings.model,
        device=device or settings.device,
        dtype=dtype or settings.dtype,
        size=size,
        max_proposals=max_proposals,
        min_score=min_score,
        cache=FeatureCache(settings.cache_dir / "features", int(settings.cache_gb * 1e9)) if cached else None,
    )


@app.command(epilog="Example: labeler inspect cat.jpg --out cat.html")
def inspect(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="One picture.")],
    out: Annotated[
        Path, typer.Option(help="The page: one HTML file that needs nothing else.", rich_help_panel=OUTPUT)
    ],
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: SizeOption = 518,
    max_proposals: Annotated[
        int, typer.Option(min=1, help="The most proposals.", rich_help_panel=OUTPUT)
    ] = 20,
    max_pixels: MaxPixelsOption = 100_000_000,
    as_json: AsJson = False,
) -> None:
    """Show what the model sees in one image: tokens, attention heads and their roles, cuts, proposals."""
    from labeler_backend.report.inspect import inspect_image

    # Without the cache: the page says how long a look takes.
    make = partial(load_proposer, model, device, dtype, size, max_proposals, 0.05, cached=False)
    result = inspect_image(image, out, make, max_pixels)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{result['proposals']} proposals in {image}. Look at {out}")


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


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Counts], None]]:
    """A bar on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda counts: None
        return
    from labeler_backend.batch.progress import bar

    with bar() as show:
        yield show


@models.command("list")
def models_list(as_json: AsJson = False) -> None:
    """Every model with a short name, and whether it is on this machine."""
    from labeler_backend.backbone.weights import list_models

    found = [
        {
            "name": status.spec.name,
            "hub_id": status.spec.hub_id,
            "here": status.size_bytes > 0,
            "size_bytes": status.size_bytes,
            "folder": str(status.folder) if status.folder else None,
        }
        for status in list_models()
    ]
    if as_json:
        typer.echo(json.dumps({"models": found}))
        return
    width = max(len(str(item["name"])) for item in found)
    for item, status in zip(found, list_models(), strict=True):
        here = f"{status.size_bytes / 1e6:6.0f} MB here" if item["here"] else "      not here"
        typer.echo(f"{item['name']:<{width}}  {here}  {item['hub_id']}")


@models.command("fetch", epilog="Example: labeler models fetch dinov2-small")
def models_fetch(
    name: Annotated[str, typer.Argument(help="Short name, hub id or folder.")] = "dinov2-small",
    as_json: AsJson = False,
) -> None:
    """Download a model's weights, once, and check them."""
    from labeler_backend.backbone.weights import fetch

    found = fetch(name)
    if as_json:
        result = {
            "name": found.spec.name,
            "folder": str(found.folder),
            "sha256": found.sha256,
            "source": found.source,
        }
        typer.echo(json.dumps(result))
    else:
        typer.echo(
            f"{found.spec.name} is in {found.folder} (from: {found.source}, SHA-256 {found.sha256[:12]}…)"
        )


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
