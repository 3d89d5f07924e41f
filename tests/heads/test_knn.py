"""Votes of the nearest labelled patches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labeler_backend.heads import knn
from labeler_backend.heads.knn import Neighbours, fit
from labeler_backend.heads.patches import Patches
from tests.heads.made_patches import features, patches

ROWS = [0, 1, 2], [2, 2, 1]


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param((1, 1, 1), id="one-of-each"),
        pytest.param((40, 40, 40), id="even"),
        pytest.param((2000, 40, 3), id="rare"),
    ],
)
def test_the_right_class_wins(counts: tuple[int, ...]) -> None:
    logits = fit(patches(*counts)).logits(features(*ROWS))
    assert logits.shape == (3, 2, 3)
    assert logits.argmax(axis=0).tolist() == list(ROWS)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(np.exp(logits).sum(axis=0), 1, rtol=1e-5)


def test_length_of_tokens_does_not_matter() -> None:
    model, asked = fit(patches(30, 30)), features([0, 1])
    longer = replace(asked, tokens=asked.tokens * 50)
    np.testing.assert_allclose(model.logits(longer), model.logits(asked), atol=1e-4)


def test_nothing_but_zeros_is_no_harm() -> None:
    model, asked = fit(patches(30, 30)), features([0, 1])
    assert np.isfinite(model.logits(replace(asked, tokens=0 * asked.tokens))).all()


def test_mixed_and_weightless_patches_teach_nothing() -> None:
    clear = patches(20, 20)
    mixed = Patches(clear.tokens, np.full((40, 2), 0.5, np.float32), clear.weights)
    mistaken = Patches(clear.tokens, clear.targets[:, ::-1].copy(), 0 * clear.weights)
    together = Patches(
        *(
            np.concatenate([getattr(part, name) for part in (clear, mixed, mistaken)])
            for name in ("tokens", "targets", "weights")
        )
    )
    assert np.array_equal(fit(together).memory, fit(clear).memory)
    assert np.array_equal(fit(together).votes, fit(clear).votes)


def test_where_all_are_mixed_they_are_better_than_nothing() -> None:
    clear = patches(20, 20)
    mixed = Patches(clear.tokens, (0.1 * clear.targets + 0.45).astype(np.float32), clear.weights)
    logits = fit(mixed).logits(features([0, 1]))
    assert logits.argmax(axis=0).tolist() == [[0, 1]]


def test_what_was_accepted_in_bulk_votes_less() -> None:
    sure, unsure = patches(15, 0), patches(0, 15, weight=0.5)
    both = Patches(
        np.concatenate([sure.tokens, sure.tokens]),
        np.concatenate([sure.targets, unsure.targets]),
        np.concatenate([sure.weights, unsure.weights]),
    )
    assert fit(both).logits(features([0])).argmax(axis=0).item() == 0


def test_too_many_are_thinned_the_same_way_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "MEMORY", 50)
    first, again, other = fit(patches(100, 100)), fit(patches(100, 100)), fit(patches(100, 100), seed=1)
    assert len(first.memory) == 50
    assert np.array_equal(first.memory, again.memory)
    assert not np.array_equal(first.memory, other.memory)


def test_saved_and_loaded_it_says_the_same() -> None:
    model, asked = fit(patches(20, 20, 3)), features(*ROWS)
    again = Neighbours.from_tensors(model.tensors())
    assert np.array_equal(again.logits(asked), model.logits(asked))
