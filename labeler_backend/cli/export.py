"""`labeler export`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from labeler_backend.cli.options import (
    OUTPUT,
    RUN,
    AsJson,
    ConfigOption,
    ImagesOption,
    ProjectOption,
    SourceArgument,
    TokenOption,
    UrlOption,
)
from labeler_backend.cli.problems import say

if TYPE_CHECKING:
    from exporters.report import Report
    from labeler_backend.cli.exporting import Done

EPILOG = """
**Examples**

A file exported from Label Studio as JSON (not JSON-MIN), to COCO:
`labeler export export.json --out coco`

A live project, with its pictures, for training with Ultralytics; the token in LABEL_STUDIO_API_KEY:
`labeler export --url http://127.0.0.1:8080 --ls-project 1 --format yolo --split train=0.8,val=0.2 --out yolo`

Where two people labelled the same pictures, what both agree on:
`labeler export export.json --annotations consensus --out agreed`

COCO as predictions for Label Studio:
`labeler export annotations.json --format label-studio --out for-label-studio`

What could not be taken as it is stands in export_report.json, by task and region, with what was done.

Exit code: 0 done, 1 done, but something was reported and --strict was given, 2 bad input, 130 stopped by
Ctrl-C. After 2 and 130 nothing is left behind.
"""
_COUNTED = ("images", "videos", "tracks", "instances", "categories")
LABELS = "Which labels count"


Format = Literal["coco", "masks", "yolo", "youtube-vis", "mot", "davis", "label-studio"]
Annotations = Literal["ground-truth", "latest", "per-annotator", "consensus"]
Predictions = Literal["never", "missing", "only"]
Keypoints = Literal["linked", "inside"]
Segmentation = Literal["auto", "polygons", "rle"]
Media = Literal["copy", "link", "reference"]
Regions = Literal["auto", "polygon", "brush", "bitmask", "box"]


def export(
    out: Annotated[
        Path, typer.Option(help="Folder to write; made whole or not at all.", rich_help_panel=OUTPUT)
    ],
    source: SourceArgument = None,
    images: ImagesOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    ls_project: ProjectOption = None,
    to: Annotated[Format, typer.Option("--format", help="What to write.", rich_help_panel=OUTPUT)] = "coco",
    segmentation: Annotated[
        Segmentation,
        typer.Option(
            help="With --format coco: polygons where drawn and RLE where painted, or all of one kind.",
            rich_help_panel=OUTPUT,
        ),
    ] = "auto",
    categories: Annotated[
        Path | None,
        typer.Option(
            help='A file that keeps category ids, {"car": 1, …}; made, or new labels added. '
            "[default: categories.json of the folder that is replaced]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="As train=0.8,val=0.1,test=0.1. A task stays in its split whatever is added.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(
            help="With --split: a key of the tasks' data; tasks with the same value stay together.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.", rich_help_panel=OUTPUT)
    ] = False,
    annotations: Annotated[
        Annotations,
        typer.Option(
            help="Where a task has several: a ground truth, else the latest; the latest; a data set for each "
            "annotator; or what most of them agree on.",
            rich_help_panel=LABELS,
        ),
    ] = "ground-truth",
    predictions: Annotated[
        Predictions,
        typer.Option(
            help="Leave predictions out, take them where nobody annotated, or take nothing else.",
            rich_help_panel=LABELS,
        ),
    ] = "never",
    include_skipped: Annotated[
        bool,
        typer.Option("--include-skipped", help="Annotations of skipped tasks too.", rich_help_panel=LABELS),
    ] = False,
    unlabeled: Annotated[
        bool,
        typer.Option("--unlabeled", help="Pictures that nobody has annotated, too.", rich_help_panel=LABELS),
    ] = False,
    crowd_label: Annotated[
        str | None, typer.Option(help="The label that makes a region a crowd.", rich_help_panel=LABELS)
    ] = None,
    keypoints: Annotated[
        Keypoints,
        typer.Option(
            help="Points that were linked to an object, or also those that lie inside one.",
            rich_help_panel=LABELS,
        ),
    ] = "linked",
    merge_touching: Annotated[
        bool,
        typer.Option(
            "--merge-touching", help="Regions of one label that touch are one object.", rich_help_panel=LABELS
        ),
    ] = False,
    split_blobs: Annotated[
        bool,
        typer.Option(
            "--split-blobs", help="Each connected part is an object of its own.", rich_help_panel=LABELS
        ),
    ] = False,
    media: Annotated[
        Media | None,
        typer.Option(
            help="Copy the pictures (photographs turned upright), link them, or only name them. "
            "[default: copy for yolo, where they can be had; else reference]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    kind: Annotated[
        Regions,
        typer.Option(help="With --format label-studio: what the regions are.", rich_help_panel=OUTPUT),
    ] = "auto",
    image_prefix: Annotated[
        str,
        typer.Option(
            help="With --format label-studio: what stands before the pictures' names in the tasks, as "
            "/data/local-files/?d=photos/.",
            rich_help_panel=OUTPUT,
        ),
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when anything was reported.", rich_help_panel=RUN)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export corrected labels: COCO, masks, YOLO, YouTube-VIS, MOT, DAVIS."""
    from exporters.dataset import Edits
    from exporters.report import Report
    from exporters.splits import Split
    from exporters.writer import Options
    from labeler_backend.cli import exporting
    from labeler_backend.cli.sources import Where
    from labeler_backend.studio.export_json import Policy

    parts = Split.parse(split) if split is not None else None
    where = Where(source=source, url=url, token=token, ls_project=ls_project, config=config, images=images)
    request = exporting.Request(
        where=where,
        out=out,
        overwrite=overwrite,
        format=to,
        categories=categories,
        policy=Policy(
            annotations=annotations,
            skipped=include_skipped,
            predictions=predictions,
            unlabeled=unlabeled,
            crowd_label=crowd_label,
            keypoints=keypoints,
            group_by=split_by,
        ),
        edits=Edits(merge_touching, split_blobs),
        options=Options(segmentation, parts.names if parts else ()),
        split=parts,
        media=media,
        kind=kind,
        image_prefix=image_prefix,
    )
    with Report() as report:
        done = exporting.run(request, report, quiet=as_json)
        if as_json:
            typer.echo(json.dumps(done.json()))
        else:
            _say(done, report)
        if strict and report.total:
            raise typer.Exit(1)


def _say(done: Done, report: Report) -> None:
    typer.echo(f"{done.out}: {_counted(done.counts)}.")
    if done.annotators:
        typer.echo(f"A data set for each annotator: {', '.join(done.annotators)}.")
    say(report)
    if report.total:
        what = f"All {report.total} of these are" if report.total > 1 else "This is"
        typer.echo(f"{what} in {done.report}.", err=True)


def _counted(counts: Mapping[str, int]) -> str:
    """As `2 images, 1 instance, 3 categories, 2 pictures (1 turned upright)`; no zeros of pictures."""
    singular = {name: name.removesuffix("s") for name in counts} | {"categories": "category"}
    others = sorted(counts.keys() - {*_COUNTED, "pictures", "turned_upright"})
    texts = [
        f"{counts[name]} {singular[name] if counts[name] == 1 else name}".replace("_", " ")
        for name in (*_COUNTED, *others)
        if name in counts
    ]
    if pictures := counts.get("pictures", 0):
        turned = counts.get("turned_upright", 0)
        texts.append(
            f"{pictures} picture{'s' * (pictures != 1)}" + f" ({turned} turned upright)" * (turned > 0)
        )
    return ", ".join(texts) or "nothing"
