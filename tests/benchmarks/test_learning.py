"""learning.py: what a run measures, and that an interrupted one goes on where it was."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from skimage.measure import label

from benchmarks import learning
from benchmarks.learning import METHODS, Method, Picture, main, missing, task_of
from labeler_backend.labeler import Labeler


@pytest.mark.parametrize(
    ("data", "person", "task"),
    [
        pytest.param("ccp", True, "figure", id="the-person"),
        pytest.param("ccp", False, "objects", id="classes"),
        pytest.param("davis2016", False, "figure", id="davis-has-one-object"),
        pytest.param("dsb2018", True, "figure", id="all-nuclei-as-one"),
        pytest.param("nuts_coco", True, "objects", id="nuts-stay-nuts"),
    ],
)
def test_task(data: str, person: bool, task: str) -> None:
    assert task_of(data, person) == task


def test_what_is_missing() -> None:
    args = argparse.Namespace(images=[1, 5, 20], seeds=[0, 1], method=["ours", "knn"], person=True)
    known = {
        ("ccp", "figure", 1, 0, "ours"),
        ("ccp", "figure", 5, 1, "knn"),
        ("ccp", "objects", 1, 0, "knn"),  # of the other task: no reason to leave it out
    }
    assert missing("ccp", args, 9, known) == [
        ("ccp", "figure", 1, 0, "knn"),
        ("ccp", "figure", 1, 1, "ours"),
        ("ccp", "figure", 1, 1, "knn"),
        ("ccp", "figure", 5, 0, "ours"),
        ("ccp", "figure", 5, 0, "knn"),
        ("ccp", "figure", 5, 1, "ours"),
    ]


@pytest.fixture
def coins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two crops of scikit-image's coins, laid out like dsb2018: one to learn from, one to test on."""
    data, splits = tmp_path / "dsb2018", tmp_path / "splits"
    for folder in (data / "images", data / "labels", splits):
        folder.mkdir(parents=True)
    picture = skimage.data.coins()
    found = label(cv2.morphologyEx((picture > 110).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5))))
    for name, columns in (("left", slice(0, 190)), ("right", slice(190, 380))):
        assert cv2.imwrite(str(data / "images" / f"{name}.png"), picture[:, columns])
        assert cv2.imwrite(str(data / "labels" / f"{name}.png"), found[:, columns].astype(np.uint16))
    (splits / "dsb2018.json").write_text(json.dumps({"pool": ["left"], "test": ["right"]}))
    monkeypatch.setattr(learning, "SPLITS", splits)
    return data


def stopped(labeler: Labeler, known: Sequence[Picture]) -> Method:
    raise KeyboardInterrupt


@pytest.mark.weights
@pytest.mark.usefixtures("dinov2_small")
def test_an_interrupted_run_goes_on(
    coins: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = coins.parent / "results.json"
    args = ["--data", str(coins), "--device", "cpu", "--size", "224", "--json", str(results)]
    args += ["--images", "1", "5", "--seeds", "0", "--method", "nothing", "knn"]

    monkeypatch.setitem(METHODS, "knn", stopped)
    with pytest.raises(KeyboardInterrupt):
        main(args)
    (first,) = json.loads(results.read_text())["rows"]
    assert (first["task"], first["method"]) == ("objects", "nothing")

    monkeypatch.undo()
    monkeypatch.setattr(learning, "SPLITS", coins.parent / "splits")
    monkeypatch.setitem(METHODS, "nothing", stopped)  # measured already: it is not asked again
    assert main([*args, "--resume"]) == 0
    found = json.loads(results.read_text())["rows"]
    assert found[0] == first
    assert [row["method"] for row in found] == ["nothing", "knn"]
    assert 0 < found[1]["foreground_iou"] <= 1

    capsys.readouterr()
    assert main([*args, "--size", "210", "--resume"]) == 2
    assert "results.json holds what " in capsys.readouterr().err
    assert json.loads(results.read_text())["rows"] == found


def test_resume_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--data", "ccp", "--resume"])
    assert ended.value.code == 2
    assert "--resume goes on with a file: name it with --json." in capsys.readouterr().err
