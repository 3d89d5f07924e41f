"""`labeler click`."""

from __future__ import annotations

import json
import math
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    INPUT,
    OUTPUT,
    AsJson,
    DeviceOption,
    DTypeOption,
    MaxPixelsOption,
    ModelOption,
    SizeOption,
)
from labeler_backend.errors import InputError, LabelerError

if TYPE_CHECKING:
    from labeler_backend.media import RGB
    from labeler_backend.prompts.types import Answer, Answered, Box, Point, Prompt, Scribble

EPILOG = """
**Examples**

The object at a pixel:
`labeler click photo.jpg --point 320,240 --out mask.png`

A second click takes the wall behind it away again; the mask so far goes along, so that all else stays:
`labeler click photo.jpg --point 320,240,1 --point 410,90,0 --previous mask.png --out mask.png`

The object in a box, with a picture to look at:
`labeler click photo.jpg --box 200,120,460,400 --out mask.png --overlay seen.jpg`

Strokes of a brush: 255 is object, 0 is unknown; `--not-scribble` for what is not object:
`labeler click photo.jpg --scribble stroke.png --out mask.png`

Pixels are those of the upright picture, x to the right and y down. What cannot be used (a point outside, an
empty box) is said, and the rest is answered. Exit code: 0 a mask was written, 2 bad input, and nothing was.
"""


def click(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="One picture.")],
    out: Annotated[
        Path, typer.Option(help="The mask: an 8-bit PNG, 255 = object, 0 = not.", rich_help_panel=OUTPUT)
    ],
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y[,1|0]",
            help="A click in pixels: 1 on the object (also without it), 0 not on it. Repeatable, in order.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1", help="Two corners of a box around the object.", rich_help_panel=INPUT
        ),
    ] = None,
    scribble: Annotated[
        list[Path] | None,
        typer.Option(
            help="A picture of the image's size in which what is not black is a stroke on the object. "
            "Repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    not_scribble: Annotated[
        list[Path] | None,
        typer.Option(
            "--not-scribble", help="The same for a stroke that is not on it.", rich_help_panel=INPUT
        ),
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(help="The mask so far, as this command writes it.", rich_help_panel=INPUT),
    ] = None,
    alternatives: Annotated[
        bool,
        typer.Option(
            "--alternatives",
            help="Write up to two more masks, nested in the first or around it, as OUT.2.png and OUT.3.png.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    overlay: Annotated[
        Path | None,
        typer.Option(help="Also a picture with the mask drawn over it (.jpg, .png).", rich_help_panel=OUTPUT),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: SizeOption = 518,
    max_pixels: MaxPixelsOption = 100_000_000,
    as_json: AsJson = False,
) -> None:
    """Cut out one object, from clicks on it and beside it, a box around it, or strokes of a brush."""
    points = [_point(text) for text in point or []]
    corners = None if box is None else _box(box)
    strokes = [(path, True) for path in scribble or []] + [(path, False) for path in not_scribble or []]
    if not points and corners is None and not strokes and previous is None:
        raise LabelerError("Nothing says where the object is: give --point X,Y, --box or --scribble.")
    from labeler_backend.media import decode

    picture = decode(image, max_pixels=max_pixels)
    prompt = _prompt(picture, points, corners, strokes, previous)
    make = partial(loading.load_proposer, model, device, dtype, size, 20, 0.05)
    labeler = make()
    started = time.perf_counter()
    answer = labeler.click(picture, prompt)
    seconds = time.perf_counter() - started
    if not answer.found:
        raise InputError(f"{image}: {' '.join(answer.notes)}")
    files = _write(out, answer, alternatives)
    if overlay is not None:
        _write_overlay(overlay, picture, answer.found[0])
    if as_json:
        typer.echo(json.dumps(_facts(image, picture, answer, files, seconds)))
        return
    for note in answer.notes:
        typer.echo(note, err=True)
    share = 100 * float(answer.found[0].mask.mean())
    typer.echo(f"{share:.1f} % of {image} is the object. Look at {overlay or out}")


def _numbers(text: str, counts: tuple[int, ...], option: str, shape: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) not in counts or not all(map(math.isfinite, found)):
        raise LabelerError(f"{option} {text} is not {shape}: numbers in pixels with commas between them.")
    return found


def _point(text: str) -> Point:
    from labeler_backend.prompts.types import Point

    x, y, *sign = _numbers(text, (2, 3), "--point", "X,Y or X,Y,1 or X,Y,0")
    if sign and sign[0] not in (0, 1):
        raise LabelerError(f"--point {text} ends neither with 1 (on the object) nor with 0 (not on it).")
    return Point(x, y, not sign or sign[0] == 1)


def _box(text: str) -> Box:
    from labeler_backend.prompts.types import Box

    return Box(*_numbers(text, (4,), "--box", "X0,Y0,X1,Y1"))


def _prompt(
    picture: RGB,
    points: list[Point],
    box: Box | None,
    strokes: list[tuple[Path, bool]],
    previous: Path | None,
) -> Prompt:
    from labeler_backend.prompts.types import Prompt, Scribble

    size = picture.shape[:2]
    scribbles: tuple[Scribble, ...] = tuple(Scribble(_mask(path, size), on) for path, on in strokes)
    return Prompt(
        tuple(points),
        () if box is None else (box,),
        scribbles,
        None if previous is None else _mask(previous, size),
    )


def _mask(path: Path, size: tuple[int, ...]) -> Any:
    """(H, W) bool: what is not black in a picture of this size."""
    from labeler_backend.media import decode

    mask = decode(path).any(axis=2)
    if mask.shape != size:
        raise InputError(
            f"{path} is {mask.shape[1]}×{mask.shape[0]} pixels and the picture {size[1]}×{size[0]}: "
            f"make it on the picture itself."
        )
    return mask


def _write(out: Path, answer: Answer, alternatives: bool) -> list[Path]:
    import cv2

    from labeler_backend.files import write_bytes

    files = []
    for number, found in enumerate(answer.found if alternatives else answer.found[:1], start=1):
        path = out if number == 1 else out.with_name(f"{out.stem}.{number}{out.suffix or '.png'}")
        coded = cv2.imencode(".png", found.mask.astype("uint8") * 255)[1]
        write_bytes(path, coded.tobytes())
        files.append(path)
    return files


def _write_overlay(path: Path, picture: RGB, found: Answered) -> None:
    import cv2

    from labeler_backend.files import write_bytes
    from labeler_backend.masks import rle
    from labeler_backend.proposals.types import Proposal
    from labeler_backend.report.drawing import overlay

    drawn = overlay(picture, [Proposal(rle.encode(found.mask), found.score, "prompt")])
    kind = ".png" if path.suffix.lower() == ".png" else ".jpg"
    write_bytes(path, cv2.imencode(kind, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tobytes())


def _facts(image: Path, picture: RGB, answer: Answer, files: list[Path], seconds: float) -> dict[str, Any]:
    from labeler_backend.masks import rle

    def facts(found: Answered) -> dict[str, Any]:
        coded = rle.encode(found.mask)
        return {"score": round(found.score, 4), "area": rle.area(coded), "bbox": list(rle.box(coded))}

    return {
        "image": str(image),
        "size": list(picture.shape[:2]),
        "masks": [str(path) for path in files],
        "answers": [facts(found) for found in answer.found],
        "notes": list(answer.notes),
        "seconds": round(seconds, 3),
    }
