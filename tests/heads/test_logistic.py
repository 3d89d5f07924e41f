"""Regression on tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labeler_backend.heads import logistic
from labeler_backend.heads.logistic import Logistic, fit
from labeler_backend.heads.patches import Patches
from tests.heads.made_patches import CHANNELS, features, patches

ROWS = [0, 1, 2], [2, 2, 1]


def test_it_sees_what_only_middle_layers_know() -> None:
    plain = patches(60, 60)
    apart = plain.targets.argmax(axis=1)[:, None].astype(np.float16)
    model = fit(Patches(np.zeros_like(plain.tokens), plain.targets, plain.weights, apart))
    asked = replace(features([0, 1]), middle=np.array([[[0], [1]]], np.float16))
    assert model.channels == CHANNELS + 1
    assert model.logits(asked).argmax(axis=0).tolist() == [[0, 1]]


def test_learned_without_middle_layers_it_does_not_look_at_them() -> None:
    model, asked = fit(patches(40, 40, 40)), features(*ROWS)
    beside = replace(asked, middle=np.full((*asked.grid, 9), 1e4, np.float16))
    assert np.array_equal(model.logits(beside), model.logits(asked))


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param((40, 40, 40), id="even"),
        pytest.param((2000, 40, 5), id="rare"),
        pytest.param((40, 40, 40, 0), id="class-without-patches"),
    ],
)
def test_it_parts_what_lies_apart(counts: tuple[int, ...]) -> None:
    logits = fit(patches(*counts)).logits(features(*ROWS))
    assert logits.shape == (len(counts), 2, 3)
    assert logits.argmax(axis=0).tolist() == list(ROWS)
    assert np.isfinite(logits).all()


def test_the_same_bits_every_time() -> None:
    first, again = fit(patches(50, 20)), fit(patches(50, 20))
    assert first.weight.tobytes() == again.weight.tobytes()
    assert first.bias.tobytes() == again.bias.tobytes()


def test_soft_targets_are_learned_as_shares() -> None:
    tokens = np.repeat(np.eye(CHANNELS, dtype=np.float32)[:2], 50, axis=0)
    targets = np.repeat(np.array([[0.8, 0.2], [0.2, 0.8]], np.float32), 50, axis=0)
    model = fit(Patches(tokens, targets, np.ones(100, np.float32)), penalty=1e-6)
    logits = tokens[[0, -1]] @ model.weight.T + model.bias
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances, targets[[0, -1]], atol=0.02)


def test_weightless_patches_teach_nothing() -> None:
    tokens = np.repeat(np.eye(CHANNELS, dtype=np.float32)[:2], 20, axis=0)
    right = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    weights = np.concatenate([np.ones(40), np.zeros(40)]).astype(np.float32)
    both = Patches(np.tile(tokens, (2, 1)), np.concatenate([right, right[:, ::-1]]), weights)
    only, all_ = fit(Patches(tokens, right, weights[:40])), fit(both)
    np.testing.assert_allclose(all_.weight, only.weight, rtol=1e-2, atol=1e-3)


def test_a_stronger_penalty_is_less_sure() -> None:
    sizes = [np.abs(fit(patches(40, 40), penalty).weight).sum() for penalty in (1e-3, 1e-2, 1e-1)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("share", "counts"),
    [
        pytest.param((90, 10), (0.75, 0.25), id="one class, half way to its equal share"),
        pytest.param((50, 40, 10), (0.5, 0.25, 0.25), id="classes alike"),
        pytest.param((80, 19, 1), (2 / 3, 1 / 6, 1 / 6), id="both"),
    ],
)
def test_how_much_background_and_classes_count(share: tuple[int, ...], counts: tuple[float, ...]) -> None:
    found = np.array(share) * logistic._importance(np.array(share, np.float32))
    np.testing.assert_allclose(found / found.sum(), counts, rtol=1e-5)


def test_a_rare_class_is_named_among_the_others() -> None:
    model = fit(patches(500, 200, 4, spread=1.0), 1e-1)
    odds = model.logits(features([2], spread=0)).ravel()
    assert odds[2] > odds[1]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(patches(20, 0), id="one-class-only"),
        pytest.param(
            replace(patches(10, 10), tokens=np.zeros((20, CHANNELS), np.float32)), id="tokens-alike"
        ),
        pytest.param(replace(patches(1, 1), tokens=1e4 * patches(1, 1).tokens), id="huge"),
    ],
)
def test_what_cannot_be_parted_stays_finite(given: Patches) -> None:
    assert np.isfinite(fit(given).logits(features([0, 1]))).all()


def test_saved_and_loaded_it_says_the_same() -> None:
    model, asked = fit(patches(20, 20, 20)), features(*ROWS)
    assert np.array_equal(Logistic.from_tensors(model.tensors()).logits(asked), model.logits(asked))
