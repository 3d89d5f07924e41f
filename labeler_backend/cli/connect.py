"""`labeler connect`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    STUDIO,
    AsJson,
    BasicAuthOption,
    Kind,
    ProjectOption,
    TokenOption,
    UrlOption,
    required,
)

EPILOG = """
**Examples**

Everything on this machine, the token in LABEL_STUDIO_API_KEY:
`labeler connect --url http://127.0.0.1:8080 --ls-project 1 --backend http://127.0.0.1:9090`

With a labelling config for the project:
`labeler connect --url http://127.0.0.1:8080 --ls-project 1 --backend http://127.0.0.1:9090 --labels cat,dog`

It can be repeated: what is right already stays as it is. `labeler doctor` says what is not right.
"""


def connect(
    backend: Annotated[
        str,
        typer.Option(help="The backend's address, as Label Studio reaches it.", rich_help_panel=STUDIO),
    ],
    url: UrlOption = None,
    token: TokenOption = None,
    ls_project: ProjectOption = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Also apply a labelling config with these classes, as `labeler config` prints it.",
            rich_help_panel="Labelling config",
        ),
    ] = None,
    kind: Annotated[
        Kind, typer.Option(help="What its regions are.", rich_help_panel="Labelling config")
    ] = Kind.polygon,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive/--no-interactive", help="Send clicks and boxes to it.", rich_help_panel=STUDIO
        ),
    ] = True,
    basic_auth: BasicAuthOption = None,
    as_json: AsJson = False,
) -> None:
    """Connect the backend to a Label Studio project, with every setting as it has to be."""
    from labeler_backend.settings import load_server_settings
    from labeler_backend.studio import connect as logic
    from labeler_backend.studio.client import Studio
    from labeler_backend.studio.labeling import labeling_config, split_labels

    project = required(ls_project, "--ls-project")
    address = logic.backend_url(backend)
    auth = logic.basic_auth(basic_auth) or loading.own_login(load_server_settings())
    config = labeling_config(split_labels(labels), kind.value) if labels is not None else None
    with Studio(url, token) as studio:
        done = logic.connect(
            studio, project, address, auth=auth, interactive=interactive, label_config=config
        )
        place = f"{studio.url}/projects/{project}"
    if as_json:
        typer.echo(json.dumps(done.json()))
        return
    for sentence in done.did or ("Everything was right already.",):
        typer.echo(sentence)
    typer.echo(f"{address} answers for {place}/data as {done.model_version}.")
    if interactive:
        typer.echo("For clicks: turn on Auto-Annotation below the picture, then press the sparkle tool.")
