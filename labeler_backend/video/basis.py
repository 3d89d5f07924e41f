"""Tokens of one video, in a basis of its own: short enough to be compared and kept cheaply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray, unit_layers, unit_tokens
from labeler_backend.media import RGB

LAST_LENGTH = 96
"""Principal components of the last block's tokens."""
MIDDLE_LENGTH = 64
"""Of each of the blocks in between."""
KEY_LENGTH = 64
"""Of all of it together, by which frames are compared."""
MIDDLE = 2.0
"""Length of what the blocks in between say in a key; the last block's is 1. That one says what a patch is of,
which for two objects of a kind, or one beside the other, is much the same; those before it, how it looks."""
COLOUR = 1.2
"""Length of a colour that is one spread from the mean."""
_SPREAD_LEAST = 5.0  # of 255
_WHITENING = 0.05  # of the mean variance: faint directions are not blown up


@dataclass(frozen=True, slots=True)
class Basis:
    """Principal directions of the given frames' tokens, in which all frames of the video are written.

    Attributes:
        blocks: per block (C, d), without centring, so that angles between tokens are kept.
        mean: (E,) of the tokens in `blocks`, side by side.
        white: (E, E) from there to uncorrelated components, the strongest first.
        colours: (2, 3) mean and spread of the patches' colours.
        keys: (E + 3, KEY_LENGTH) from what is compared to its principal components.
    """

    blocks: tuple[FloatArray, ...]
    mean: FloatArray
    white: FloatArray
    colours: FloatArray
    keys: FloatArray


@dataclass(frozen=True, slots=True)
class Tokens:
    """One frame's tokens in a `Basis`.

    Attributes:
        grid: (gh, gw).
        keys: (gh·gw, KEY_LENGTH at most) float32 at unit length, what frames are compared by.
        evidence: (gh·gw, E + 1) float32, all blocks, uncorrelated, the strongest first, and a one at the end.
    """

    grid: tuple[int, int]
    keys: FloatArray
    evidence: FloatArray


def find_basis(given: Sequence[tuple[RGB, Features]]) -> Basis:
    """The basis for a video from its given frames, at least one, (H, W, 3) uint8 each and its features."""
    layers = [_layers(features) for _, features in given]
    lengths = (LAST_LENGTH, *(MIDDLE_LENGTH for _ in layers[0][1:]))
    blocks = tuple(_principal([frame[i] for frame in layers], length) for i, length in enumerate(lengths))
    found = [_project(frame, blocks) for frame in layers]
    joint = np.concatenate(found)
    mean = joint.mean(axis=0)
    centred = joint - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    white = vectors / np.sqrt(values + _WHITENING * values.mean() + 1e-12)
    seen = np.concatenate([_colours(image, features.grid) for image, features in given])
    colours = np.stack([seen.mean(axis=0), seen.std(axis=0) + _SPREAD_LEAST]).astype(np.float32)
    compared = _compared(joint, blocks[0].shape[1], (seen - colours[0]) / colours[1])
    keys = _principal([compared], KEY_LENGTH)
    return Basis(blocks, mean.astype(np.float32), white.astype(np.float32), colours, keys)


def projected(basis: Basis, image: RGB, features: Features) -> FloatArray:
    """A frame (H, W, 3) uint8 and its features of the same model → (gh·gw, E + 3), small enough to store."""
    colours = (_colours(image, features.grid) - basis.colours[0]) / basis.colours[1]
    return np.concatenate([_project(_layers(features), basis.blocks), colours], axis=1)


def in_basis(basis: Basis, joint: npt.NDArray[np.floating], grid: tuple[int, int]) -> Tokens:
    """What `projected` gave, made ready to use."""
    values, colours = np.split(joint.astype(np.float32), [len(basis.mean)], axis=1)
    white = (values - basis.mean) @ basis.white
    ones = np.ones((len(white), 1), np.float32)
    keys = unit_tokens(_compared(values, basis.blocks[0].shape[1], colours) @ basis.keys)
    return Tokens(grid, keys, np.concatenate([white, ones], axis=1))


def _compared(joint: FloatArray, length: int, colours: FloatArray) -> FloatArray:
    """All that frames are compared by, weighted as it counts.

    Args:
        joint: (n, E) of all blocks.
        length: how many of E are the last block's.
        colours: (n, 3), of mean 0 and spread 1.

    Returns:
        (n, E + 3).
    """
    last, middle = np.split(joint, [length], axis=1)
    parts = [unit_tokens(last), MIDDLE * unit_tokens(middle), COLOUR / np.sqrt(3) * colours]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _colours(image: RGB, grid: tuple[int, int]) -> FloatArray:
    """(gh·gw, 3) mean colour of each patch, CIELAB as OpenCV writes it in bytes."""
    small = cv2.resize(image, grid[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32).reshape(-1, 3)


def _project(layers: Sequence[FloatArray], blocks: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([layer @ block for layer, block in zip(layers, blocks, strict=True)], axis=1)


def _layers(features: Features) -> list[FloatArray]:
    """Per block (gh·gw, C) at unit length."""
    return [layer.reshape(-1, layer.shape[-1]) for layer in unit_layers(features)]


def _principal(layers: Sequence[FloatArray], length: int) -> FloatArray:
    _, vectors = np.linalg.eigh(np.sum([layer.T @ layer / len(layer) for layer in layers], axis=0))
    return np.ascontiguousarray(vectors[:, ::-1][:, :length], np.float32)
