"""What of the features a scene goes by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labeler_backend.backbone.features import Features, HalfArray
from labeler_backend.prompts.scene import prepare_scene
from tests.prompts.made import GRID, SIZE, painted
from tests.proposals.made import features_of, tokens_of

LEFT_HALF = np.zeros(GRID, int)
LEFT_HALF[:, : GRID[1] // 2] = 1
SAME = np.zeros(GRID, int)


def middle(labels: np.ndarray) -> HalfArray:
    return np.concatenate([tokens_of(labels, seed=k) for k in (1, 2)], axis=-1).astype(np.float16)


def apart(features: Features) -> float:
    """How far the two halves' tokens are from each other, in spreads."""
    tokens = prepare_scene(painted(np.zeros(SIZE, bool)), features, ()).tokens
    left, right = tokens[LEFT_HALF == 1], tokens[LEFT_HALF == 0]
    spread = np.sqrt(left.var(axis=0).sum() + right.var(axis=0).sum())
    return float(np.linalg.norm(left.mean(axis=0) - right.mean(axis=0)) / spread)


ALIKE = features_of(tokens_of(SAME))


@pytest.mark.parametrize(
    ("features", "told"),
    [
        pytest.param(ALIKE, False, id="nothing-tells-them-apart"),
        pytest.param(features_of(tokens_of(LEFT_HALF)), True, id="the-last-block"),
        pytest.param(replace(ALIKE, middle=middle(LEFT_HALF)), True, id="the-blocks-between"),
        pytest.param(replace(ALIKE, middle=middle(SAME)), False, id="neither"),
    ],
)
def test_halves_are_told_apart_by_any_block(features: Features, told: bool) -> None:
    assert (apart(features) > 1) == told
