"""Files of results: what is written is read, what cannot be used is a sentence, and the newest row wins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.learning_results import Point, Results, ResultsError, begun, curves, join, read, write

ROW: dict[str, Any] = {
    "data": "ccp",
    "task": "objects",
    "images": 5,
    "seed": 0,
    "method": "ours",
    "foreground_iou": 0.75,
    "miou": 0.25,
    "miou_with_background": 0.5,
    "ap50": 0.125,
    "seconds": 3.5,
}


def results(date: str, *rows: dict[str, Any]) -> Results:
    return Results("labeler-a", date, [ROW | row for row in rows])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "results.json"
    write(path, results("2026-11-28", {}, {"seed": 1, "miou": float("nan")}))
    assert read(path) == Results("labeler-a", "2026-11-28", (ROW, ROW | {"seed": 1, "miou": None}))
    assert [one.name for one in path.parent.iterdir()] == ["results.json"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ResultsError, match=r"file/results\.json cannot be written \(.+\): make room"):
        write(tmp_path / "file" / "results.json", results("2026-11-28", {}))
    assert (tmp_path / "file").read_text() == "kept"


def without(name: str) -> str:
    return json.dumps({"rows": [ROW, {k: v for k, v in ROW.items() if k != name}]})


def with_(**values: Any) -> str:
    return json.dumps({"rows": [ROW | values]})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(None, r"cannot be read \(No such file or directory\): name a file", id="not-there"),
        pytest.param('{"rows": [', r"is no JSON \(.+\): name a file", id="cut-off"),
        pytest.param("\x00\xff", r"is no JSON", id="no-text"),
        pytest.param("[]", r"has no rows: name a file", id="a-list"),
        pytest.param('{"ccp": {}}', r"has no rows", id="of-another-benchmark"),
        pytest.param('{"rows": [3]}', r"row 1: is no object", id="a-number-for-a-row"),
        pytest.param(without("task"), r"row 2: has no 'task': mend or delete", id="written-before-tasks"),
        pytest.param(with_(images="5"), r"row 1: 'images' is '5'", id="text-for-a-number"),
        pytest.param(with_(images=True), r"row 1: 'images' is True", id="true-for-a-number"),
        pytest.param(with_(images=0), r"row 1: 'images' is 0", id="no-images"),
        pytest.param(with_(ap50="high"), r"row 1: 'ap50' is 'high'", id="text-for-a-figure"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ResultsError, match=rf"results\.json.*{sentence}"):
        read(path)


def test_a_run_goes_on_with_its_own_file_only(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert begun(path, "labeler-a") == []
    write(path, results("2026-11-28", {}))
    assert begun(path, "labeler-a") == [ROW]
    with pytest.raises(ResultsError, match="holds what labeler-a reached, and this is labeler-b: name"):
        begun(path, "labeler-b")


OLD, NEW, NEWEST = ("2026-11-27", 0.1), ("2026-11-28", 0.2), ("2026-12-01", 0.3)


@pytest.mark.parametrize(
    ("dates", "wins"),
    [
        pytest.param([OLD, NEWEST, NEW], 0.3, id="the-newest"),
        pytest.param([NEWEST, NEW], 0.3, id="though-named-first"),
        pytest.param([NEW, (NEW[0], 0.4)], 0.4, id="of-one-day-the-last-named"),
    ],
)
def test_of_rows_that_coincide_one_wins(dates: list[tuple[str, float]], wins: float) -> None:
    joined = join(results(date, {"miou": miou}) for date, miou in dates)
    assert [row["miou"] for row in joined] == [wins]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"data": "dsb2018"}, id="data"),
        pytest.param({"task": "figure"}, id="task"),
        pytest.param({"images": 10}, id="images"),
        pytest.param({"seed": 1}, id="seed"),
        pytest.param({"method": "knn"}, id="method"),
    ],
)
def test_rows_that_differ_stay(other: dict[str, Any]) -> None:
    assert join([results("2026-11-27", {}), results("2026-11-28", other)]) == [ROW, ROW | other]


def test_points_are_means_over_seeds_by_number_of_images() -> None:
    rows = [
        ROW | {"images": 10, "seed": 0, "miou": 0.5},
        ROW | {"images": 2, "seed": 0, "miou": 0.2},
        ROW | {"images": 2, "seed": 1, "miou": 0.3},
        ROW | {"images": 2, "seed": 2, "miou": 0.7},
        ROW | {"images": 2, "method": "knn", "miou": 0.1},
        ROW | {"images": 2, "task": "figure", "miou": 0.9},
        ROW | {"images": 2, "data": "dsb2018", "miou": 0.9},
    ]
    found = curves(rows, "ccp", "objects", "miou")
    assert found == {
        "ours": [Point(2, pytest.approx(0.4), 0.2, 0.7, 3), Point(10, 0.5, 0.5, 0.5, 1)],
        "knn": [Point(2, 0.1, 0.1, 0.1, 1)],
    }


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"miou": None}, id="null"),
        pytest.param({"miou": float("nan")}, id="no-number"),
    ],
)
def test_what_is_no_number_was_not_measured(row: dict[str, Any]) -> None:
    assert curves([ROW | row | {"seed": 1}], "ccp", "objects", "miou") == {}
    assert curves([ROW, ROW | row | {"seed": 1}], "ccp", "objects", "miou")["ours"][0].seeds == 1
