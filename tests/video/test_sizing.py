"""Small and thin objects are looked at more closely."""

import numpy as np
import pytest

from labeler_backend.video.sizing import short_side


def with_bar(width: int, height: int = 300, number: int = 1) -> np.ndarray:
    labels = np.zeros((480, 854), np.uint16)
    labels[103 : 103 + height, 100 : 100 + width] = number
    return labels


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([with_bar(90)], 476, id="large"),
        pytest.param([with_bar(12)], 602, id="thin"),
        pytest.param([with_bar(8, height=8)], 714, id="tiny: there is an end"),
        pytest.param(
            [with_bar(90) + np.roll(with_bar(12, number=7), 200, axis=1)], 602, id="the worst decides"
        ),
        pytest.param([with_bar(90), with_bar(12)], 602, id="of all given frames"),
        pytest.param([with_bar(0)], 476, id="nothing marked"),
        pytest.param([], 476, id="nothing given"),
    ],
)
def test_the_object_that_is_held_worst_decides(given: list[np.ndarray], expected: int) -> None:
    assert short_side(given, 14) == expected


def test_a_size_that_was_asked_for_is_the_least() -> None:
    assert short_side([with_bar(90)], 14, 600) == 600
