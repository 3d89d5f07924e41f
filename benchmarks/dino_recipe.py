"""DINO's recipe for video objects as published, to be measured against (Caron et al. 2021, section 4.2.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from labeler_backend.backbone.features import Features, unit_tokens
from labeler_backend.media import RGB
from labeler_backend.video.propagate import Carried, Frames

LAST, BEST, RADIUS, TEMPERATURE = 7, 5, 12, 0.1


def dino_recipe(
    frames: Frames, given: Mapping[int, npt.NDArray[Any]], encode: Callable[[RGB], Features]
) -> Iterator[Carried]:
    """First and last 7 frames, the 5 patches most like it within 12, per-object min-max, bilinear, argmax.

    Every given frame replaces what was carried to it; the first of them is what stays in memory, as
    published, and nothing is carried backward.
    """
    ids = sorted({int(one) for labels in given.values() for one in np.unique(labels) if one})
    first: tuple[torch.Tensor, torch.Tensor] | None = None
    recent: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=LAST)
    gate: torch.Tensor | None = None
    for index in range(len(frames)):
        image = frames[index].image
        features = encode(image)
        keys = torch.from_numpy(unit_tokens(features.tokens).reshape(-1, features.tokens.shape[-1]))
        gate = _gate(features.grid) if gate is None else gate
        if index in given:
            labels = given[index].astype(np.uint16)
            entry = (keys, _one_hot(labels, ids, features.grid))
            first = first or entry
            recent.append(entry)
            yield _said(index, labels, ids)
        elif first is None:
            yield _said(index, np.zeros(image.shape[:2], np.uint16), ids)
        else:
            shares = _carried(keys, [first, *recent], gate)
            recent.append((keys, shares))
            yield _said(index, _labels(shares.numpy(), features.grid, image.shape[:2], ids), ids)


def _carried(
    keys: torch.Tensor, memory: Sequence[tuple[torch.Tensor, torch.Tensor]], gate: torch.Tensor
) -> torch.Tensor:
    alike = torch.cat([keys @ other.T + gate for other, _ in memory], dim=1)
    labels = torch.cat([labels for _, labels in memory])
    best, index = alike.topk(BEST, dim=1)
    weights = torch.softmax(best / TEMPERATURE, dim=1)
    return (weights[..., None] * labels[index]).sum(1)


def _gate(grid: tuple[int, int]) -> torch.Tensor:
    rows, columns = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    far = np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns)) > RADIUS
    return torch.from_numpy(np.where(far, -10.0, 0.0).astype(np.float32))


def _one_hot(labels: npt.NDArray[np.uint16], ids: Sequence[int], grid: tuple[int, int]) -> torch.Tensor:
    small = cv2.resize(labels, grid[::-1], interpolation=cv2.INTER_NEAREST).ravel()
    layers = np.stack([small == one for one in (0, *ids)], axis=1)
    return torch.from_numpy(layers.astype(np.float32))


def _labels(
    shares: npt.NDArray[np.float32], grid: tuple[int, int], size: tuple[int, ...], ids: Sequence[int]
) -> npt.NDArray[np.uint16]:
    layers = []
    for layer in np.moveaxis(shares.reshape(*grid, -1), -1, 0):
        full = cv2.resize(layer, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
        layers.append((full - full.min()) / max(float(full.max() - full.min()), 1e-9))
    chosen = np.stack(layers).argmax(axis=0)
    return np.asarray(np.array([0, *ids], np.uint16)[chosen], np.uint16)


def _said(index: int, labels: npt.NDArray[np.uint16], ids: Sequence[int]) -> Carried:
    there = frozenset(int(one) for one in np.unique(labels) if one)
    return Carried(index, labels, dict.fromkeys(ids, 1.0), there)
