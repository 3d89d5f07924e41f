"""Tokens of several blocks, one beside the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labeler_backend.backbone.features import Features, unit_layers

RNG = np.random.default_rng(0)
LAST_ONLY = Features(
    RNG.normal(0, 3, (4, 5, 8)).astype(np.float32),
    np.zeros((1, 4, 5), np.float32),
    (56, 70),
    (56, 70),
    "made",
)


def test_layers_are_told_apart_and_at_unit_length() -> None:
    middle = RNG.normal(0, 2, (4, 5, 16)).astype(np.float16)
    layers = unit_layers(replace(LAST_ONLY, middle=middle))
    assert [layer.shape for layer in layers] == [(4, 5, 8)] * 3
    for layer, given in zip(layers, (LAST_ONLY.tokens, middle[..., :8], middle[..., 8:]), strict=True):
        np.testing.assert_allclose(np.linalg.norm(layer, axis=-1), 1, atol=1e-5)
        length = np.linalg.norm(given.astype(np.float32), axis=-1, keepdims=True)
        np.testing.assert_allclose(layer * length, given, atol=1e-2)


def test_features_of_before_have_the_last_alone() -> None:
    assert len(unit_layers(LAST_ONLY)) == 1
