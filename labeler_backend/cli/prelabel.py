"""`labeler prelabel`."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labeler_backend.batch.errors import Interrupted
from labeler_backend.cli import loading
from labeler_backend.cli.options import (
    MODEL,
    OUTPUT,
    RUN,
    AsJson,
    DeviceOption,
    DTypeOption,
    ModelOption,
    ProjectOption,
    TokenOption,
    UrlOption,
    required,
)
from labeler_backend.cli.progress import progress_bar

if TYPE_CHECKING:
    from labeler_backend.settings import ServerSettings
    from labeler_backend.studio.client import Studio
    from labeler_backend.studio.prelabel import Plan, Summary

EPILOG = """
**Examples**

All tasks that have no prediction of this model yet, the token in LABEL_STUDIO_API_KEY:
`labeler prelabel --url http://127.0.0.1:8080 --ls-project 1`

What it would do:
`labeler prelabel --url http://127.0.0.1:8080 --ls-project 1 --dry-run`

What to label next first, in the order of the pushes and in Label All Tasks:
`labeler prelabel --url http://127.0.0.1:8080 --ls-project 1 --order uncertainty`

Run it again after an interruption, or when tasks were added: it goes on with those that have none.

Exit code: 0 all done, 1 some tasks failed (named, and in --failures), 2 bad input, 130 stopped by Ctrl-C.
"""
_NAMED = 10  # failures in the text


class Order(str, Enum):
    """In which predictions are pushed."""

    id = "id"
    uncertainty = "uncertainty"


def prelabel(
    url: UrlOption = None,
    token: TokenOption = None,
    ls_project: ProjectOption = None,
    model: ModelOption = None,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=64, help="Long side in pixels of what the model sees. [default: 518]", rich_help_panel=MODEL
        ),
    ] = None,
    max_proposals: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="The most proposals per picture. [default: what the labelling config says, or 20, with a "
            "head 200]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Leave out proposals below it. [default: what the labelling config says, or 0.05, with a "
            "head 0.3]",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project",
            help="Whose head names and scores the proposals. [default: that of this Label Studio's project, "
            "where it has one on this machine]",
            rich_help_panel=MODEL,
        ),
    ] = None,
    order: Annotated[
        Order,
        typer.Option(
            help="uncertainty: push what the model is least sure of first, once all is predicted, and have "
            "'Label All Tasks' bring it first.",
            rich_help_panel=OUTPUT,
        ),
    ] = Order.id,
    failures: Annotated[
        Path | None,
        typer.Option(help="Also write failed tasks here, one JSON object a line.", rich_help_panel=OUTPUT),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures per model call.", rich_help_panel=RUN)] = 8,
    workers: Annotated[
        int,
        typer.Option(
            min=0, help="Threads before and behind the model; 0 = one per core.", rich_help_panel=RUN
        ),
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.", rich_help_panel=RUN)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Push predictions for a project's tasks into Label Studio, without a connected backend."""
    from dataclasses import replace

    from labeler_backend.batch.types import Options
    from labeler_backend.settings import load_server_settings
    from labeler_backend.studio import prelabel as logic
    from labeler_backend.studio.client import Studio
    from labeler_backend.studio.version import model_version

    number = required(ls_project, "--ls-project")
    settings = load_server_settings(model=model, device=device, dtype=dtype, size=size)
    base = model_version(settings.model, settings.size)
    with Studio(url, token) as studio:
        head, version = loading.prelabeling_head(project, studio.url, number, base)
        plan = logic.plan(studio, number, version, max_proposals, min_score)
        if dry_run:
            _say_plan(plan, as_json)
            return
        options = Options(overlays=False, batch_size=batch, workers=workers, max_pixels=settings.max_pixels)
        with logic.alone(settings.cache_dir / "prelabel", studio, number):
            summary = _run(studio, plan, settings, options, head, order, as_json)
        if summary.before + summary.pushed + summary.elsewhere:
            shown = logic.show_predictions(studio, number, version, base)
            summary = replace(summary, shown=shown)
            if order is Order.uncertainty:
                logic.sample_uncertain_first(studio, number)
    _report(studio, summary, failures, as_json)


def _run(
    studio: Studio,
    plan: Plan,
    settings: ServerSettings,
    options: Any,
    head: loading.ProjectHead | None,
    order: Order,
    quiet: bool,
) -> Summary:
    from labeler_backend.batch.stopping import interruptible
    from labeler_backend.studio import prelabel as logic
    from labeler_backend.studio.showing import asked

    if not plan.pending:
        return logic.Summary(plan.project, plan.model_version, plan.tasks, plan.before)
    wanted = asked(plan.config.answers, learned=head is not None)
    proposer = loading.load_proposer(
        *(settings.model, settings.device, settings.dtype, settings.size),
        wanted.max_proposals,
        wanted.min_score,
        head=head,
    )
    with progress_bar(quiet) as progress, interruptible() as stopped:
        return logic.prelabel(
            studio,
            plan,
            proposer,
            loading.load_media(settings),
            options=options,
            progress=progress,
            stopped=stopped,
            uncertain_first=order is Order.uncertainty,
        )


def _say_plan(plan: Plan, as_json: bool) -> None:
    answers = ", ".join(f"{answer.kind} in {answer.name!r}" for answer in plan.config.answers)
    if as_json:
        numbers = {
            "project": plan.project,
            "tasks": plan.tasks,
            "before": plan.before,
            "pending": plan.pending,
        }
        typer.echo(json.dumps({**numbers, "model_version": plan.model_version, "notes": plan.config.notes}))
        return
    typer.echo(f"{plan.pending} of {plan.tasks} tasks have no prediction of {plan.model_version} yet.")
    typer.echo(f"Answers would go to {answers}.")
    for note in plan.config.notes:
        typer.echo(note)


def _report(studio: Studio, summary: Summary, failures: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from labeler_backend.files import write_bytes

    if failures is not None:
        lines = "".join(json.dumps(asdict(failure)) + "\n" for failure in summary.failures)
        write_bytes(failures, lines.encode())
    if as_json:
        typer.echo(json.dumps(summary.json()))
    else:
        _say(studio, summary)
    if summary.stopped:
        raise Interrupted(
            f"Stopped; {summary.pushed} predictions are pushed and kept: run it again to go on."
        )
    if summary.failures:
        raise typer.Exit(1)


def _say(studio: Studio, summary: Summary) -> None:
    typer.echo(
        f"{summary.pushed} predictions of {summary.model_version} with {summary.proposals} regions pushed; "
        f"{summary.before + summary.elsewhere} of {summary.tasks} tasks had one."
    )
    for failure in summary.failures[:_NAMED]:
        typer.echo(f"Task {failure.task} failed: {failure.reason} ({failure.link})", err=True)
    if len(summary.failures) > _NAMED:
        more = len(summary.failures) - _NAMED
        typer.echo(f"… and {more} more: --failures FILE or --json names them all.", err=True)
    if summary.shown not in (None, summary.model_version):
        typer.echo(
            f"The project shows predictions of {summary.shown}: see Settings > Annotation > Prelabeling."
        )
    typer.echo(f"Look at {studio.url}/projects/{summary.project}/data")
