"""Rings, edges and shapes of windows on one sheet against each window by itself on the whole picture."""

import cv2
import numpy as np
import pytest

from labeler_backend.heads.outlines import COLUMNS, Level, outlines
from labeler_backend.heads.windows import Window

SIZE = (70, 90)
RANDOM = np.random.default_rng(0)
LEVEL = Level(
    *(RANDOM.random(SIZE).astype(np.float32) for _ in range(3)), RANDOM.random((2, *SIZE)).astype(np.float32)
)


def ellipse(height: int, width: int) -> np.ndarray:
    y, x = np.ogrid[:height, :width]
    return ((y + 0.5) / height * 2 - 1) ** 2 + ((x + 0.5) / width * 2 - 1) ** 2 <= 1


WINDOWS = [
    pytest.param(Window((20, 30), ellipse(20, 14)), id="inside"),
    pytest.param(Window((0, 0), np.ones((9, 30), bool)), id="in a corner"),
    pytest.param(Window((40, 60), ellipse(30, 30)), id="in the opposite corner"),
    pytest.param(Window((30, 5), np.ones((2, 2), bool)), id="tiny"),
    pytest.param(Window((0, 10), np.ones((70, 40), bool)), id="from border to border"),
    pytest.param(Window((10, 10), np.eye(30, dtype=bool)), id="thin"),
]


def plainly(window: Window, name: int) -> list[float]:
    """The means, by filters on the whole picture; a filter sees no border there."""
    body = np.zeros(SIZE, np.uint8)
    body[window.place] = window.mask
    reach = int(np.clip(np.round(0.12 * np.sqrt(body.sum())), 1, 8))
    side = 2 * reach + 1
    ring = cv2.dilate(body, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > body
    around, within = cv2.dilate(body, np.ones((3, 3))) > body, cv2.erode(body, np.ones((3, 3))) < body

    def mean(values: np.ndarray, where: np.ndarray) -> float:
        return float(values[where].mean()) if where.any() else 0.0

    return [
        mean(LEVEL.figure, ring),
        mean(LEVEL.figure, within),
        mean(LEVEL.figure, around),
        mean(LEVEL.slope, within | around),
        mean(LEVEL.depth, within),
        mean(LEVEL.depth, around),
        float(LEVEL.depth[body > 0].max()),
        mean(LEVEL.figure > 0.5, around),
        mean(LEVEL.slope, body > 0),
        mean(LEVEL.classes[name], ring),
    ]


@pytest.mark.parametrize("window", WINDOWS)
def test_means_are_those_of_the_picture(window: Window) -> None:
    others = [param.values[0] for param in WINDOWS]
    found = outlines([*others, window], np.array([0] * len(others) + [1]), LEVEL)
    means = found[-1, [0, 1, 2, 3, 4, 5, 6, 7, 13, 14]]
    np.testing.assert_allclose(means, plainly(window, 1), atol=1e-5)


def test_shapes() -> None:
    shapes = [ellipse(24, 24), ellipse(40, 8), np.ones((1, 30), bool), np.tri(30, 30).astype(bool)]
    found = outlines([Window((5, 5), s) for s in shapes], np.zeros(4, int), LEVEL)
    solid, roundness, long, thick = found[:, 8:12].T
    assert (solid > 0.85).all()
    assert roundness.argmax() == 0
    assert np.argsort(long).tolist()[-2:] == [1, 2]
    assert abs(long[0]) < 0.05
    assert thick.argmax() == 0
    assert found[:, 12].tolist() == [0] * 4
    (corner,) = outlines([Window((0, 0), np.ones((70, 3), bool))], np.zeros(1, int), LEVEL)
    assert corner[12] == 3


def test_what_is_empty_and_no_windows() -> None:
    assert outlines([], np.zeros(0, int), LEVEL).shape == (0, COLUMNS)
    (found,) = outlines([Window((3, 3), np.zeros((2, 2), bool))], np.zeros(1, int), LEVEL)
    assert np.isfinite(found).all()
