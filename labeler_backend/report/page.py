"""report.html of a batch: one file that opens from disk, with pictures, scores, failures and settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from labeler_backend.batch.types import Failure, Summary
from labeler_backend.files import replacing

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
        _environment()
        .get_template("batch.html.j2")
        .stream(
            summary=summary,
            settings=data.settings,
            cards=_cards(data),
            failures=islice(data.failures, MAX_FAILURES),
            max_failures=MAX_FAILURES,
            overlays=bool(data.settings.get("overlays", True)),
            stages=shares(summary.seconds),
        )
    )
    stream.enable_buffering(20)
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", errors="replace") as file:
        file.writelines(stream)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("labeler_backend.report"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["link"] = lambda name: quote(name.encode("utf-8", "surrogateescape"))
    environment.filters["duration"] = duration
    return environment


def shares(seconds: dict[str, float]) -> list[tuple[str, float, float]]:
    """(stage, seconds, percent of all stages' seconds); empty where nothing was timed."""
    total = sum(seconds.values())
    return [(stage, spent, 100 * spent / total) for stage, spent in seconds.items()] if total > 0 else []


def duration(seconds: float) -> str:
    """`0.8 s`, `2 min 5 s`, `1 h 2 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _cards(data: ReportData) -> Iterator[dict[str, Any]]:
    """Previews with a colour per proposal: hues a golden angle apart, so that neighbours in rank differ."""
    for shown in data.previews:
        shapes = [
            {**shape, "hue": round(210 + i * 137.508) % 360, "rank": i + 1}
            for i, shape in enumerate(shown["shapes"])
        ]
        yield {**shown, "shapes": shapes, "best": shapes[0]["score"] if shapes else 0.0}
