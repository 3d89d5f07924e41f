"""`labeler train`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labeler_backend.batch.errors import Interrupted
from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    AsJson,
    ConfigOption,
    DeviceOption,
    DTypeOption,
    ImagesOption,
    MaxPixelsOption,
    ModelOption,
    ProjectOption,
    SizeOption,
    SourceArgument,
    TokenOption,
    UrlOption,
)
from labeler_backend.cli.problems import Problems, say
from labeler_backend.cli.progress import shares
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.settings import HeadKind

if TYPE_CHECKING:
    from labeler_backend.cli.sources import Source, Where
    from labeler_backend.heads.versions import Version
    from labeler_backend.media import RGB
    from labeler_backend.records import Record, Tell, VideoRecord

EPILOG = """
**Examples**

From a file exported from Label Studio as JSON (not JSON-MIN), or a COCO file, with the pictures beside it:
`labeler train export.json --images photos/ --project birds`

From a live project; the token in LABEL_STUDIO_API_KEY:
`labeler train --url http://127.0.0.1:8080 --ls-project 1 --project birds`

By the most alike patches, without trying a regression:
`labeler train export.json --images photos/ --project birds --kind knn`

What was learned, and back to the version before:
`labeler heads list --project birds` and `labeler heads rollback --project birds`

A new version serves only where it is better, on pictures that it has not seen, than what served. Pictures are
looked at once: training again, also after Ctrl-C, takes up only what is new.

Exit code: 0 trained, whether or not the version serves, 2 bad input or nothing to learn, 130 stopped by
Ctrl-C.
"""
HEAD = "What is learned"


def train(
    project: Annotated[
        str,
        typer.Option(
            help="What the project is called here: letters, digits, '.', '_' and '-'. `labeler masks` and "
            "`labeler heads` take the same name.",
            rich_help_panel=HEAD,
        ),
    ],
    source: SourceArgument = None,
    images: ImagesOption = None,
    config: ConfigOption = None,
    kind: Annotated[
        HeadKind,
        typer.Option(
            help="How classes are told apart. knn: by the labelled patches that are most alike. logistic: by "
            "a regression, which learns what matters, and gains with every picture. auto: with one picture "
            "knn; with 2 to 20 knn, logistic or the average of both (blend), whichever does best on pictures "
            "held out of yours; with more, logistic.",
            rich_help_panel=HEAD,
        ),
    ] = "auto",
    url: UrlOption = None,
    token: TokenOption = None,
    ls_project: ProjectOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: SizeOption = 518,
    max_pixels: MaxPixelsOption = 100_000_000,
    as_json: AsJson = False,
) -> None:
    """Learn a project's classes from what people accepted; what is better than before begins to serve."""
    from labeler_backend.cli.sources import Where, open_source
    from labeler_backend.heads.learning import learn
    from labeler_backend.studio.export_json import Policy

    where = Where(source=source, url=url, token=token, ls_project=ls_project, config=config, images=images)
    problems = Problems()
    with ExitStack() as stack:
        stack.enter_context(_said_where_it_fails(problems))
        found = open_source(where, Policy(), stack, problems.tell, as_json)
        folder = _folder(project, where)
        labeler = loading.load_proposer(model, device, dtype, size, 20, 0.05)
        progress = stack.enter_context(shares("train", as_json))
        records = _fitted(found, problems.tell) if images is not None else found.items
        try:
            version = learn(
                records,
                _opener(found, max_pixels),
                labeler,
                folder,
                progress,
                problems.tell,
                source=_source(where),
                total=found.total,
                kind=kind,
            )
        except KeyboardInterrupt as error:
            raise Interrupted("Stopped; what was taken in is kept: run it again to go on.") from error
    if as_json:
        typer.echo(json.dumps({"project": project, **version.json(), "problems": problems.total}))
    else:
        _say(version, project, problems)


@contextmanager
def _said_where_it_fails(problems: Problems) -> Iterator[None]:
    """What was left out is often why nothing can be learned."""
    try:
        yield
    except LabelerError:
        say(problems)
        raise


def _folder(project: str, where: Where) -> Path:
    """Of the project; a live one has the same folder whatever it is called, the one that the backend uses."""
    from labeler_backend.studio.client import base_url

    if where.ls_project is None or where.source is not None:
        return loading.project_folder(project)
    return loading.studio_project_folder(project, base_url(where.url), where.ls_project)


def _source(where: Where) -> str:
    """What tells records of one file from those of another and of the live project, which needs no name."""
    return str(where.source.resolve()) if where.source is not None else ""


def _opener(source: Source, max_pixels: int) -> Callable[[Record], RGB]:
    """Decodes a record's picture.

    What it returns raises InputError where there is none, or it cannot be read.
    """
    from labeler_backend.media import decode

    def open_image(record: Record) -> RGB:
        found = source.find(record) if source.find else None
        if found is None:
            raise InputError(
                f"There is no picture of {record.file_name}: give its folder with --images DIR, or --url and "
                f"a token."
            )
        return decode(found.path, max_pixels=max_pixels)

    return open_image


def _fitted(source: Source, tell: Tell) -> Iterator[Record | VideoRecord]:
    """Records as they fit the files in --images, which may be copies of another size."""
    from exporters.pictures.folder import fitted, upright_size
    from labeler_backend.records import Record

    assert source.find is not None
    for item in source.items:
        try:
            found = source.find(item) if isinstance(item, Record) else None
            size = upright_size(found.path) if found else None
        except InputError:  # whoever opens it tells
            size = None
        yield fitted(item, size, tell) if isinstance(item, Record) and size is not None else item


def _say(version: Version, project: str, problems: Problems) -> None:
    say(problems)
    images = f"{version.n_images} image{'s' * (version.n_images != 1)}"
    what = f"Version {version.number} of {project} ({version.kind}, {images}, {len(version.classes)} classes)"
    if version.promoted:
        typer.echo(f"{what} serves now. {version.reason}")
    else:
        typer.echo(f"{what} is kept but does NOT serve: what served before goes on. {version.reason}")
    if version.after is not None:
        before = f"{version.before.pq:.3f}" if version.before else "–"
        typer.echo(
            f"On {version.n_held_out} held-out images: panoptic quality {before} before, "
            f"{version.after.pq:.3f} now."
        )
    typer.echo(f"More: labeler heads show --project {project} {version.number}")
