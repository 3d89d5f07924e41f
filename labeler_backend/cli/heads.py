"""`labeler heads list`, `show`, `rollback` and `delete`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler_backend.cli.options import AsJson

if TYPE_CHECKING:
    from labeler_backend.heads.types import Metrics
    from labeler_backend.heads.versions import Version, Versions

heads = typer.Typer(
    no_args_is_help=True, help="What was learned for a project: look at it, go back to it, delete it."
)
Name = Annotated[str, typer.Option("--project", help="The project, as `labeler train` was told.")]
Number = Annotated[int, typer.Argument(min=1, help="Of the version.")]


@heads.command("list", epilog="Example: labeler heads list --project birds")
def heads_list(project: Name, as_json: AsJson = False) -> None:
    """Every version, and which one serves."""
    versions = _versions(project)
    serving = versions.serving()
    damaged = _damaged(versions)
    if as_json:
        found = [_json(version, serving) for version in versions.list()]
        typer.echo(
            json.dumps({"project": project, "serving": serving, "versions": found, "damaged": damaged})
        )
        return
    if not versions.numbers():
        typer.echo(f"{project} has no heads yet: make one with `labeler train`.")
    for version in versions.list():
        typer.echo(_line(version, serving))
    for one in damaged:
        serves = "  serves" if one["version"] == serving else ""
        typer.echo(f"{one['version']:>4}{serves}  {one['reason']}", err=True)
    if versions.numbers() and serving is None:
        typer.echo("None of them serves.")


@heads.command("show", epilog="Example: labeler heads show --project birds 3")
def heads_show(
    project: Name,
    number: Annotated[
        int | None, typer.Argument(min=1, help="Of the version. [default: the one that serves]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One version: what it knows, how good it is, and that its files are as they were written."""
    from labeler_backend.heads.errors import HeadError

    versions = _versions(project)
    serving = versions.serving()
    wanted = serving if number is None else number
    if wanted is None:
        raise HeadError(f"No head of {project} serves: name a version, or make one with `labeler train`.")
    version = versions.get(wanted)
    versions.load(wanted)
    if as_json:
        typer.echo(json.dumps({"project": project, **_json(version, serving)}))
        return
    _show(version, serving)


@heads.command("rollback", epilog="Example: labeler heads rollback --project birds")
def heads_rollback(
    project: Name,
    to: Annotated[
        int | None,
        typer.Option(
            min=0, help="Which version is to serve; 0 = none, as before the first. [default: the one before]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let an earlier version serve. The backend notices by itself."""
    versions = _versions(project)
    wanted = versions.previous() if to is None else to or None
    version = versions.rollback(wanted)
    if as_json:
        found = _json(version, wanted) if version else None
        typer.echo(json.dumps({"project": project, "serving": wanted, "version": found}))
    elif version is None:
        typer.echo(f"No head of {project} serves now: proposals are as before the first one.")
    else:
        typer.echo(f"Version {version.number} of {project} serves now.")


@heads.command("delete", epilog="Example: labeler heads delete --project birds 3")
def heads_delete(project: Name, number: Number, as_json: AsJson = False) -> None:
    """Remove a version for good; not the one that serves."""
    versions = _versions(project)
    versions.delete(number)
    if as_json:
        typer.echo(json.dumps({"project": project, "deleted": number, "serving": versions.serving()}))
    else:
        typer.echo(f"Version {number} of {project} is deleted.")


def _versions(project: str) -> Versions:
    from labeler_backend.cli.loading import known_project
    from labeler_backend.heads.learning import HEADS
    from labeler_backend.heads.versions import Versions

    return Versions(known_project(project) / HEADS)


def _damaged(versions: Versions) -> list[dict[str, Any]]:
    """Number and reason of what cannot be read."""
    from labeler_backend.heads.errors import HeadError

    found = []
    for number in versions.numbers():
        try:
            versions.get(number)
        except HeadError as error:
            found.append({"version": number, "reason": str(error)})
    return found


def _json(version: Version, serving: int | None) -> dict[str, Any]:
    return {**version.json(), "serves": version.number == serving}


def _line(version: Version, serving: int | None) -> str:
    """As `   3  serves  2026-11-23 22:10  logistic  20 images  PQ 0.412 → 0.533`."""
    state = "serves" if version.number == serving else "served" if version.promoted else "kept"
    images = f"{version.n_images} image{'s' * (version.n_images != 1)}"
    quality = f"PQ {_number(version.before, 'pq')} → {_number(version.after, 'pq')}" if version.after else ""
    when = version.created_at[:16].replace("T", " ")
    line = f"{version.number:>4}  {state}  {when}  {version.kind:<8}  {images}  {quality}"
    return line.rstrip()


def _show(version: Version, serving: int | None) -> None:
    typer.echo(_line(version, serving))
    typer.echo(version.reason)
    typer.echo(f"Classes: {', '.join(version.classes)}")
    if version.after is not None:
        typer.echo(f"On {version.after.images} images that it had not seen, before → now:")
        for name, text in (
            ("pq", "panoptic quality"),
            ("ap50", "mask AP50"),
            ("foreground", "foreground IoU"),
            ("miou", "mean IoU of the classes"),
        ):
            typer.echo(f"  {text}: {_number(version.before, name)} → {_number(version.after, name)}")
        for label, of in version.after.per_class.items():
            typer.echo(f"  {label}: {', '.join(f'{key} {value:.3g}' for key, value in of.items())}")
    typer.echo(f"Features: {version.model_key}")
    typer.echo(f"Folder: {version.path} (sound)")


def _number(metrics: Metrics | None, name: str) -> str:
    """With three digits; a dash where nothing was measured."""
    value = math.nan if metrics is None else float(getattr(metrics, name))
    return f"{value:.3f}" if math.isfinite(value) else "–"
