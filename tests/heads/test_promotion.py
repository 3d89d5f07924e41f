"""Who may serve, at the margins."""

from __future__ import annotations

import math

import pytest

from labeler_backend.heads.promotion import MARGIN, decide, decide_changed
from labeler_backend.heads.types import Metrics


def measured(values: list[float]) -> Metrics:
    """These panoptic qualities, image by image."""
    mean = sum(values) / len(values) if values else math.nan
    return Metrics(len(values), mean, 0.5, 0.5, 0.5, {}, {f"{i}": value for i, value in enumerate(values)})


@pytest.mark.parametrize(
    ("before", "after", "better", "says"),
    [
        pytest.param([], [], False, "only one image", id="no-image"),
        pytest.param([0.0], [1.0], False, "only one image", id="one-image-however-good"),
        pytest.param([0.5, 0.5], [0.6, 0.5], True, "worse on none", id="two-images"),
        pytest.param([0.5, 0.5], [0.9, 0.49], False, "worse on one of 2", id="few-and-one-worse"),
        pytest.param([0.5, 0.5], [0.9, 0.496], True, "worse on none", id="few-and-one-a-hair-worse"),
        pytest.param([0.5, 0.5], [0.5, 0.5], False, "not better by", id="the-same"),
        pytest.param([0.5, 0.5], [0.504, 0.504], False, "not better by", id="below-the-margin"),
        pytest.param([0.5, 0.5], [0.506, 0.506], True, "worse on none", id="above-the-margin"),
        pytest.param([0.5] * 4, [0.9, 0.9, 0.9, 0.4], False, "worse on one of 4", id="four-are-few"),
        pytest.param([0.5] * 5, [0.9, 0.9, 0.9, 0.9, 0.4], True, "of the bootstrap", id="five-are-not"),
        pytest.param([0.5] * 6, [1.0, *[0.49] * 5], False, "in only", id="one-image-makes-the-gain"),
        pytest.param([0.5] * 5, [0.4] * 5, False, "not better by", id="worse"),
        pytest.param([0.5] * 20, [0.52] * 20, True, "100%", id="a-little-everywhere"),
    ],
)
def test_decision(before: list[float], after: list[float], better: bool, says: str) -> None:
    found = decide(measured(before), measured(after))
    assert found.better is better
    assert says in found.reason
    assert found.reason.endswith(".")
    assert "nan" not in found.reason
    assert decide(measured(before), measured(after)) == found


def test_only_images_of_both_count() -> None:
    before = Metrics(3, 0.5, 0, 0, 0, {}, {"a": 0.5, "b": 0.5, "c": 0.9})
    after = Metrics(3, 0.5, 0, 0, 0, {}, {"a": 0.6, "b": 0.6, "d": 0.0})
    assert decide(before, after).better
    assert "on 2 images" in decide(before, after).reason
    assert not decide(before, Metrics(1, 1, 1, 1, 1, {}, {"a": 1.0})).better


@pytest.mark.parametrize(
    ("before", "after", "better"),
    [
        pytest.param([0.5], [0.5], True, id="as-good"),
        pytest.param([0.5], [0.496], True, id="a-hair-worse"),
        pytest.param([0.5], [0.494], False, id="worse"),
        pytest.param([0.5, 0.5], [0.4, 0.6], True, id="one-better-one-worse"),
        pytest.param([0.5, 0.5, 0.5], [0.5, 0.5, 0.4], False, id="one-of-three-much-worse"),
    ],
)
def test_where_only_annotations_changed(before: list[float], after: list[float], better: bool) -> None:
    found = decide_changed(measured(before), measured(after))
    assert found.better is better
    assert f"{MARGIN} on {len(before)} image" in found.reason
    assert found.reason.count(". ") == 0
