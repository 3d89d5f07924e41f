"""Edge-aware upsampling: the fast guided filter with a colour guide.

He, Sun, Tang: Guided Image Filtering (TPAMI 2013); He, Sun: Fast Guided Filter (arXiv 1505.00996). The linear
coefficients are solved on a small guide and applied at full size, which is where the sharp edges come from.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
Window = tuple[slice, slice]


def _mean(values: FloatImage, radius: int) -> FloatImage:
    side = 2 * radius + 1
    return np.asarray(cv2.boxFilter(values, -1, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


@dataclass(frozen=True, slots=True)
class Guide:
    """What a guide image contributes, computed once per image.

    Attributes:
        image: (h, w, 4) float32, the small guide: colours in [0, 1] and a channel of ones.
        mean: (h, w, 4) its local mean.
        inverse: (6, h, w) rr, rg, rb, gg, gb, bb of the inverse of its regularised local covariance.
        radius: of the window, in guide pixels.
    """

    image: FloatImage
    mean: FloatImage
    inverse: FloatImage
    radius: int


def with_ones(image: npt.NDArray[np.uint8]) -> FloatImage:
    """(h, w, 3) uint8 → (h, w, 4) float32: colours in [0, 1] and ones: a·colour + b is one product."""
    rgba = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA))  # its alpha is 255
    return rgba.astype(np.float32) * np.float32(1 / 255)


def make_guide(image: FloatImage, radius: int, epsilon: float = 1e-4) -> Guide:
    """(h, w, 4) from `with_ones` → its `Guide`. A larger epsilon ignores fainter edges."""
    mean = _mean(image, radius)
    rr, rg, rb, gg, gb, bb = (
        _mean(image[..., a] * image[..., b], radius) - mean[..., a] * mean[..., b]
        for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
    cofactors = (
        gg * bb - gb * gb,
        rb * gb - rg * bb,
        rg * gb - rb * gg,
        rr * bb - rb * rb,
        rg * rb - rr * gb,
        rr * gg - rg * rg,
    )
    determinant = rr * cofactors[0] + rg * cofactors[1] + rb * cofactors[2]
    inverse = np.stack(cofactors) / np.maximum(determinant, 1e-12)
    return Guide(image, mean, inverse.astype(np.float32), radius)


def coefficients(guide: Guide, soft: FloatImage, window: Window) -> FloatImage:
    """Local linear model of `soft` in the guide's colours.

    Args:
        guide: of the whole image.
        soft: (h', w') float32, the map inside `window`.
        window: the part of the guide it covers, in guide pixels.

    Returns:
        (h', w', 4) float32: a per colour, and b.
    """
    mean = guide.mean[window]
    weighted = np.asarray(cv2.multiply(guide.image[window], cv2.merge([soft] * 4)), np.float32)
    moments = _mean(weighted, guide.radius)
    mean_soft = moments[..., 3]
    r, g, b = (moments[..., c] - mean[..., c] * mean_soft for c in range(3))
    rr, rg, rb, gg, gb, bb = guide.inverse[:, window[0], window[1]]
    slopes = (rr * r + rg * g + rb * b, rg * r + gg * g + gb * b, rb * r + gb * g + bb * b)
    offset = mean_soft - sum(slope * mean[..., c] for c, slope in enumerate(slopes))
    return _mean(cv2.merge([*slopes, offset]), guide.radius)


def apply(model: FloatImage, image: FloatImage) -> FloatImage:
    """The model (h', w', 4) at the size of `image` (H', W', 4), from `with_ones` → (H', W') in [0, 1]."""
    height, width = image.shape[:2]
    if model.shape[:2] != (height, width):
        model = np.asarray(cv2.resize(model, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    # cv2 adds up a short last axis several times as fast as numpy does
    total = cv2.transform(cv2.multiply(model, image), np.ones((1, 4), np.float32))
    return np.clip(np.asarray(total, np.float32), 0.0, 1.0)
