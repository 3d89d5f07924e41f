"""Patches of classes that lie apart."""

from __future__ import annotations

import numpy as np

from labeler_backend.backbone.features import Features
from labeler_backend.heads.patches import Patches
from tests.heads.made import MODEL

CHANNELS = 6


def patches(*counts: int, spread: float = 0.1, seed: int = 0, weight: float = 1.0) -> Patches:
    """So many of each class, background first; class k lies at 1 on axis k."""
    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(counts)), counts)
    tokens = np.eye(CHANNELS)[owner] + random.normal(0, spread, (len(owner), CHANNELS))
    targets = np.eye(len(counts), dtype=np.float32)[owner]
    return Patches(tokens.astype(np.float32), targets, np.full(len(owner), weight, np.float32))


def features(*rows: list[int], spread: float = 0.1, seed: int = 9, model_key: str = MODEL) -> Features:
    """A grid of patches, each of the class that stands there."""
    owner = np.array(rows)
    noise = np.random.default_rng(seed).normal(0, spread, (*owner.shape, CHANNELS))
    tokens = (np.eye(CHANNELS)[owner] + noise).astype(np.float32)
    size = (owner.shape[0] * 10, owner.shape[1] * 10)
    return Features(tokens, np.full((1, *owner.shape), 0.1, np.float32), size, size, model_key)
