"""Tokens of one video, in a basis of its own: short enough to be compared and kept cheaply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray, unit_tokens

KEY_LENGTH = 96
"""Principal components of the last block's tokens that are compared between frames."""
MIDDLE_LENGTH = 64
"""Of each of the blocks in between."""
_WHITENING = 0.05  # of the mean variance: faint directions are not blown up


@dataclass(frozen=True, slots=True)
class Basis:
    """Principal directions of the given frames' tokens, in which all frames of the video are written.

    Attributes:
        blocks: per block (C, d), without centring, so that angles between tokens are kept.
        mean: (E,) of the tokens in `blocks`, side by side.
        white: (E, E) from there to uncorrelated components, the strongest first.
    """

    blocks: tuple[FloatArray, ...]
    mean: FloatArray
    white: FloatArray


@dataclass(frozen=True, slots=True)
class Tokens:
    """One frame's tokens in a `Basis`.

    Attributes:
        grid: (gh, gw).
        keys: (gh·gw, KEY_LENGTH) float32 at unit length, what frames are compared by.
        evidence: (gh·gw, E + 1) float32, all blocks, uncorrelated, the strongest first, and a one at the end.
    """

    grid: tuple[int, int]
    keys: FloatArray
    evidence: FloatArray


def find_basis(given: Sequence[Features]) -> Basis:
    """The basis for a video from its given frames, at least one."""
    layers = [_layers(features) for features in given]
    lengths = (KEY_LENGTH, *(MIDDLE_LENGTH for _ in layers[0][1:]))
    blocks = tuple(_principal([frame[i] for frame in layers], length) for i, length in enumerate(lengths))
    joint = np.concatenate([_project(frame, blocks) for frame in layers])
    mean = joint.mean(axis=0)
    centred = joint - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    white = vectors / np.sqrt(values + _WHITENING * values.mean() + 1e-12)
    return Basis(blocks, mean.astype(np.float32), white.astype(np.float32))


def projected(basis: Basis, features: Features) -> FloatArray:
    """One frame's tokens, of the same model, in the blocks' directions: (gh·gw, E), small enough to store."""
    return _project(_layers(features), basis.blocks)


def in_basis(basis: Basis, joint: npt.NDArray[np.floating], grid: tuple[int, int]) -> Tokens:
    """What `projected` gave, made ready to use."""
    values = joint.astype(np.float32)
    white = (values - basis.mean) @ basis.white
    ones = np.ones((len(white), 1), np.float32)
    keys = unit_tokens(values[:, : basis.blocks[0].shape[1]])
    return Tokens(grid, keys, np.concatenate([white, ones], axis=1))


def _project(layers: Sequence[FloatArray], blocks: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([layer @ block for layer, block in zip(layers, blocks, strict=True)], axis=1)


def _layers(features: Features) -> list[FloatArray]:
    """(gh·gw, C) at unit length: of the last block, and of those between where they were computed."""
    length = features.tokens.shape[-1]
    flat: list[FloatArray] = [features.tokens.reshape(-1, length)]
    if features.middle is not None:
        between = features.middle.reshape(len(flat[0]), -1).astype(np.float32)
        flat += np.split(between, between.shape[1] // length, axis=1)
    return [unit_tokens(layer) for layer in flat]


def _principal(layers: Sequence[FloatArray], length: int) -> FloatArray:
    _, vectors = np.linalg.eigh(np.sum([layer.T @ layer / len(layer) for layer in layers], axis=0))
    return np.ascontiguousarray(vectors[:, ::-1][:, :length], np.float32)
