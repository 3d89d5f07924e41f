"""Dense nearest neighbours among labelled patches: from one image on.

Source: Balažević et al. 2023, "Towards In-Context Scene Understanding" (soft votes of the nearest patches).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labeler_backend.backbone.features import Features, FloatArray, unit_tokens
from labeler_backend.heads.patches import Patches

NEIGHBOURS = 30
TEMPERATURE = 0.07
MEMORY = 20_000
"""At most so many patches: 15 MB of a small model's."""
PURE = 0.6
"""A patch of which no class holds this share teaches nothing."""
_BALANCE = 0.5
_FLOOR = 1e-3


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A memory of labelled patches.

    Attributes:
        memory: (n, C) float16 of unit length.
        votes: (n, K+1) float32.
    """

    memory: np.ndarray[Any, np.dtype[np.float16]]
    votes: FloatArray

    def logits(self, features: Features) -> FloatArray:
        """(K+1, gh, gw) float32: logarithms of the votes' shares."""
        tokens = unit_tokens(features.tokens.reshape(-1, features.tokens.shape[-1]))
        alike = tokens @ self.memory.astype(np.float32).T
        count = min(NEIGHBOURS, alike.shape[1])
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(alike, nearest, axis=1)
        power = np.exp((found - found.max(axis=1, keepdims=True)) / TEMPERATURE)
        votes = np.einsum("nk,nkc->nc", power, self.votes[nearest]) + _FLOOR
        shares = np.log(votes / votes.sum(axis=1, keepdims=True))
        return np.ascontiguousarray(shares.T.reshape(-1, *features.grid), np.float32)

    @property
    def channels(self) -> int:
        """That it looks at."""
        return int(self.memory.shape[1])

    def tensors(self) -> dict[str, Any]:
        """What is saved."""
        return {"memory": self.memory, "votes": self.votes}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Any]) -> Neighbours:
        """What was saved."""
        return cls(np.asarray(tensors["memory"], np.float16), np.asarray(tensors["votes"], np.float32))


def fit(patches: Patches, seed: int = 0) -> Neighbours:
    """Remembers patches that are mostly one class; where there are too many, a random part of them."""
    known = np.flatnonzero((patches.targets.max(axis=1) > PURE) & (patches.weights > 0))
    if not len(known):
        known = np.arange(len(patches.targets))
    if len(known) > MEMORY:
        known = np.sort(np.random.default_rng(seed).choice(known, MEMORY, replace=False))
    votes = patches.targets[known] * patches.weights[known, None]
    share = votes.sum(axis=0) / max(float(votes.sum()), 1e-9)
    votes = votes * np.maximum(share, 1e-4) ** -_BALANCE
    return Neighbours(unit_tokens(patches.tokens[known]).astype(np.float16), votes.astype(np.float32))
