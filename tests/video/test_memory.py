"""Which frames are remembered."""

from __future__ import annotations

import pytest

from labeler_backend.video.memory import Memory, Policy

SMALL = Policy(recent=3, every=5, older=2, given=2)


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        pytest.param(range(1, 3), [1, 2], id="few"),
        pytest.param(range(1, 5), [2, 3, 4], id="the last ones"),
        pytest.param(range(1, 10), [5, 7, 8, 9], id="one of the older"),
        pytest.param(range(1, 100), [90, 95, 97, 98, 99], id="many, no more of them"),
        pytest.param(range(98, 0, -1), [10, 5, 3, 2, 1], id="backward"),
    ],
)
def test_what_is_kept(passed: range, expected: list[int]) -> None:
    memory: Memory[int] = Memory(SMALL, {})
    for index in passed:
        memory.add(index, index)
    assert memory.near(50) == expected


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        pytest.param(0, ["a", "b"], id="at the first"),
        pytest.param(30, ["b", "c"], id="between"),
        pytest.param(99, ["c", "d"], id="behind the last"),
        pytest.param(20, ["a", "b"], id="as far: the earlier"),
    ],
)
def test_given_frames_stay_and_the_nearest_are_used(index: int, expected: list[str]) -> None:
    memory: Memory[str] = Memory(SMALL, {0: "a", 20: "b", 40: "c", 60: "d"})
    for passed in range(100):
        memory.add(passed, "passed")
    assert memory.near(index)[:2] == expected


def test_without_older_ones() -> None:
    assert Policy(recent=2, every=0, older=5).kept([1, 5, 6, 7]) == [6, 7]
