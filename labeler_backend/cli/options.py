"""Options that several commands share, and the panels of --help they stand in."""

from __future__ import annotations

from typing import Annotated

import typer

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
