"""report.html of a batch: one file that opens from disk, with pictures, scores, failures and settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from labeler_backend.batch.types import Failure, Summary
from labeler_backend.files import replacing
from labeler_backend.report.rendering import card, environment

MAX_FAILURES = 500


@dataclass(frozen=True)
class ReportData:
    """What a page shows.

    Attributes:
        out: the run's folder; overlays and masks are linked relative to it.
        settings: name → value, as the run was started with.
        previews: see report/preview.py, with `path` and `note`; consumed once.
        failures: consumed once.
    """

    out: Path
    settings: dict[str, Any]
    summary: Summary
    previews: Iterable[dict[str, Any]]
    failures: Iterable[Failure] = field(default_factory=tuple)


def write_report(path: Path, data: ReportData) -> None:
    """Writes the page as a stream: never more than one image's preview in memory."""
    summary = data.summary
    stream = (
        environment()
        .get_template("batch.html.j2")
        .stream(
            summary=summary,
            settings=data.settings,
            cards=map(card, data.previews),
            failures=islice(data.failures, MAX_FAILURES),
            max_failures=MAX_FAILURES,
            overlays=bool(data.settings.get("overlays", True)),
            stages=shares(summary.seconds),
        )
    )
    stream.enable_buffering(20)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="replace") as file:
        file.writelines(stream)


def shares(seconds: dict[str, float]) -> list[tuple[str, float, float]]:
    """(stage, seconds, percent of all stages' seconds); empty where nothing was timed."""
    total = sum(seconds.values())
    return [(stage, spent, 100 * spent / total) for stage, spent in seconds.items()] if total > 0 else []
