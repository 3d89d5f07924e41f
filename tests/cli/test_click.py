"""`labeler click`: what it reads and writes, and the sentence for what it cannot read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from labeler_backend import cli
from labeler_backend.cli import loading
from labeler_backend.prompts.reading import read
from labeler_backend.prompts.types import Answer, Answered, Box, Prompt

SIZE = (30, 40)


class Square:
    """Answers with a square of nine pixels a side around the first point, and a smaller one; remembers what
    it was asked."""

    def __init__(self) -> None:
        self.asked: list[Prompt] = []

    def click(self, image: npt.NDArray[np.uint8], prompt: Prompt) -> Answer:
        self.asked.append(prompt)
        usable = read(prompt, (image.shape[0], image.shape[1]))
        if not any(mark.positive for mark in usable.marks) and usable.box is None:
            return Answer((), (*usable.notes, "Nothing says where the object is."))
        x, y = (int(usable.marks[0].x[0]), int(usable.marks[0].y[0])) if usable.marks else (20, 15)
        found = []
        for reach in (4, 2):
            mask = np.zeros(image.shape[:2], bool)
            mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
            found.append(Answered(mask, reach / 5))
        return Answer(tuple(found), usable.notes)


@pytest.fixture
def square(monkeypatch: pytest.MonkeyPatch) -> Square:
    made = Square()
    monkeypatch.setattr(loading, "load_proposer", lambda *settings: made)
    return made


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.full((*SIZE, 3), 120, np.uint8))
    return path


def call(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["click", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def stroke(path: Path, size: tuple[int, int] = SIZE) -> Path:
    drawn = np.zeros(size, np.uint8)
    drawn[3, 2:6] = 255
    cv2.imwrite(str(path), drawn)
    return path


def test_the_mask_is_an_8_bit_png(square: Square, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "mask.png"
    code, told, _ = call(picture, "--point", "20,15", "--point", "3,3,0", "--out", out)
    assert code == 0
    assert str(out) in told
    mask = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
    assert (mask.dtype, mask.shape, np.unique(mask).tolist()) == (np.uint8, SIZE, [0, 255])
    assert (mask > 0).sum() == 81
    assert [tuple(point) for point in square.asked[0].points] == [(20, 15, True), (3, 3, False)]


def test_everything_goes_along(square: Square, picture: Path, tmp_path: Path) -> None:
    drawn = stroke(tmp_path / "stroke.png")
    more = ["--box", "1,2,30,20", "--scribble", drawn, "--not-scribble", drawn, "--previous", drawn]
    assert call(picture, *more, "--out", tmp_path / "mask.png")[0] == 0
    asked = square.asked[0]
    assert asked.boxes == (Box(1, 2, 30, 20),)
    assert [(int(mask.sum()), positive) for mask, positive in asked.scribbles] == [(4, True), (4, False)]
    assert asked.previous is not None
    assert asked.previous.sum() == 4


def test_json_names_what_was_written_and_what_was_not_used(
    square: Square, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mask.png"
    code, told, errors = call(
        picture, "--point", "20,15", "--point", "99,3,0", "--out", out, "--alternatives", "--json"
    )
    facts = json.loads(told)
    assert (code, errors) == (0, "")
    assert facts["masks"] == [str(out), str(tmp_path / "mask.2.png")]
    assert [one["area"] for one in facts["answers"]] == [81, 25]
    assert facts["answers"][0]["bbox"] == [16.0, 11.0, 9.0, 9.0]
    assert "outside the image" in facts["notes"][0]
    assert (cv2.imread(facts["masks"][1], cv2.IMREAD_UNCHANGED) > 0).sum() == 25


@pytest.mark.parametrize("name", ["seen.jpg", "seen.png"])
def test_overlay(square: Square, picture: Path, tmp_path: Path, name: str) -> None:
    assert (
        call(picture, "--point", "20,15", "--out", tmp_path / "m.png", "--overlay", tmp_path / name)[0] == 0
    )
    drawn = cv2.imread(str(tmp_path / name))
    assert drawn.shape == (*SIZE, 3)
    assert (drawn[15, 20] != drawn[2, 2]).any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param([], "give --point X,Y, --box or --scribble", id="nothing"),
        pytest.param(["--point", "3"], "--point 3 is not X,Y", id="one-number"),
        pytest.param(["--point", "3,a"], "--point 3,a is not X,Y", id="no-number"),
        pytest.param(["--point", "3,nan"], "--point 3,nan is not X,Y", id="nan"),
        pytest.param(["--point", "3,4,2"], "ends neither with 1", id="wrong-sign"),
        pytest.param(["--box", "1,2,3"], "--box 1,2,3 is not X0,Y0,X1,Y1", id="three-sides"),
        pytest.param(["--point", "3,4,0"], "Nothing says where the object is", id="only-negative"),
        pytest.param(["--scribble", "no.png"], "no.png does not exist", id="no-such-scribble"),
    ],
)
def test_bad_input_is_one_line(
    square: Square, picture: Path, tmp_path: Path, arguments: Sequence[str], sentence: str
) -> None:
    code, told, errors = call(picture, *arguments, "--out", tmp_path / "mask.png")
    assert (code, told) == (2, "")
    assert errors.startswith("labeler: ")
    assert errors.count("\n") == 1
    assert sentence in errors
    assert not (tmp_path / "mask.png").exists()


def test_a_mask_of_another_size_is_refused(square: Square, picture: Path, tmp_path: Path) -> None:
    other = stroke(tmp_path / "stroke.png", (20, 20))
    code, _, errors = call(picture, "--scribble", other, "--out", tmp_path / "mask.png")
    assert code == 2
    assert "20×20 pixels and the picture 40×30" in errors
