"""Which regions are objects: the chance that a region covers one of its class with IoU 0.5 or more.

A small network on the numbers of `evidence.py`, learned from regions of labelled images whose maps came from
models that had not seen them: on maps of its own images a head would look better than it is. Whether it is
used at all is decided by cross-validation over images; with too few of them the emergent score and the class
map rank the regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import nn

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.evidence import EMERGENT_COLUMN, MAP_COLUMN

Ranking = Literal["emergent", "maps", "learned"]
RANKINGS: tuple[Ranking, ...] = ("emergent", "maps", "learned")
HIDDEN = 24
MEMBERS = 3
STEPS = 400
REGIONS_MOST = 60_000
GOOD = 0.5
LEAST_GOOD = 8
"""So many regions that are objects are needed to learn from."""
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
        ranking: what the score is made from.
        slope, offset: of its log odds, so that the score is the chance of being an object.
        network: where the ranking is learned.
    """

    ranking: Ranking
    slope: float
    offset: float
    network: Network | None = None

    def score(self, values: FloatArray) -> FloatArray:
        """(n, F) → (n,) in [0, 1]."""
        raw = _raw(self.ranking, self.network, values)
        return np.asarray(1 / (1 + np.exp(-(self.slope * raw + self.offset))), np.float32)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Plain arrays, as safetensors holds them."""
        facts = np.array([RANKINGS.index(self.ranking), self.slope, self.offset], np.float32)
        if self.network is None:
            return {"facts": facts}
        net = self.network
        return {
            "facts": facts,
            "mean": net.mean,
            "scale": net.scale,
            "first": net.first,
            "second": net.second,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Quality:
        """What `to_tensors` gave.

        Raises:
            KeyError, IndexError: something is missing.
        """
        ranking, slope, offset = (float(v) for v in tensors["facts"])
        network = None
        if RANKINGS[int(ranking)] == "learned":
            arrays = (np.asarray(tensors[n], np.float32) for n in ("mean", "scale", "first", "second"))
            network = Network(*arrays)
        return cls(RANKINGS[int(ranking)], slope, offset, network)


def fit(values: Sequence[FloatArray], ious: Sequence[FloatArray], seed: int = 0, folds: int = 3) -> Quality:
    """Learn from the regions of labelled images.

    Args:
        values: per image (n, F), from out-of-fold maps.
        ious: per image (n,), IoU of each region with the best object of its class.
        seed: of the first weights.
        folds: of the cross-validation over images that chooses the ranking.
    """
    pairs = [(v, iou) for v, iou in zip(values, ious, strict=True) if len(v)]
    values, ious = [v for v, _ in pairs], [iou for _, iou in pairs]
    count = len(values)
    good = sum(int((iou >= GOOD).sum()) for iou in ious)
    if count < 2 or good < LEAST_GOOD:
        return Quality("emergent", 1.0, 0.0)
    fold = np.arange(count) % min(folds, count)
    held_out: list[FloatArray] = [np.zeros(0, np.float32)] * count
    for part in np.unique(fold):
        rest = [i for i in range(count) if fold[i] != part]
        network = _learn([values[i] for i in rest], [ious[i] for i in rest], seed, members=1)
        for index in np.flatnonzero(fold == part):
            held_out[index] = network.log_odds(values[index])
    raw: dict[Ranking, list[FloatArray]] = {
        "emergent": [_raw("emergent", None, v) for v in values],
        "maps": [_raw("maps", None, v) for v in values],
        "learned": held_out,
    }
    hits = np.concatenate([iou >= GOOD for iou in ious])
    precision = {name: average_precision_score(hits, np.concatenate(found)) for name, found in raw.items()}
    best = max(RANKINGS, key=lambda name: precision[name])
    slope, offset = _calibration(np.concatenate(raw[best]), hits)
    if best != "learned":
        return Quality(best, slope, offset)
    return Quality(best, slope, offset, _learn(values, ious, seed, MEMBERS))


def _raw(ranking: Ranking, network: Network | None, values: FloatArray) -> FloatArray:
    """(n,) log odds before calibration."""
    if network is not None:
        return network.log_odds(values)
    emergent, by_map = values[:, EMERGENT_COLUMN], values[:, MAP_COLUMN]
    chance = emergent + 0.02 * by_map if ranking == "emergent" else by_map + 0.02 * emergent
    chance = np.clip(chance, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(chance / (1 - chance)), np.float32)


def _calibration(raw: FloatArray, hits: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Platt's slope and offset; never a falling one."""
    if hits.all() or not hits.any():
        return 1.0, 0.0
    model = LogisticRegression(C=10.0).fit(raw[:, None], hits)
    slope = float(model.coef_[0, 0])
    return (slope, float(model.intercept_[0])) if slope > 0.05 else (1.0, 0.0)


def _learn(values: Sequence[FloatArray], ious: Sequence[FloatArray], seed: int, members: int) -> Network:
    """Binary cross-entropy on softened hits; an image with many regions counts for less than their number."""
    numbers, overlap = np.concatenate(values), np.concatenate(ious)
    # 0.4 → 0 … 0.7 → 1: a hair above or below 0.5 is no different kind of region
    target = np.clip((overlap - 0.4) / 0.3, 0, 1).astype(np.float32)
    chance = np.concatenate([np.full(len(v), 1 / np.sqrt(len(v) + 1)) for v in values])
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
