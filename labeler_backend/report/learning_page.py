"""The page of `labeler report`: how a project's proposals got better, in one file; and the same as data."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from labeler_backend import __version__
from labeler_backend.files import write_bytes
from labeler_backend.heads.types import Metrics
from labeler_backend.report import plots
from labeler_backend.report.costs import TABLE, CostModel
from labeler_backend.report.fates import OUTCOMES, Outcome, Submission
from labeler_backend.report.learning import (
    ClassQuality,
    Step,
    Tally,
    by_class,
    by_version,
    over_time,
    tally,
)
from labeler_backend.report.rendering import environment, hours
from labeler_backend.report.versions import head_number, short

WORDS: Mapping[Outcome, str] = {
    "accepted": "accepted as they were",
    "edited": "edited",
    "redrawn": "redrawn",
    "rejected": "rejected",
    "drawn": "drawn by hand",
}
_HELD_OUT = {"pq": "panoptic quality", "ap50": "AP50", "foreground": "foreground IoU", "miou": "class mIoU"}


@dataclass(frozen=True, slots=True)
class HeadRow:
    """One trained head, as far as the page shows it.

    Attributes:
        number: of the version.
        live: whether it answers now.
        promoted: whether it went live after its training.
        created_at: Unix time.
        kind: of the head.
        classes: that it knows.
        images: it learned from.
        before, after: of the head before it and of itself, on the same held-out images; None where none were.
        reason: why it was or was not promoted.
    """

    number: int
    live: bool
    promoted: bool
    created_at: float
    kind: str
    classes: tuple[str, ...]
    images: int
    before: Metrics | None
    after: Metrics | None
    reason: str


@dataclass(frozen=True, slots=True)
class Learning:
    """What the page shows of one project.

    Attributes:
        name: of the project.
        versions: by version, in the order of their first use.
        steps: over time.
        classes: the most frequent first.
        whole: everything together.
        heads: the oldest first.
        costs: by which seconds are estimated.
        made_at: Unix time.
    """

    name: str
    versions: Mapping[str | None, Tally]
    steps: Sequence[Step]
    classes: Sequence[ClassQuality]
    whole: Tally
    heads: Sequence[HeadRow]
    costs: CostModel
    made_at: float


def learning(
    name: str, submissions: Sequence[Submission], heads: Sequence[HeadRow], costs: CostModel
) -> Learning:
    """Sums up what is known of a project."""
    return Learning(
        name,
        by_version(submissions, costs),
        over_time(submissions, costs),
        by_class(submissions, costs),
        tally(submissions, costs),
        heads,
        costs,
        time.time(),
    )


def write_page(path: Path, found: Learning) -> None:
    """Writes the page, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    html = (
        environment()
        .get_template("learning.html.j2")
        .render(
            it=found,
            latest=latest(found.versions),
            versions_plot=versions_plot(found.versions),
            time_plot=_time_plot(found.steps),
            saved_plot=_saved_plot(found.steps),
            heads_plot=_heads_plot(found.heads),
            held_out=_HELD_OUT,
            costs_table=TABLE,
            defaults=CostModel(),
            short=short,
            words=WORDS,
            hours=hours,
            percent=percent,
            day=day,
            product=__version__,
        )
    )
    write_bytes(path, html.encode("utf-8", "replace"))


def as_json(found: Learning) -> dict[str, Any]:
    """The same as data; seconds in seconds, shares in [0, 1]."""
    return {
        "project": found.name,
        "versions": [
            {"version": version, "head": head_number(version)} | tally_json(one)
            for version, one in found.versions.items()
        ],
        "over_time": [
            {"start": step.start, "end": step.end, "version": step.version} | tally_json(step.tally)
            for step in found.steps
        ],
        "classes": [
            {"label": one.label, "proposed_instead": dict(one.instead)} | tally_json(one.tally)
            for one in found.classes
        ],
        "all": tally_json(found.whole),
        "heads": [_finite(asdict(head)) for head in found.heads],
        "costs": asdict(found.costs),
        "made_at": found.made_at,
    }


def tally_json(one: Tally) -> dict[str, Any]:
    """A tally as data."""
    return {
        "annotations": one.annotations,
        "bulk": one.bulk,
        **{outcome: one.outcomes[outcome] for outcome in OUTCOMES},
        "relabelled": one.relabelled,
        "clicked": one.clicked,
        "mean_iou": one.mean_iou,
        "seconds_saved": one.saved,
        "seconds_estimated": one.estimated,
        "seconds_by_hand": one.by_hand,
        "seconds_measured": one.measured,
        "seconds_estimated_where_measured": one.estimated_of_measured,
        "seconds_per_annotation": one.typical,
    }


def latest(versions: Mapping[str | None, Tally]) -> tuple[str, Tally] | None:
    """The newest version that somebody began with."""
    return next(((v, one) for v, one in reversed(list(versions.items())) if v and one.annotations), None)


def versions_plot(versions: Mapping[str | None, Tally]) -> Markup | None:
    """What became of each version's proposals; None without any."""
    shown = [(version, one) for version, one in versions.items() if version and one.decisions]
    if not shown:
        return None
    columns = [
        plots.Column(short(version), [(o, one.share(o)) for o in OUTCOMES], _tip(version, one))
        for version, one in shown
    ]
    iou = plots.Series("mean IoU", "iou", [one.mean_iou for _, one in shown])
    return plots.stacked(
        columns, iou, "What became of the proposals of each model version, and their mean IoU"
    )


def percent(share: float | None) -> str:
    """`12 %`, with a space that does not break."""
    return "–" if share is None else f"{100 * share:.0f}\u202f%"


def day(at: float) -> str:
    """`2026-11-23 10:02`, local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _finite(value: Any) -> Any:
    """The same with None for NaN, which a metric is where nothing could be measured."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _tip(version: str, one: Tally) -> str:
    parts = [f"{one.outcomes[outcome]} {WORDS[outcome]}" for outcome in OUTCOMES]
    return "\n".join([version, f"{one.annotations} annotations", *parts])


def _time_plot(steps: Sequence[Step]) -> Markup | None:
    if len(steps) < 2:
        return None
    series = [
        plots.Series(WORDS["accepted"], "accepted", [step.tally.share("accepted") for step in steps]),
        plots.Series("edited", "edited", [step.tally.share("edited") for step in steps]),
        plots.Series("redrawn", "redrawn", [step.tally.share("redrawn") for step in steps]),
        plots.Series("mean IoU", "iou", [step.tally.mean_iou for step in steps]),
    ]
    title = "Shares of what became of the proposals over time"
    return plots.lines(series, _days(steps), _changes(steps), title=title)


def _saved_plot(steps: Sequence[Step]) -> Markup | None:
    if len(steps) < 2:
        return None
    total, saved = 0.0, []
    for step in steps:
        total += step.tally.saved / 60
        saved.append(total)
    series = [plots.Series("minutes saved", "saved", saved)]
    title = "Estimated minutes saved, added up"
    return plots.lines(series, _days(steps), _changes(steps), shares=False, title=title)


def _heads_plot(heads: Sequence[HeadRow]) -> Markup | None:
    measured = [head for head in heads if head.after is not None]
    if not measured:
        return None
    series = [
        plots.Series(words, name, [_finite(getattr(head.after, name)) for head in measured])
        for name, words in _HELD_OUT.items()
    ]
    labels = [f"head {head.number}" + ("" if head.promoted else " (not live)") for head in measured]
    return plots.lines(series, labels, title="Each head on images that it did not learn from")


def _days(steps: Sequence[Step]) -> list[str]:
    one_day = steps[-1].end - steps[0].start < 2 * 86400
    form = "%H:%M" if one_day else "%d %b"
    return [time.strftime(form, time.localtime(step.start)) for step in steps]


def _changes(steps: Sequence[Step]) -> list[tuple[int, str]]:
    return [
        (place, short(step.version))
        for place, step in enumerate(steps)
        if place == 0 or step.version != steps[place - 1].version
    ]
