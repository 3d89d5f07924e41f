"""The `labeler` command. Heavy imports stay inside the commands, so that `labeler --help` is instant."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labeler_backend import __version__
from labeler_backend.batch.errors import Interrupted
from labeler_backend.cli import (
    click,
    config,
    connect,
    doctor,
    export,
    frames,
    heads,
    inspect,
    masks,
    models,
    prelabel,
    report,
    serve,
    track,
    train,
    up,
)
from labeler_backend.errors import LabelerError


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
app.command(epilog=masks.EPILOG)(masks.masks)
app.command(epilog=track.EPILOG)(track.track)
app.command(epilog=inspect.EPILOG)(inspect.inspect)
app.add_typer(frames.frames, name="frames")
app.command(epilog=click.EPILOG)(click.click)
app.command(epilog=train.EPILOG)(train.train)
app.add_typer(heads.heads, name="heads")
app.command(epilog=export.EPILOG)(export.export)
app.command(epilog=config.EPILOG)(config.config)
app.command(epilog=prelabel.EPILOG)(prelabel.prelabel)
app.command(epilog=up.EPILOG)(up.up)
app.command(epilog=report.EPILOG)(report.report)
app.command(epilog=serve.EPILOG)(serve.serve)
app.command(epilog=connect.EPILOG)(connect.connect)
app.command(epilog=doctor.EPILOG)(doctor.doctor)
app.add_typer(models.models, name="models")


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


def main() -> None:
    """Entry point."""
    app()
