"""learning_curve.py: which panels there are, what stands in the tables, and what is said of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.learning import METHODS
from benchmarks.learning_curve import main, notes, panels, source, table
from benchmarks.learning_figure import STYLES, Panel
from benchmarks.learning_results import Point, Results, ResultsError, Row

Rows = list[Row]


def rows(data: str, task: str, seeds: int = 1, method: str = "ours", **values: float) -> Rows:
    figures = {"foreground_iou": 0.75, "miou": 0.5, "ap50": 0.25} | values
    return [
        {"data": data, "task": task, "images": 5, "seed": seed, "method": method} | figures
        for seed in range(seeds)
    ]


def write(path: Path, found: Rows, date: str = "2026-11-28", fingerprint: str = "labeler-a") -> Path:
    path.write_text(json.dumps({"fingerprint": fingerprint, "date": date, "rows": found}))
    return path


def test_every_method_that_is_measured_has_a_style() -> None:
    assert STYLES.keys() == METHODS.keys()


@pytest.mark.parametrize(
    ("data", "task", "title", "mean"),
    [
        pytest.param("ccp", "figure", "CCP, the person", 0.75, id="foreground-of-the-person"),
        pytest.param("davis2016", "figure", "DAVIS", 0.75, id="foreground-of-davis"),
        pytest.param("ccp", "objects", "CCP, clothes", 0.5, id="classes"),
        pytest.param("nuts_coco", "objects", "Nuts", 0.25, id="precision-of-nuts"),
        pytest.param("dsb2018", "objects", "DSB, nuclei", 0.25, id="precision-of-nuclei"),
    ],
)
def test_each_data_set_has_its_figure(data: str, task: str, title: str, mean: float) -> None:
    (panel,) = panels(rows(data, task))
    assert (panel.title, panel.curves) == (title, {"ours": [Point(5, mean, mean, mean, 1)]})


def test_panels_are_in_one_order_and_those_without_rows_are_left_out() -> None:
    found = rows("dsb2018", "objects") + rows("ccp", "objects") + rows("ccp", "figure")
    assert [panel.title for panel in panels(found)] == ["CCP, the person", "CCP, clothes", "DSB, nuclei"]


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        pytest.param([], r"No row is of a data set that is shown \(ccp, .+\): measure one", id="no-rows"),
        pytest.param(rows("birds", "objects"), "No row is of a data set", id="another-data-set"),
        pytest.param(rows("ccp", "objects", miou=float("nan")), "No row is of", id="no-number"),
        pytest.param(rows("ccp", "objects", method="svm"), "'svm' has no colour: add it to", id="new-method"),
    ],
)
def test_what_cannot_be_shown(found: Rows, sentence: str) -> None:
    with pytest.raises(ResultsError, match=sentence):
        panels(found)


def point(images: int, mean: float, seeds: int) -> Point:
    return Point(images, mean, mean, mean, seeds)


@pytest.mark.parametrize(
    ("curves", "lines"),
    [
        pytest.param(
            {"knn": [point(1, 0.25, 3)], "ours": [point(1, 0.5, 3), point(5, 0.75, 3)]},
            [
                "| images | ours | nearest neighbours | seeds |",
                "|---|---|---|---|",
                "| 1 | **0.500** | 0.250 | 3 |",
                "| 5 | **0.750** | – | 3 |",
            ],
            id="a-row-is-missing",
        ),
        pytest.param(
            {"ours": [point(1, 0.5, 3)], "nothing": [point(1, 0.625, 1)]},
            [
                "| images | ours | no training | seeds |",
                "|---|---|---|---|",
                "| 1 | 0.500 | **0.625** | 1–3 |",
            ],
            id="numbers-of-seeds-differ",
        ),
        pytest.param(
            {"ours": [point(20, 0.5, 1)]},
            ["| images | ours | seeds |", "|---|---|---|", "| 20 | **0.500** | 1 |"],
            id="one-seed",
        ),
        pytest.param(
            {"ours": [point(2, 0.50041, 1)], "forest": [point(2, 0.50039, 1)]},
            [
                "| images | ours | random forest | seeds |",
                "|---|---|---|---|",
                "| 2 | **0.500** | **0.500** | 1 |",
            ],
            id="equal-as-printed",
        ),
    ],
)
def test_table(curves: dict[str, list[Point]], lines: list[str]) -> None:
    text = table(Panel("Nuts", "mask AP50", curves))
    assert text.splitlines() == ["Nuts: mask AP50", "", *lines]


def test_source_names_labelers_and_days() -> None:
    files = [Results("b", "2026-11-28", []), Results("a", "2026-12-01", []), Results("b", "2026-11-27", [])]
    assert source(files) == "`a`, 2026-12-01; `b`, 2026-11-27 and 2026-11-28"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param([Results("a", "", rows("ccp", "figure"))], [], id="nothing"),
        pytest.param(
            [Results("a", "1", []), Results("b", "2", [])],
            ["These are runs of different labelers: `a`, 1; `b`, 2"],
            id="two-labelers",
        ),
        pytest.param(
            [Results("a", "", rows("dsb2018", "figure", seeds=2))],
            ["2 rows of dsb2018 (figure) are not shown: no line of SHOWN is of it."],
            id="not-shown",
        ),
    ],
)
def test_notes(files: list[Results], said: list[str]) -> None:
    assert notes(files) == said


def test_runs_are_joined_drawn_and_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write(tmp_path / "old.json", rows("nuts_coco", "objects", seeds=2, ap50=0.5), "2026-11-27")
    new = write(tmp_path / "new.json", rows("nuts_coco", "objects", ap50=0.25))
    out = tmp_path / "images" / "curve.png"
    assert main([str(new), str(old), "--out", str(out), "--table"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines() == [
        "`labeler-a`, 2026-11-27 and 2026-11-28",
        "",
        "Nuts: mask AP50",
        "",
        "| images | ours | seeds |",
        "|---|---|---|",
        "| 5 | **0.375** | 2 |",
    ]
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        picture.load()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("{", "results.json is no JSON", id="unreadable"),
        pytest.param('{"rows": []}', "No row is of a data set that is shown", id="empty"),
    ],
)
def test_bad_files_are_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    (tmp_path / "results.json").write_text(text)
    out = tmp_path / "curve.png"
    assert main([str(tmp_path / "results.json"), "--out", str(out)]) == 2
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        pytest.param([], "nothing to do: say --out FILE.png, --table, or both", id="nothing-to-do"),
        pytest.param(["--out", "curve.svg"], "curve.svg is no .png", id="another-format"),
    ],
)
def test_usage(args: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["results.json", *args])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_picture_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = write(tmp_path / "results.json", rows("nuts_coco", "objects"))
    assert main([str(results), "--out", str(results / "curve.png")]) == 2
    assert "curve.png cannot be written" in capsys.readouterr().err
