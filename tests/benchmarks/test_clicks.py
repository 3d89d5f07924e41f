"""The simulated annotator clicks where people do, and the figures are what they are called."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.clicks import Played, box_of, figures, next_click, stroke_of, subjects
from labeler_backend.prompts.types import Box, Point

SIZE = (40, 60)
BoolMask = npt.NDArray[np.bool_]


def box(y: int, x: int, height: int, width: int) -> BoolMask:
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


NOTHING = box(0, 0, 0, 0)
ONE, OTHER = box(10, 10, 11, 11), box(20, 40, 5, 5)


@pytest.mark.parametrize(
    ("truth", "mask", "point"),
    [
        pytest.param(ONE, NOTHING, Point(15.5, 15.5, True), id="first-in-the-middle"),
        pytest.param(ONE | OTHER, ONE, Point(42.5, 22.5, True), id="what-is-missing"),
        pytest.param(OTHER, ONE | OTHER, Point(15.5, 15.5, False), id="what-is-too-much"),
        pytest.param(OTHER, ONE, Point(15.5, 15.5, False), id="the-larger-error-first"),
        pytest.param(ONE, ONE, None, id="all-right"),
    ],
)
def test_next_click(truth: BoolMask, mask: BoolMask, point: Point | None) -> None:
    assert next_click(truth, mask) == point


def test_figures() -> None:
    quick = Played([0.5, 0.86, 0.83], [0.01, 0.02, 0.03], [False] * 3)
    slow = Played([0.1] * 20, [0.01] * 20, [True] + [False] * 19)
    row = figures([quick, slow])
    assert row["objects"] == 2
    assert row["iou"] == pytest.approx({"1": 0.3, "3": 0.465, "5": 0.465, "10": 0.465})
    assert row["noc"] == {"0.85": 11.0, "0.90": 20.0}
    assert row["worse"] == pytest.approx(1 / 23)
    assert row["zoom"]["share"] == pytest.approx(1 / 23)
    assert row["zoom"]["p50"] == pytest.approx(10)
    assert row["ms"]["p50"] == pytest.approx(10)


def test_box_and_stroke_lie_on_the_object() -> None:
    assert box_of(OTHER) == Box(40, 20, 45, 25)
    stroke = stroke_of(ONE)
    assert stroke.any()
    assert not (stroke & ~ONE).any()


def test_halves_share_no_picture_and_are_the_same_each_time(tmp_path: Path) -> None:
    for folder, pixels in (
        ("images", np.zeros((*SIZE, 3), np.uint8)),
        ("labels", (ONE | OTHER).astype(np.uint8)),
    ):
        (tmp_path / folder).mkdir()
        for number in range(5):
            cv2.imwrite(str(tmp_path / folder / f"{number}.png"), pixels)

    def names(half: str) -> list[str]:
        return [one.image.name for together in subjects(tmp_path, half, 3) for one in together]

    dev, held, both = names("dev"), names("held-out"), names("all")
    assert (len(dev), len(held)) == (3, 2)
    assert sorted(dev + held) == both
    assert names("dev") == dev
