"""Options that several commands share, and the panels of --help they stand in."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from labeler_backend.errors import LabelerError

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object and nothing else.")]
OUTPUT, MODEL, RUN, STUDIO = "What comes out", "Model", "How it runs", "Label Studio"
INPUT = "What it reads"


class Kind(str, Enum):
    """What the regions of a labelling config are."""

    polygon = "polygon"
    brush = "brush"
    box = "box"
    video = "video"


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
FrameSizeOption = Annotated[
    int | None,
    typer.Option(
        min=64,
        help="Short side in pixels of what the model sees. More helps small objects, and takes longer. "
        "[default: 476, up to half as much again where objects are small]",
        rich_help_panel=MODEL,
    ),
]
FrameRateOption = Annotated[
    float | None,
    typer.Option(
        help="Frames per second of a folder of frames; a video's own counts. [default: 25]",
        rich_help_panel=INPUT,
    ),
]
InitFrameOption = Annotated[
    int, typer.Option(min=0, help="The frame of --init, counted from 0.", rich_help_panel=INPUT)
]
MaxPixelsOption = Annotated[
    int, typer.Option(min=1, help="Refuse larger images before decoding them.", rich_help_panel=RUN)
]
LabelsOption = Annotated[
    str, typer.Option(help="Names of the classes, with commas between them.", rich_help_panel=OUTPUT)
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        envvar="LABEL_STUDIO_URL",
        help="Where Label Studio is, as http://127.0.0.1:8080.",
        rich_help_panel=STUDIO,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar="LABEL_STUDIO_API_KEY",
        help="A token of Account & Settings, legacy or personal. Better set the variable: others on this "
        "machine can read a command line.",
        rich_help_panel=STUDIO,
    ),
]
BasicAuthOption = Annotated[
    str | None,
    typer.Option(
        metavar="USER:PASSWORD",
        help="The login that the backend asks for. [default: LABELER_BASIC_AUTH_USER and _PASS]",
        rich_help_panel=STUDIO,
    ),
]
ProjectOption = Annotated[
    int | None,
    typer.Option(
        "--ls-project",
        min=1,
        help="The project's number: it is in the address of its page.",
        rich_help_panel=STUDIO,
    ),
]
SourceArgument = Annotated[
    Path | None,
    typer.Argument(help="A JSON export of Label Studio, or a COCO file. Without it: a live project."),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the pictures, matched by name. [default: Label Studio, where needed]",
        rich_help_panel=INPUT,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="File with the labelling config, with which labels that are not in it are reported. "
        "[default: that of the live project]",
        rich_help_panel=INPUT,
    ),
]


def required(value: T | None, option: str) -> T:
    """What an option holds that has no default but stands behind others in --help.

    Raises:
        LabelerError: nothing.
    """
    if value is None:
        raise LabelerError(f"{option} is missing: see --help.")
    return value
