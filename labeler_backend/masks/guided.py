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
        image: (h, w, 3) float32 in [0, 1], the small guide.
        mean: (h, w, 3) its local mean.
        inverse: (h, w, 3, 3) inverse of its regularised local covariance.
        radius: of the window, in guide pixels.
    """

    image: FloatImage
    mean: FloatImage
    inverse: FloatImage
    radius: int


def make_guide(image: FloatImage, radius: int, epsilon: float = 1e-4) -> Guide:
    """(h, w, 3) float32 in [0, 1] → its `Guide`. A larger epsilon ignores fainter edges."""
    mean = _mean(image, radius)
    rr, rg, rb, gg, gb, bb = (
        _mean(image[..., a] * image[..., b], radius) - mean[..., a] * mean[..., b]
        for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
    inverse = np.empty((*image.shape[:2], 3, 3), np.float32)
    inverse[..., 0, 0] = gg * bb - gb * gb
    inverse[..., 1, 1] = rr * bb - rb * rb
    inverse[..., 2, 2] = rr * gg - rg * rg
    inverse[..., 0, 1] = inverse[..., 1, 0] = rb * gb - rg * bb
    inverse[..., 0, 2] = inverse[..., 2, 0] = rg * gb - rb * gg
    inverse[..., 1, 2] = inverse[..., 2, 1] = rg * rb - rr * gb
    determinant = rr * inverse[..., 0, 0] + rg * inverse[..., 0, 1] + rb * inverse[..., 0, 2]
    inverse /= np.maximum(determinant, 1e-12)[..., None, None]
    return Guide(image, mean, inverse, radius)


def coefficients(guide: Guide, soft: FloatImage, window: Window) -> FloatImage:
    """Local linear model of `soft` in the guide's colours.

    Args:
        guide: of the whole image.
        soft: (h', w') float32, the map inside `window`.
        window: the part of the guide it covers, in guide pixels.

    Returns:
        (h', w', 4) float32: a per colour, and b.
    """
    image, mean = guide.image[window], guide.mean[window]
    mean_soft = _mean(soft, guide.radius)
    covariance = _mean(image * soft[..., None], guide.radius) - mean * mean_soft[..., None]
    slope = np.einsum("hwij,hwj->hwi", guide.inverse[window], covariance)
    offset = mean_soft - np.einsum("hwi,hwi->hw", slope, mean)
    return _mean(np.dstack([slope, offset]).astype(np.float32), guide.radius)


def apply(model: FloatImage, image: FloatImage) -> FloatImage:
    """The model (h', w', 4) at the size of `image` (H', W', 3) float32 in [0, 1] → (H', W') in [0, 1]."""
    height, width = image.shape[:2]
    if model.shape[:2] != (height, width):
        model = np.asarray(cv2.resize(model, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return np.clip(np.einsum("hwi,hwi->hw", model[..., :3], image) + model[..., 3], 0.0, 1.0)
