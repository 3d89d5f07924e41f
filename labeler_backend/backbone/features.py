"""What the backbone says of one image: the only thing the rest of the product computes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Features:
    """One image's tokens and attention.

    Attributes:
        tokens: (gh, gw, C) float32, the last block's patch tokens after the final LayerNorm, not normalised.
        attention: (heads, gh, gw) float32, the last layer's [CLS] → patch attention per head. The softmax
            runs over all tokens, so a head sums to less than one: the rest went to prefix tokens.
        image_size: (H, W) of the upright image in pixels.
        input_size: (h, w) in pixels of what the model saw; h = gh·patch and w = gw·patch.
        model_key: identity of what computed this: model id, SHA-256 of the weights, dtype, preprocessing's
            version.
        middle: (gh, gw, M) float16, patch tokens as the blocks at half and three quarters of the depth leave
            them, side by side: outlines, texture and small things live there, while the last block's tokens
            know what something is. None where an earlier version of the program stored the features.
    """

    tokens: FloatArray
    attention: FloatArray
    image_size: tuple[int, int]
    input_size: tuple[int, int]
    model_key: str
    middle: HalfArray | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """(gh, gw): patches down and across."""
        return self.tokens.shape[0], self.tokens.shape[1]

    @property
    def patch(self) -> int:
        """Side of one patch in input pixels."""
        return self.input_size[0] // self.tokens.shape[0]


def unit_tokens(tokens: FloatArray) -> FloatArray:
    """(…, C) → the same at unit length."""
    length = np.linalg.norm(tokens, axis=-1, keepdims=True)
    return np.asarray(tokens / np.maximum(length, 1e-6), np.float32)


def layered(tokens: FloatArray, middle: HalfArray | None) -> FloatArray:
    """(…, C) and (…, M) → (…, C + M) float32, the last block's tokens first; (…, C) without middle ones."""
    if middle is None:
        return tokens
    return np.concatenate([tokens, middle], axis=-1, dtype=np.float32)


def unit_layers(features: Features) -> list[FloatArray]:
    """(gh, gw, C) at unit length each: of the last block, and of those between where they were computed."""
    length = features.tokens.shape[-1]
    layers: list[FloatArray] = [features.tokens]
    if features.middle is not None:
        between = features.middle.astype(np.float32)
        layers += np.split(between, between.shape[-1] // length, axis=-1)
    return [unit_tokens(layer) for layer in layers]
