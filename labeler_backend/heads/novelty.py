"""How unlike the images that were learned from an image is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeler_backend.backbone.features import Features, FloatArray, unit_tokens

MOST = 2000


@dataclass(frozen=True, slots=True)
class Novelty:
    """The images learned from, each as its mean token.

    Attributes:
        known: (n, C) float32 of unit length.
        usual: the usual distance (1 - cosine) of one of them to its nearest other.
    """

    known: FloatArray
    usual: float

    def of(self, features: Features) -> float:
        """In [0, 1]: 0 as near as one of the images learned from, 1 three times as far as is usual."""
        distance = 1 - float((self.known @ _mean(features)).max())
        return float(np.clip(distance / (3 * self.usual), 0, 1))

    def tensors(self) -> dict[str, Any]:
        """What is saved."""
        return {"novelty.known": self.known, "novelty.usual": np.array([self.usual], np.float32)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Any]) -> Novelty:
        """What was saved."""
        return cls(np.asarray(tensors["novelty.known"], np.float32), float(tensors["novelty.usual"][0]))


def learn(features: Sequence[Features]) -> Novelty:
    """Remembers up to MOST images; with one the usual distance is a guess."""
    known = np.stack([_mean(one) for one in features[:MOST]])
    alike = known @ known.T
    np.fill_diagonal(alike, -1)
    usual = float(np.median(1 - alike.max(axis=1))) if len(known) > 1 else 0.2
    return Novelty(known, max(usual, 1e-3))


def _mean(features: Features) -> FloatArray:
    return unit_tokens(features.tokens.reshape(-1, features.tokens.shape[-1]).mean(axis=0))
