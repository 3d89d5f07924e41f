"""Which regions are objects: the chance that a region covers one with IoU 0.5 or more.

One that covers an object under a wrong name counts too, for less: a name is mended with a click, while an
outline has to be drawn. Else a project of many classes that look alike would be shown next to nothing.

A small network on the numbers of `evidence.py`, learned from regions of labelled images whose maps came from
models that had not seen them: on maps of its own images a head would look better than it is. How much it
counts beside the emergent score and the class map is learned too (stacking: Wolpert 1992), from what it says
of images that it was not trained on; with too few of them the emergent score leads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.evidence import EMERGENT_COLUMN, MAP_COLUMN

VOICES = 3
"""Emergent score, class map, network."""
UNLEARNED = (1.0, 0.5, 0.0)
"""Their weights where there is too little to learn any from: a map of one image may be all wrong."""
HIDDEN = 24
MEMBERS = 3
STEPS = 400
REGIONS_MOST = 60_000
MISNAMED = 0.7
"""What a region is worth that covers an object of another class, of one that covers one of its own."""
LEAST_GOOD = 8
"""So many regions that are objects, and one that is none, are needed to learn from."""
CLIP = 5.0


@dataclass(frozen=True, slots=True)
class Network:
    """An ensemble of one-hidden-layer networks on standardised numbers, as plain arrays.

    Attributes:
        mean, scale: (F,).
        first: (m, F + 1, h), its last row the bias.
        second: (m, h + 1).
    """

    mean: FloatArray
    scale: FloatArray
    first: FloatArray
    second: FloatArray

    def log_odds(self, values: FloatArray) -> FloatArray:
        """(n, F) → (n,)."""
        standard = np.clip((values - self.mean) / self.scale, -CLIP, CLIP)
        hidden = np.tanh(np.einsum("nf,mfh->mnh", standard, self.first[:, :-1]) + self.first[:, None, -1])
        single = np.einsum("mnh,mh->mn", hidden, self.second[:, :-1]) + self.second[:, -1:]
        chance = np.clip((1 / (1 + np.exp(-single))).mean(axis=0), 1e-6, 1 - 1e-6)
        return np.asarray(np.log(chance / (1 - chance)), np.float32)


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores regions.

    Attributes:
        weights: (VOICES,) of each voice's log odds, none negative.
        offset: added to their sum, so that the score is the chance of being an object.
        network: None = too little to learn one from, and its weight is 0.
    """

    weights: FloatArray
    offset: float
    network: Network | None = None

    def score(self, values: FloatArray) -> FloatArray:
        """(n, F) → (n,) in [0, 1]."""
        learned = self.network.log_odds(values) if self.network else np.zeros(len(values), np.float32)
        total = _voices(values, learned) @ self.weights + np.float32(self.offset)
        return np.asarray(1 / (1 + np.exp(-total)), np.float32)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Plain arrays, as safetensors holds them."""
        mixed = {"weights": self.weights, "offset": np.array([self.offset], np.float32)}
        if self.network is None:
            return mixed
        net = self.network
        return {**mixed, "mean": net.mean, "scale": net.scale, "first": net.first, "second": net.second}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Quality:
        """What `to_tensors` gave.

        Raises:
            KeyError, IndexError: something is missing.
        """
        network = None
        if "first" in tensors:
            arrays = (np.asarray(tensors[n], np.float32) for n in ("mean", "scale", "first", "second"))
            network = Network(*arrays)
        return cls(np.asarray(tensors["weights"], np.float32), float(tensors["offset"][0]), network)


def worth(ious: FloatArray, misnamed: FloatArray) -> FloatArray:
    """(n,) in [0, 1]: what regions are worth to who would draw the objects otherwise.

    Args:
        ious: (n,) IoU with the best object of a region's class.
        misnamed: (n,) the same of any other class.
    """
    return np.asarray(np.maximum(_fit(ious), MISNAMED * _fit(misnamed)), np.float32)


def _fit(ious: FloatArray) -> FloatArray:
    """0.4 → 0 … 0.9 → 1.

    A hair above or below 0.5 is no different kind of region, and of two that are objects the one that fits
    better is ahead.
    """
    return np.asarray(np.clip((ious - 0.4) / 0.5, 0, 1), np.float32)


GOOD = float(_fit(np.array(0.5, np.float32)))
"""A region that is worth this is an object: its IoU is 0.5, or more under a wrong name."""


def fit(values: Sequence[FloatArray], worths: Sequence[FloatArray], seed: int = 0, folds: int = 5) -> Quality:
    """Learn from the regions of labelled images.

    Args:
        values: per image (n, F), from out-of-fold maps.
        worths: per image (n,), of each region.
        seed: of the first weights.
        folds: of the cross-validation over images that weighs the voices.
    """
    pairs = [(v, worth) for v, worth in zip(values, worths, strict=True) if len(v)]
    values, worths = [v for v, _ in pairs], [worth for _, worth in pairs]
    good = sum(int((worth >= GOOD).sum()) for worth in worths)
    if len(values) < 2 or not LEAST_GOOD <= good < sum(map(len, worths)):
        return Quality(np.array(UNLEARNED, np.float32), 0.0)
    fold = np.arange(len(values)) % min(folds, len(values))
    held_out: list[FloatArray] = [np.zeros(0, np.float32)] * len(values)
    for part in np.unique(fold):
        rest = [i for i in range(len(values)) if fold[i] != part]
        network = _learn([values[i] for i in rest], [worths[i] for i in rest], seed, members=1)
        for index in np.flatnonzero(fold == part):
            held_out[index] = network.log_odds(values[index])
    voices = _voices(np.concatenate(values), np.concatenate(held_out))
    weights, offset = _weigh(voices, np.concatenate(worths) >= GOOD, _shares(values))
    return Quality(weights, offset, _learn(values, worths, seed, MEMBERS))


def _voices(values: FloatArray, learned: FloatArray) -> FloatArray:
    """(n, VOICES) log odds."""
    emergent, by_map = values[:, EMERGENT_COLUMN], values[:, MAP_COLUMN]
    # the map parts what the emergent proposals have no opinion of
    chances = np.clip(np.stack([emergent + 0.02 * by_map, by_map]), 1e-3, 1 - 1e-3)
    return np.column_stack([*np.log(chances / (1 - chances)), learned]).astype(np.float32)


def _weigh(voices: FloatArray, hits: npt.NDArray[np.bool_], shares: FloatArray) -> tuple[FloatArray, float]:
    """Logistic regression; a voice that would count against is left out."""
    used = np.ones(VOICES, bool)
    while True:
        model = LogisticRegression(C=1.0).fit(voices[:, used], hits, sample_weight=shares)
        found = model.coef_[0]
        if (found >= 0).all() or used.sum() == 1:
            break
        used[np.flatnonzero(used)[int(found.argmin())]] = False
    weights = np.zeros(VOICES, np.float32)
    weights[used] = np.maximum(found, 1e-3)
    return weights, float(model.intercept_[0])


def _shares(values: Sequence[FloatArray]) -> FloatArray:
    """How much each region counts: an image with many counts for less than their number."""
    return np.concatenate([np.full(len(v), 1 / np.sqrt(len(v) + 1), np.float32) for v in values])


def _learn(values: Sequence[FloatArray], worths: Sequence[FloatArray], seed: int, members: int) -> Network:
    """Binary cross-entropy on what regions are worth."""
    numbers, target = np.concatenate(values), np.concatenate(worths)
    chance = _shares(values)
    rng = np.random.default_rng(seed)
    if len(numbers) > REGIONS_MOST:
        chosen = rng.choice(len(numbers), REGIONS_MOST, replace=False)
        numbers, target, chance = numbers[chosen], target[chosen], chance[chosen]
    mean, scale = numbers.mean(axis=0), numbers.std(axis=0) + np.float32(1e-3)
    standard = torch.from_numpy(np.clip((numbers - mean) / scale, -CLIP, CLIP).astype(np.float32))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = [
            _member(standard, torch.from_numpy(target), torch.from_numpy(chance)) for _ in range(members)
        ]
    first, second = (np.stack(part) for part in zip(*found, strict=True))
    return Network(mean.astype(np.float32), scale.astype(np.float32), first, second)


def _member(
    values: torch.Tensor, target: torch.Tensor, chance: torch.Tensor
) -> tuple[FloatArray, FloatArray]:
    hidden, out = nn.Linear(values.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    net = nn.Sequential(hidden, nn.Tanh(), nn.Dropout(0.1), out)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = torch.multinomial(chance, min(2048, len(chance)), replacement=True)
        loss = nn.functional.binary_cross_entropy_with_logits(net(values[chosen])[:, 0], target[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.inference_mode():
        first = torch.cat([hidden.weight.T, hidden.bias[None]]).numpy()
        second = torch.cat([out.weight[0], out.bias]).numpy()
    return first, second
