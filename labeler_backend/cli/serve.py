"""`labeler serve`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from labeler_backend.cli.options import RUN, AsJson, DeviceOption, DTypeOption, ModelOption

EPILOG = """
**Examples**

For a Label Studio on this machine:
`labeler serve`

For others too, with a login, and with pictures from a host of your own:
`LABELER_BASIC_AUTH_USER=me LABELER_BASIC_AUTH_PASS=… labeler serve --host 0.0.0.0 --allowed-hosts *.my.org`

Then connect it: `labeler connect`. Its own page, /status, says how it fares. Ctrl-C stops it.

Every option is also a variable, `LABELER_PORT` for --port; LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY
say where Label Studio is and with which token its pictures are read, where what it sends itself will not do.
"""
_LISTEN, _MEDIA = "Where it listens", "Pictures"


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; 0.0.0.0 = all of this machine's. [default: 127.0.0.1]",
            rich_help_panel=_LISTEN,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="0 takes a free one. [default: 9090]", rich_help_panel=_LISTEN),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=64,
            help="Long side in pixels of what the model sees. [default: 518]",
            rich_help_panel="Model",
        ),
    ] = None,
    deadline: Annotated[
        float | None,
        typer.Option(
            help="Seconds after which a batch is answered with what is ready; below 100. [default: 90]",
            rich_help_panel=RUN,
        ),
    ] = None,
    allowed_hosts: Annotated[
        str | None,
        typer.Option(
            help="Hosts that pictures may come from besides Label Studio's, with commas; * = all public.",
            rich_help_panel=_MEDIA,
        ),
    ] = None,
    media_roots: Annotated[
        str | None,
        typer.Option(
            help="Folders whose pictures may be read from disk, with commas; absolute paths.",
            rich_help_panel=_MEDIA,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="What must not be lost. [default: LABELER_DATA_DIR]", rich_help_panel=RUN),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the ML backend that Label Studio asks for proposals."""
    from labeler_backend.server.build import make_service
    from labeler_backend.server.run import serve as run
    from labeler_backend.settings import load_server_settings

    settings = load_server_settings(
        host=host,
        port=port,
        model=model,
        device=device,
        dtype=dtype,
        size=size,
        deadline=deadline,
        allowed_hosts=allowed_hosts,
        media_roots=media_roots,
        data_dir=data_dir,
    )

    def ready(url: str) -> None:
        typer.echo(json.dumps({"url": url}) if as_json else f"Ready at {url}; how it fares: {url}/status")

    run(settings, make_service(settings), ready)
