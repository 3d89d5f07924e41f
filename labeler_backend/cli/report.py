"""`labeler report`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labeler_backend.cli.options import OUTPUT, AsJson, ProjectOption, TokenOption, UrlOption
from labeler_backend.errors import LabelerError

if TYPE_CHECKING:
    from labeler_backend.report.learning_page import Learning

EPILOG = """
**Examples**

From what the backend has seen, into report.html:
`labeler report --project birds`

With what only Label Studio knows for certain, which prediction each annotation began with; also for
predictions that were pushed without a backend. The token in LABEL_STUDIO_API_KEY:
`labeler report --url http://127.0.0.1:8080 --ls-project 1`

Exit code: 0 done, 2 bad input, or nothing is known of the project.
"""
LEARNED = "What is reported on"


def report(
    source: Annotated[
        Path | None,
        typer.Argument(
            help="A JSON export of Label Studio with predictions in it: adds to what the backend has seen."
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            help="The project's name or alias. [default: that of --ls-project]", rich_help_panel=LEARNED
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page: one HTML file that needs nothing else. "
            "[default: report.html, and none with --json]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    url: UrlOption = None,
    token: TokenOption = None,
    ls_project: ProjectOption = None,
    as_json: AsJson = False,
) -> None:
    """Show how the proposals got better: accepted, edited and redrawn per version, and the time they save."""
    from labeler_backend.cli.reporting import Request, find
    from labeler_backend.report.learning_page import as_json as data
    from labeler_backend.report.learning_page import write_page

    with ExitStack() as stack:
        found = find(Request(source, project, url, token, ls_project), stack, quiet=as_json)
    page = out or (None if as_json else Path("report.html"))
    if page is not None:
        try:
            write_page(page, found)
        except OSError as error:
            raise LabelerError(
                f"{page} cannot be written ({error.strerror or error}): name another with --out."
            ) from error
    if as_json:
        typer.echo(json.dumps(data(found) | {"page": str(page) if page else None}))
    else:
        _say(found, page)


def _say(found: Learning, page: Path | None) -> None:
    from labeler_backend.report.learning_page import percent
    from labeler_backend.report.rendering import hours
    from labeler_backend.report.versions import short

    for version, one in found.versions.items():
        iou = "" if one.mean_iou is None else f", mean IoU {one.mean_iou:.2f}"
        typer.echo(
            f"{short(version)}: {one.annotations} annotations, {percent(one.share('accepted'))} accepted as "
            f"they were, {percent(one.share('edited'))} edited, {percent(one.share('redrawn'))} redrawn{iou}."
        )
    if found.versions:
        typer.echo(f"Estimated saving: {hours(found.whole.saved)}. Look at {page}")
        return
    heads = f"{len(found.heads)} head{'s' * (len(found.heads) != 1)}"
    typer.echo(
        f"{heads}, and no annotation is known yet that began with a prediction: label with the backend "
        f"connected, or give --url and --ls-project. Look at {page}"
    )
