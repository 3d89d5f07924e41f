"""Labels carried between patches: small cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.video.propagation import (
    Known,
    blended,
    certainty,
    confidence,
    given_frame,
    passed_frame,
    places,
    pooled,
    presence,
    transfer,
)

GRID = (6, 8)
LEFT, RIGHT = np.eye(4, dtype=np.float32)[:2]


def frame(reach: int | None, at: tuple[int, int] = (2, 1)) -> Known:
    """One object patch that looks LEFT, and one of background that looks RIGHT, beside it."""
    keys = np.stack([LEFT, RIGHT])
    labels = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    return Known(keys, labels, np.array([at, (at[0], at[1] + 1)], np.int16), reach)


def shares(object_share: float) -> np.ndarray:
    out = np.zeros((*GRID, 2), np.float32)
    out[..., 0] = 1
    out[2, 3] = (1 - object_share, object_share)
    return out


@pytest.mark.parametrize(
    ("memory", "looks", "at", "low", "high"),
    [
        pytest.param([frame(None)], LEFT, (5, 7), 0.95, 1.0, id="looks like the object"),
        pytest.param([frame(None)], RIGHT, (5, 7), 0.0, 0.05, id="looks like the background"),
        pytest.param([frame(3)], LEFT, (2, 4), 0.95, 1.0, id="within reach"),
        pytest.param([frame(3)], LEFT, (2, 5), 0.0, 0.05, id="object out of reach, background within"),
        pytest.param([frame(2)], LEFT, (5, 7), 0.0, 0.0, id="nothing within reach is background"),
        pytest.param([frame(2), frame(None)], LEFT, (5, 7), 0.95, 1.0, id="a given frame reaches anywhere"),
        pytest.param(
            [frame(None)], (LEFT + RIGHT) / np.sqrt(2), (2, 2), 0.45, 0.55, id="as like the one as the other"
        ),
    ],
)
def test_transfer(
    memory: list[Known], looks: np.ndarray, at: tuple[int, int], low: float, high: float
) -> None:
    found = transfer(looks[None].astype(np.float32), np.array([at], np.int16), memory)
    assert found.shape == (1, 2)
    assert found.sum() == pytest.approx(1)
    assert low <= found[0, 1] <= high


def test_a_passed_frame_keeps_the_object_and_its_surroundings() -> None:
    keys = np.arange(GRID[0] * GRID[1] * 4, dtype=np.float32).reshape(-1, 4)
    kept = passed_frame(keys, shares(0.9), margin=1)
    assert [tuple(p) for p in kept.places] == [(r, c) for r in (1, 2, 3) for c in (2, 3, 4)]
    np.testing.assert_array_equal(kept.keys[4], keys[2 * GRID[1] + 3])
    assert kept.labels[4, 1] == pytest.approx(0.9)
    assert kept.reach is not None


def test_a_passed_frame_without_objects_is_kept_whole() -> None:
    keys = np.zeros((GRID[0] * GRID[1], 4), np.float32)
    assert len(passed_frame(keys, shares(0.0)).keys) == len(keys)


def test_what_may_be_a_missing_object_is_not_remembered() -> None:
    keys = np.arange(GRID[0] * GRID[1] * 4, dtype=np.float32).reshape(-1, 4)
    doubtful = np.zeros(len(keys), bool)
    doubtful[[3, 4]] = True
    kept = passed_frame(keys, shares(0.0), doubtful)
    assert len(kept.keys) == len(kept.labels) == len(kept.places) == len(keys) - 2
    assert not np.isin(keys[3], kept.keys[:, 0]).any()


def test_a_given_frame_is_kept_whole() -> None:
    keys = np.zeros((GRID[0] * GRID[1], 4), np.float32)
    kept = given_frame(keys, shares(0.9))
    assert len(kept.keys) == len(keys)
    np.testing.assert_array_equal(kept.places, places(np.arange(len(keys)), GRID[1]))


@pytest.mark.parametrize(
    ("one", "other", "weight", "expected"),
    [
        pytest.param(0.8, 0.8, 0.5, 0.8, id="agreed"),
        pytest.param(0.9, 0.1, 0.5, 0.5, id="opposite"),
        pytest.param(0.9, 0.1, 0.0, 0.9, id="only the first"),
        pytest.param(0.9, 0.1, 1.0, 0.1, id="only the second"),
        pytest.param(1.0, 0.6, 0.5, 0.924, id="certainty is no veto"),
    ],
)
def test_pooled(one: float, other: float, weight: float, expected: float) -> None:
    a, b = (np.array([[1 - p, p]], np.float32) for p in (one, other))
    found = pooled(a, b, weight)
    assert found.sum() == pytest.approx(1)
    assert found[0, 1] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("share", "there", "sure"),
    [
        pytest.param(1.0, True, 1.0, id="there"),
        pytest.param(0.6, True, 0.6, id="hardly there"),
        pytest.param(0.2, False, 0.8, id="hardly gone"),
        pytest.param(0.0, False, 1.0, id="gone"),
    ],
)
def test_presence_and_confidence(share: float, there: bool, sure: float) -> None:
    assert presence(shares(share)).tolist() == [there]
    assert confidence(shares(share))[0] == pytest.approx(sure)


def test_certainty_is_the_lead_of_the_first() -> None:
    np.testing.assert_allclose(certainty(np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]])), [0.5, 0.0])


@pytest.mark.parametrize(
    ("ahead", "back", "share", "expected"),
    [
        pytest.param(1.0, 0.0, 0.0, 1.0, id="at the start"),
        pytest.param(1.0, 0.0, 1.0, 0.0, id="at the end"),
        pytest.param(1.0, 0.0, 0.5, 0.5, id="in the middle, both certain"),
        pytest.param(1.0, 0.5, 0.5, 0.958, id="in the middle, one certain"),
        pytest.param(0.5, 0.0, 0.25, 0.107, id="certain from afar beats doubt from near"),
    ],
)
def test_blended(ahead: float, back: float, share: float, expected: float) -> None:
    found = blended(shares(ahead), shares(back), share)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-6)
    assert found[2, 3, 1] == pytest.approx(expected, abs=2e-3)
