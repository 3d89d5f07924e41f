"""The files that learning.py writes and learning_curve.py draws: what was run and when, and its rows."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labeler_backend.errors import LabelerError
from labeler_backend.files import write_bytes

FIGURES = ("foreground_iou", "miou", "miou_with_background", "ap50")

Row = Mapping[str, Any]
Key = tuple[str, str, int, int, str]


class ResultsError(LabelerError):
    """A file of results cannot be read, written or used."""


@dataclass(frozen=True)
class Results:
    """One file.

    Attributes:
        fingerprint: of the labeler that was measured.
        date: of its newest row, YYYY-MM-DD.
        rows: one for each data set, task, number of images, seed and method.
    """

    fingerprint: str
    date: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Point:
    """One figure of one method with one number of images: mean, least and most over its seeds."""

    images: int
    mean: float
    low: float
    high: float
    seeds: int


def key(row: Row) -> Key:
    """What was measured; of two rows with one key, one replaces the other."""
    return row["data"], row["task"], row["images"], row["seed"], row["method"]


def read(path: Path) -> Results:
    """A file that `write` wrote.

    Raises:
        ResultsError: it is not there, no JSON, or its rows are not those of learning.py.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror}): name a file that benchmarks/learning.py --json wrote."
        ) from error
    except ValueError as error:
        raise ResultsError(
            f"{path} is no JSON ({error}): name a file that benchmarks/learning.py --json wrote."
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("rows"), list):
        raise ResultsError(f"{path} has no rows: name a file that benchmarks/learning.py --json wrote.")
    for number, row in enumerate(found["rows"], 1):
        if problem := _problem(row):
            raise ResultsError(f"{path}, row {number}: {problem}: mend or delete the row.")
    return Results(str(found.get("fingerprint", "")), str(found.get("date", "")), tuple(found["rows"]))


def begun(path: Path, fingerprint: str) -> list[Row]:
    """The rows of a run that goes on; none where it has not begun.

    Raises:
        ResultsError: the file cannot be used, or another labeler was measured.
    """
    if not path.exists():
        return []
    found = read(path)
    if found.fingerprint != fingerprint:
        raise ResultsError(
            f"{path} holds what {found.fingerprint} reached, and this is {fingerprint}: name another file, "
            "or set --model, --device and --size as they were."
        )
    return list(found.rows)


def write(path: Path, results: Results) -> None:
    """Writes a file, whole or not at all; figures that are not numbers become null.

    Raises:
        ResultsError: the folder cannot be written, or the disk is full.
    """
    rows = [{name: None if _is_nan(value) else value for name, value in row.items()} for row in results.rows]
    facts = {"fingerprint": results.fingerprint, "date": results.date, "rows": rows}
    try:
        write_bytes(path, (json.dumps(facts, indent=2, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be written ({error.strerror}): make room there, or name another file."
        ) from error


def join(files: Iterable[Results]) -> list[Row]:
    """The rows of several runs; the newest of one key wins, of one day's that of the file named last."""
    found: dict[Key, Row] = {}
    for one in sorted(files, key=lambda one: one.date):
        found |= {key(row): row for row in one.rows}
    return list(found.values())


def curves(rows: Iterable[Row], data: str, task: str, figure: str) -> dict[str, list[Point]]:
    """Method → its points by number of images; what was not measured, or is no number, is left out."""
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        value = row.get(figure)
        if (row["data"], row["task"]) == (data, task) and value is not None and not math.isnan(value):
            values[row["method"], row["images"]].append(float(value))
    found: dict[str, list[Point]] = defaultdict(list)
    for (method, images), one in sorted(values.items()):
        found[method].append(Point(images, math.fsum(one) / len(one), min(one), max(one), len(one)))
    return dict(found)


def _problem(row: Any) -> str:
    """What is wrong with a row, or nothing."""
    if not isinstance(row, dict):
        return "is no object"
    for name, kind in (("data", str), ("task", str), ("images", int), ("seed", int), ("method", str)):
        if name not in row:
            return f"has no {name!r}"
        if type(row[name]) is not kind:
            return f"{name!r} is {row[name]!r}"
    if row["images"] < 1:
        return f"'images' is {row['images']}"
    wrong = [name for name in FIGURES if type(row.get(name)) not in (int, float, type(None))]
    return f"{wrong[0]!r} is {row[wrong[0]]!r}" if wrong else ""


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
