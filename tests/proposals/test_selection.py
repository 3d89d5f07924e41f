from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_backend.proposals.selection import suppress


def masks_of(*rows: str) -> npt.NDArray[np.bool_]:
    return np.array([[cell == "#" for cell in row] for row in rows])


APART = masks_of("##....", "..##..", "....##")
ALIKE = masks_of("####..", "###...", "....##")  # the first two: IoU 3/4


@pytest.mark.parametrize(
    ("masks", "scores", "overlap", "most", "first", "kept"),
    [
        pytest.param(APART, [0.1, 0.3, 0.2], 0.5, 9, None, [1, 2, 0], id="by-falling-score"),
        pytest.param(APART, [0.2, 0.2, 0.2], 0.5, 9, None, [0, 1, 2], id="ties-in-the-order-given"),
        pytest.param(APART, [0.1, 0.3, 0.2], 0.5, 2, None, [1, 2], id="most"),
        pytest.param(APART, [0.1, 0.3, 0.2], 0.5, 1, None, [1], id="one"),
        pytest.param(ALIKE, [0.3, 0.2, 0.1], 0.5, 9, None, [0, 2], id="the-lower-goes"),
        pytest.param(ALIKE, [0.2, 0.3, 0.1], 0.5, 9, None, [1, 2], id="also-the-larger-one"),
        pytest.param(ALIKE, [0.2, 0.2, 0.1], 0.5, 9, None, [0, 2], id="tie-of-alikes"),
        pytest.param(ALIKE, [0.3, 0.2, 0.1], 0.75, 9, None, [0, 1, 2], id="at-the-overlap-both-stay"),
        pytest.param(ALIKE, [0.3, 0.2, 0.1], 0.74, 9, None, [0, 2], id="just-over-it-one-goes"),
        pytest.param(ALIKE, [0.3, 0.2, 0.1], 0.5, 9, 1, [1, 2], id="first-beats-a-better-one"),
        pytest.param(ALIKE, [0.3, 0.2, 0.1], 0.5, 9, 2, [2, 0], id="first-then-by-score"),
        pytest.param(ALIKE, [0.3, 0.2, 0.1], 0.5, 1, 2, [2], id="only-first"),
        pytest.param(ALIKE, [0.3, 0.2, 0.1], 0.5, 9, 0, [0, 2], id="first-is-the-best"),
        pytest.param(APART[:0], [], 0.5, 9, None, [], id="nothing"),
        pytest.param(masks_of("##", "##"), [0.1, 0.2], 0.99, 9, None, [1], id="twice-the-same"),
    ],
)
def test_suppress(
    masks: npt.NDArray[np.bool_],
    scores: list[float],
    overlap: float,
    most: int,
    first: int | None,
    kept: list[int],
) -> None:
    assert suppress(masks, np.array(scores, np.float32), overlap=overlap, most=most, first=first) == kept


@settings(deadline=None)
@given(st.integers(1, 25), st.sampled_from([0.0, 0.3, 0.6]), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_suppress_as_its_definition_has_it(n: int, overlap: float, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((n, 12)) < 0.5
    masks[:, 0] |= ~masks.any(axis=1)
    scores = rng.integers(0, 6, n).astype(np.float32)
    kept: list[int] = []
    for index in sorted(range(n), key=lambda i: (-scores[i], i)):
        pairs = [((masks[index] & masks[k]).sum(), (masks[index] | masks[k]).sum()) for k in kept]
        if len(kept) < most and all(common <= overlap * union for common, union in pairs):
            kept.append(index)
    assert suppress(masks, scores, overlap=overlap, most=most) == kept
