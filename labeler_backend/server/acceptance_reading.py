"""What stands in the file of what became of the proposals."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.report.fates import OUTCOMES, Fate, Submission

_FATE = "outcome, kind, iou, proposed, submitted, clicked, reshaped"
_SUBMISSIONS = f"""
SELECT id, version, COALESCE(created, updated), seconds, bulk, {", ".join(OUTCOMES)} FROM annotations
WHERE project = ? AND counted ORDER BY 3, id
"""
_FATES = f"SELECT annotation, {_FATE} FROM regions WHERE project = ?"
_VERSIONS = f"""
SELECT version, bulk, MIN(COALESCE(created, updated)), COUNT(*), {", ".join(f"SUM({o})" for o in OUTCOMES)}
FROM annotations WHERE project = ? AND counted GROUP BY version, bulk
"""
_ALIKE = """
SELECT version, bulk, COUNT(*), outcome, kind, AVG(iou), proposed, submitted, clicked, reshaped
FROM regions JOIN annotations ON annotations.project = regions.project AND id = annotation
WHERE regions.project = ? AND counted
GROUP BY version, bulk, outcome, kind, iou IS NULL, proposed, submitted, clicked, reshaped
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """One project's; see `protocol.ProjectStatus`."""

    predicted_tasks: int
    annotated_tasks: int
    accepted: int
    edited: int
    rejected: int
    drawn: int
    redrawn: int = 0


def counts(db: sqlite3.Connection, project: str) -> Counts:
    """So far."""
    predicted = db.execute(
        "SELECT COUNT(DISTINCT task) FROM answers WHERE project = ? AND clicked = 0", (project,)
    ).fetchone()
    made = db.execute(
        "SELECT COUNT(DISTINCT task), TOTAL(accepted), TOTAL(edited), TOTAL(rejected), TOTAL(drawn), "
        "TOTAL(redrawn) FROM annotations WHERE project = ? AND counted",
        (project,),
    ).fetchone()
    return Counts(*(int(number) for number in (*predicted, *made)))


def submissions(db: sqlite3.Connection, project: str) -> list[Submission]:
    """See `Acceptance.submissions`."""
    fates: dict[int, list[Fate]] = {}
    for number, *columns in db.execute(_FATES, (project,)):
        fates.setdefault(number, []).append(_fate_of(columns))
    return [_submission(row, fates.get(row[0], ())) for row in db.execute(_SUBMISSIONS, (project,))]


def summaries(db: sqlite3.Connection, project: str) -> list[Submission]:
    """See `Acceptance.summaries`."""
    fates: dict[tuple[str | None, int], list[Fate]] = {}
    for version, bulk, count, *columns in db.execute(_ALIKE, (project,)):
        fates.setdefault((version, bulk), []).append(_fate_of(columns, count))
    return [
        Submission(version, at, None, bool(bulk), tuple(fates.get((version, bulk), _counted(sums))), count)
        for version, bulk, at, count, *sums in db.execute(_VERSIONS, (project,))
    ]


def _fate_of(columns: Sequence[Any], count: int = 1) -> Fate:
    """The inverse of `_columns`."""
    outcome, kind, iou, proposed, submitted, clicked, reshaped = columns
    return Fate(outcome, kind, iou, proposed, submitted, bool(clicked), bool(reshaped), count)


def _submission(row: Sequence[Any], fates: Iterable[Fate]) -> Submission:
    _, version, at, seconds, bulk, *numbers = row
    return Submission(version, at, seconds, bool(bulk), tuple(fates) or _counted(numbers))


def _counted(numbers: Sequence[int]) -> tuple[Fate, ...]:
    """Of annotations that version 0.1 wrote down: how many of each, and nothing else."""
    counts = zip(OUTCOMES, numbers, strict=True)
    return tuple(Fate(outcome, "", count=number) for outcome, number in counts if number)
