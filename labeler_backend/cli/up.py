"""`labeler up`."""

from __future__ import annotations

import json
import os
import signal
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler_backend.cli import loading
from labeler_backend.cli.options import MODEL, RUN, AsJson, DeviceOption, Kind, ModelOption
from labeler_backend.cli.progress import progress_bar

if TYPE_CHECKING:
    from labeler_backend.settings import ServerSettings
    from labeler_backend.studio.connect import BasicAuth
    from labeler_backend.studio.local import Children, Home, Login

EPILOG = """
**Examples**

Try it, with the pictures that come with it:
`labeler up`

With pictures of yours, which stay where they are:
`labeler up --images photos/ --labels cat,dog`

The first time it installs Label Studio into a virtual environment of its own (about 1 GB). Everything it
makes but caches and counts lies in one folder. It listens on this machine only; Ctrl-C stops it, and running
it again goes on.
"""
_WHAT, _WHERE = "What is in the project", "Where"


def up(
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of pictures, with all below it. [default: examples]", rich_help_panel=_WHAT
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Classes, with commas between them. [default: object]", rich_help_panel=_WHAT),
    ] = None,
    kind: Annotated[Kind, typer.Option(help="What the regions are.", rich_help_panel=_WHAT)] = Kind.polygon,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Of Label Studio. [default: 8080, or the next free]",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    backend_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Of the backend. [default: 9090, or the next free]", rich_help_panel=_WHERE
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder for all of it; delete it to start over. [default: LABELER_DATA_DIR/label-studio]",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    label_studio: Annotated[
        Path | None,
        typer.Option(
            help="The label-studio command of an installation of yours, instead of installing one.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=64, help="Long side in pixels of what the model sees. [default: 518]", rich_help_panel=MODEL
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open a browser.", rich_help_panel=RUN)
    ] = False,
    once: Annotated[
        bool,
        typer.Option("--once", help="Stop when everything is up and pre-annotated.", rich_help_panel=RUN),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run Label Studio and the backend on this machine, with a project of pre-annotated pictures."""
    from labeler_backend.errors import LabelerError
    from labeler_backend.settings import load_server_settings
    from labeler_backend.studio import demo, local
    from labeler_backend.studio.labeling import labeling_config, split_labels

    if kind is Kind.video:
        raise LabelerError("labeler up makes a project of pictures: take --kind polygon, brush or box.")
    settings = load_server_settings(model=model, device=device, size=size)
    config = labeling_config(split_labels(labels) if labels is not None else ["object"], kind.value)
    home = local.Home(data.expanduser().absolute() if data else settings.data_dir / "label-studio")
    pictures = images or demo.default_pictures()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with local.held(home):
        executable = label_studio or local.install(home, _say)
        _fetch(settings)
        login = local.login(home)
        ports = local.port(port, 8080, "--port"), local.port(backend_port, 9090, "--backend-port")
        with local.Children(home) as children:
            studio_url, backend_url = _start(children, home, login, executable, ports, settings)
            result = _fill(
                children,
                home,
                login,
                (studio_url, backend_url),
                pictures,
                config,
                labels is not None,
                loading.own_login(settings),
                quiet=as_json,
            )
            _tell(result, login, home, as_json, once)
            if not once:
                if not no_browser:
                    webbrowser.open(result["url"])
                _wait(children)
    _say("Stopped. Run labeler up again to go on.")
    if once and result["failures"]:
        raise typer.Exit(1)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _fetch(settings: ServerSettings) -> None:
    """The weights, here and now: a download inside the backend would be silent."""
    from labeler_backend.backbone.weights import fetch

    _say(f"Model: {settings.model}")
    fetch(settings.model, settings.cache_dir)


def _start(
    children: Children,
    home: Home,
    login: Login,
    executable: Path,
    ports: tuple[int, int],
    settings: ServerSettings,
) -> tuple[str, str]:
    from labeler_backend.studio import local

    studio_url, backend_url = (f"http://127.0.0.1:{number}" for number in ports)
    home.files.mkdir(parents=True, exist_ok=True)
    more = ["--model", settings.model, "--device", settings.device, "--size", str(settings.size)]
    environment = local.studio_environment(home, login, studio_url, os.environ)
    children.start("label-studio", local.studio_command(executable, ports[0], studio_url), environment)
    environment = local.backend_environment(login, studio_url, os.environ)
    children.start("backend", local.backend_command(ports[1], more), environment)
    _say("Starting Label Studio (half a minute the first time) and the backend.")
    children.wait_for(f"{backend_url}/health")
    children.wait_for(f"{studio_url}/health")
    return studio_url, backend_url


def _fill(
    children: Children,
    home: Home,
    login: Login,
    urls: tuple[str, str],
    pictures: Path,
    config: str,
    wanted: bool,
    auth: BasicAuth | None,
    quiet: bool,
) -> dict[str, Any]:
    """The project, its pictures, the connection, the predictions; `wanted` = the config was asked for."""
    from labeler_backend.studio import demo
    from labeler_backend.studio.client import Studio
    from labeler_backend.studio.connect import connect

    studio_url, backend_url = urls
    with Studio(studio_url, login.token, timeout=120.0) as studio:
        project, new = demo.find_project(studio, home, config)
        added = demo.add_pictures(studio, project, home, pictures)
        _say(f"{'Made' if new else 'Found'} project {project}; {added} pictures added.")
        demo.drop_former_backends(studio, project, backend_url)
        connected = connect(studio, project, backend_url, auth=auth, label_config=config if wanted else None)
        _say("Pre-annotating.")
        with progress_bar(quiet) as progress:
            left = demo.retrieve_predictions(
                studio, project, connected.model_version, progress, children.check
            )
        tasks = studio.count(project)
    # A picture that can never be read has got an empty prediction: the backend names it.
    why = demo.reasons(backend_url, auth)
    failed = sorted({*left, *why})
    return {
        "url": f"{studio_url}/projects/{project}/data",
        "label_studio": studio_url,
        "backend": backend_url,
        "project": project,
        "tasks": tasks,
        "pre_annotated": tasks - len(failed),
        "failures": [{"task": task, "reason": why.get(task, f"see {backend_url}/status")} for task in failed],
    }


def _tell(result: dict[str, Any], login: Login, home: Home, as_json: bool, once: bool) -> None:
    if as_json:
        account = {"email": login.email, "password": login.password, "token": login.token}
        typer.echo(json.dumps({**result, **account, "folder": str(home.root)}))
        return
    for failure in result["failures"][:10]:
        typer.echo(f"Task {failure['task']} has no prediction: {failure['reason']}", err=True)
    typer.echo(f"""
{result["pre_annotated"]} of {result["tasks"]} pictures are pre-annotated.

  open      {result["url"]}
  e-mail    {login.email}
  password  {login.password}
  token     {login.token}
  backend   {result["backend"]}/status
  folder    {home.root}
""")
    if not once:
        typer.echo("Press Ctrl-C to stop; run labeler up again to go on.")


def _wait(children: Children) -> None:
    """Until Ctrl-C, which is how this ends well."""
    try:
        while True:
            children.check()
            time.sleep(1.0)
    except KeyboardInterrupt:
        _say("Stopping.")
