"""`labeler models list` and `labeler models fetch`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from labeler_backend.cli.options import AsJson

models = typer.Typer(
    no_args_is_help=True, help="Which backbones there are, and which of them are on this machine."
)


@models.command("list")
def models_list(as_json: AsJson = False) -> None:
    """Every model with a short name, and whether it is on this machine."""
    from labeler_backend.backbone.weights import list_models

    found = [
        {
            "name": status.spec.name,
            "hub_id": status.spec.hub_id,
            "here": status.size_bytes > 0,
            "size_bytes": status.size_bytes,
            "folder": str(status.folder) if status.folder else None,
        }
        for status in list_models()
    ]
    if as_json:
        typer.echo(json.dumps({"models": found}))
        return
    width = max(len(str(item["name"])) for item in found)
    for item, status in zip(found, list_models(), strict=True):
        here = f"{status.size_bytes / 1e6:6.0f} MB here" if item["here"] else "      not here"
        typer.echo(f"{item['name']:<{width}}  {here}  {item['hub_id']}")


@models.command("fetch", epilog="Example: labeler models fetch dinov2-small")
def models_fetch(
    name: Annotated[str, typer.Argument(help="Short name, hub id or folder.")] = "dinov2-small",
    as_json: AsJson = False,
) -> None:
    """Download a model's weights, once, and check them."""
    from labeler_backend.backbone.weights import fetch

    found = fetch(name)
    if as_json:
        result = {
            "name": found.spec.name,
            "folder": str(found.folder),
            "sha256": found.sha256,
            "source": found.source,
        }
        typer.echo(json.dumps(result))
    else:
        typer.echo(
            f"{found.spec.name} is in {found.folder} (from: {found.source}, SHA-256 {found.sha256[:12]}…)"
        )
