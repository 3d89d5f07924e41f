"""`labeler config`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from labeler_backend.cli.options import OUTPUT, AsJson, Kind, LabelsOption

EPILOG = """
**Examples**

Polygons in two classes, into a file:
`labeler config --labels cat,dog > config.xml`

Boxes through videos of 30 frames per second:
`labeler config --labels car,person --kind video --frame-rate 30`

Paste it under Settings > Labeling Interface > Code, or let `labeler connect --labels …` apply it.
"""


def config(
    labels: LabelsOption,
    kind: Annotated[Kind, typer.Option(help="What the regions are.", rich_help_panel=OUTPUT)] = Kind.polygon,
    frame_rate: Annotated[
        float,
        typer.Option(help="Frames per second of the videos, with --kind video.", rich_help_panel=OUTPUT),
    ] = 25.0,
    as_json: AsJson = False,
) -> None:
    """Print a labelling config in which proposals, clicks and boxes work."""
    from labeler_backend.studio.labeling import labeling_config, split_labels

    names = split_labels(labels)
    xml = labeling_config(names, kind.value, frame_rate)
    if as_json:
        typer.echo(json.dumps({"kind": kind.value, "labels": names, "label_config": xml}))
    else:
        typer.echo(xml, nl=False)
