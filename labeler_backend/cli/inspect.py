"""`labeler inspect`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    OUTPUT,
    AsJson,
    DeviceOption,
    DTypeOption,
    MaxPixelsOption,
    ModelOption,
    SizeOption,
)

EPILOG = "Example: labeler inspect cat.jpg --out cat.html"


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
    make = partial(loading.load_proposer, model, device, dtype, size, max_proposals, 0.05, cached=False)
    result = inspect_image(image, out, make, max_pixels)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{result['proposals']} proposals in {image}. Look at {out}")
