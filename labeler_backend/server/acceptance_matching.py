"""Which answer an annotation began with, and what became of it, by what is in the file and what is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from labeler_backend.report.fates import Fate
from labeler_backend.server.outcomes import Answered, began_with, compare
from labeler_backend.server.shapes import Shape, shapes, unpack

_VERSION = 200  # characters


def fates_of(
    db: sqlite3.Connection,
    project: str,
    task: int,
    annotation: int,
    made: Mapping[str, Shape],
    parent: int | None,
    exact: Answered | None,
) -> tuple[str | None, tuple[Fate, ...]]:
    """The version that an annotation began with (see `Submission`), and what became of all."""
    clicked: dict[str, list[Shape]] = {}
    for region, shape in clicked_before(db, project, task):
        clicked.setdefault(region, []).append(shape)
    answers = [] if exact else _answers(db, project, task)
    if exact is None and not answers and not clicked and parent is not None:
        return None, ()  # predictions that nobody here knows: nothing can be said
    begun = exact or _recorded(db, project, annotation, parent, answers)
    begun = begun or began_with(answers, made, parent is not None)
    return begun.version if begun else "", compare(begun.sent if begun else {}, clicked, made)


def _answers(db: sqlite3.Connection, project: str, task: int) -> list[Answered]:
    """Newest first."""
    rows = db.execute(
        "SELECT version, shapes FROM answers WHERE project = ? AND task = ? AND clicked = 0 ORDER BY at DESC",
        (project, task),
    )
    return [Answered(version, dict(unpack(packed))) for version, packed in rows]


def _recorded(
    db: sqlite3.Connection, project: str, annotation: int, parent: int | None, answers: Sequence[Answered]
) -> Answered | None:
    """What an annotation began with when it came first: later versions were not there when it was made."""
    row = db.execute(
        "SELECT version FROM annotations WHERE project = ? AND id = ? AND parent IS ?",
        (project, annotation, parent),
    ).fetchone()
    return next((one for one in answers if row and one.version == row[0]), None)


def answered(prediction: Mapping[str, Any]) -> Answered:
    """A prediction as Label Studio keeps it."""
    version = prediction.get("model_version")
    return Answered(str(version or "?")[:_VERSION], shapes(listed(prediction.get("result"))))


def clicked_before(db: sqlite3.Connection, project: str, task: int) -> list[tuple[str, Shape]]:
    """Regions that were proposed to clicks in a task, with their ids, the oldest first."""
    row = db.execute(
        "SELECT shapes FROM answers WHERE project = ? AND task = ? AND clicked = 1", (project, task)
    ).fetchone()
    return unpack(row[0]) if row else []


def listed(value: Any) -> list[Mapping[str, Any]]:
    """An event's one thing or its list of things; what is no object is left out."""
    many = value if isinstance(value, list) else [value]
    return [one for one in many if isinstance(one, Mapping)]
