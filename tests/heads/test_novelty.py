"""How unlike what is known an image is."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.heads import novelty
from labeler_backend.heads.novelty import Novelty, learn
from tests.heads.made_patches import features

KNOWN = [features([0, 0], [0, 0], seed=seed, spread=0.2) for seed in range(6)]


def test_nearer_is_less_novel() -> None:
    learned = learn(KNOWN)
    asked = [
        KNOWN[0],
        features([0, 0], [0, 0], seed=50, spread=0.2),
        features([0, 0], [0, 1]),
        features([1, 1], [2, 2]),
    ]
    found = [learned.of(one) for one in asked]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0, abs=1e-3)
    assert found[1] < 0.9
    assert found[-1] == 1


def test_one_image_gives_a_scale_too() -> None:
    learned = learn(KNOWN[:1])
    assert learned.of(KNOWN[0]) == pytest.approx(0, abs=1e-5)
    assert 0 < learned.of(KNOWN[1]) < 1
    assert learned.of(features([3, 3])) == 1


def test_the_same_image_twice_is_no_division_by_nothing() -> None:
    learned = learn([KNOWN[0], KNOWN[0]])
    assert learned.usual > 0
    assert learned.of(KNOWN[0]) == pytest.approx(0, abs=1e-3)
    assert learned.of(features([3, 3])) == 1


def test_tokens_of_nothing_are_a_number() -> None:
    nothing = features([0, 0])
    nothing.tokens[...] = 0
    assert 0 <= learn(KNOWN).of(nothing) <= 1
    assert 0 <= learn([nothing, *KNOWN]).of(KNOWN[0]) <= 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "MOST", 3)
    assert len(learn(KNOWN).known) == 3


def test_saved_and_loaded_it_says_the_same() -> None:
    learned = learn(KNOWN)
    again = Novelty.from_tensors(learned.tensors())
    assert again.of(KNOWN[3]) == learned.of(KNOWN[3])
    assert again.of(features([0, 1])) == pytest.approx(learned.of(features([0, 1])))
    assert np.array_equal(again.known, learned.known)
