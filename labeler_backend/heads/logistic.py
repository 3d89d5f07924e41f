"""Multinomial logistic regression on tokens of several layers: from two images on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labeler_backend.backbone.features import Features, FloatArray, layered
from labeler_backend.heads.patches import Patches

_STEPS = 50


@dataclass(frozen=True, slots=True)
class Logistic:
    """A linear map of `layered` tokens to log odds.

    Attributes:
        weight: (K+1, C) float32; where it was learned without middle layers, of the last block's tokens.
        bias: (K+1,) float32.
    """

    weight: FloatArray
    bias: FloatArray

    def logits(self, features: Features) -> FloatArray:
        """(K+1, gh, gw) float32."""
        tokens = layered(features.tokens, features.middle)[..., : self.channels]
        found = tokens @ self.weight.T + self.bias
        return np.ascontiguousarray(np.moveaxis(found, -1, 0), np.float32)

    @property
    def channels(self) -> int:
        """That it looks at."""
        return self.weight.shape[1]

    def tensors(self) -> dict[str, FloatArray]:
        """What is saved."""
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Any]) -> Logistic:
        """What was saved."""
        return cls(np.asarray(tensors["weight"], np.float32), np.asarray(tensors["bias"], np.float32))


def fit(patches: Patches, penalty: float = 1e-3) -> Logistic:
    """Cross entropy with soft targets and an L2 penalty, by L-BFGS; the same bits every time.

    Args:
        patches: of all images.
        penalty: on the squared weights of standardised tokens, per unit of mean loss.
    """
    beside = layered(patches.tokens, patches.middle)
    mean, scale = beside.mean(axis=0), beside.std(axis=0) + 1e-6
    beside = beside - mean
    beside /= scale
    tokens = torch.from_numpy(beside)
    targets = torch.from_numpy(patches.targets)
    share = (patches.targets * patches.weights[:, None]).sum(axis=0)
    weights = torch.from_numpy(patches.weights * (patches.targets @ _importance(share)))
    weights = weights / weights.sum()
    count, channels = targets.shape[1], tokens.shape[1]
    parameters = torch.zeros(count, channels + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [parameters], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logits = tokens @ parameters[:, :-1].T + parameters[:, -1]
        entropy = -(targets * torch.log_softmax(logits, dim=1)).sum(dim=1)
        total = (weights * entropy).sum() + penalty * (parameters[:, :-1] ** 2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    found = parameters.detach().numpy()
    weight = found[:, :-1] / scale
    return Logistic(weight.astype(np.float32), (found[:, -1] - weight @ mean).astype(np.float32))


def _importance(share: FloatArray) -> FloatArray:
    """(K+1,) how much a patch of the background and of each class counts, from how much there is of each.

    Background and figure half way to equal shares: with equal ones the figure comes out too fat. Within the
    figure classes count alike, else what is rare is never named.
    """
    parts = share / max(float(share.sum()), 1e-9)
    figure = max(float(parts[1:].sum()), 1e-6)
    within = (parts[1:] / figure).clip(1e-6)
    named = 1 / (len(within) * within)
    return np.asarray([max(float(parts[0]), 1e-6) ** -0.5, *(figure**-0.5 * named)], np.float32)
