"""`labeler doctor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    STUDIO,
    AsJson,
    BasicAuthOption,
    ProjectOption,
    TokenOption,
    UrlOption,
)

if TYPE_CHECKING:
    from labeler_backend.studio.doctor import Check

EPILOG = """
**Examples**

This machine only:
`labeler doctor`

All of it, the token in LABEL_STUDIO_API_KEY:
`labeler doctor --url http://127.0.0.1:8080 --ls-project 1 --backend http://127.0.0.1:9090`

Exit code: 0 nothing is wrong, 1 something is (✗), 2 bad input.
"""
_MARKS = {"ok": ("✓", "green"), "wrong": ("✗", "red"), "skipped": ("–", "dim")}


def doctor(
    url: UrlOption = None,
    token: TokenOption = None,
    ls_project: ProjectOption = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="The backend's address, as Label Studio has it. [default: that of the project's only one]",
            rich_help_panel=STUDIO,
        ),
    ] = None,
    basic_auth: BasicAuthOption = None,
    as_json: AsJson = False,
) -> None:
    """Look for what keeps machine, backend and Label Studio from working together, and say the mend."""
    from labeler_backend.settings import load_server_settings
    from labeler_backend.studio import connect
    from labeler_backend.studio.client import Studio
    from labeler_backend.studio.doctor import Patient, examine

    settings = load_server_settings()
    studio = Studio(url, token) if url and token else None
    patient = Patient(
        settings=settings,
        studio=studio,
        project=ls_project,
        backend=connect.backend_url(backend) if backend else None,
        auth=connect.basic_auth(basic_auth) or loading.own_login(settings),
        open_media=lambda: loading.load_media(settings),
    )
    checks = []
    for check in examine(patient):
        checks.append(check)
        if not as_json:
            _show(check)
    wrong = sum(check.state == "wrong" for check in checks)
    if as_json:
        typer.echo(json.dumps({"wrong": wrong, "checks": [check.json() for check in checks]}))
    else:
        typer.echo(f"{wrong} thing{'' if wrong == 1 else 's'} to mend." if wrong else "Nothing is wrong.")
    if wrong:
        raise typer.Exit(1)


def _show(check: Check) -> None:
    mark, color = _MARKS[check.state]
    typer.echo(f"{typer.style(mark, fg=color if color != 'dim' else None, dim=color == 'dim')} ", nl=False)
    typer.echo(f"{check.name:<20} {check.detail}")
    if check.mend:
        typer.echo(f"{'':<22} → {check.mend}")
