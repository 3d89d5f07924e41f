"""From an image to what the model sees: size, resampling, normalisation."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.errors import WeightsError

PREPROCESSING_VERSION = 1
"""Raised whenever the same pixels reach the model as other numbers; cached features and heads carry it."""

UInt8Image = npt.NDArray[np.uint8]
Side = Literal["long", "short"]

# A panorama scaled by its short side would need memory with the square of its length.
_MAX_ASPECT = 8

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

logger = logging.getLogger("labeler_backend")


def target_size(image_size: tuple[int, int], size: int, patch: int, side: Side = "long") -> tuple[int, int]:
    """(h, w) in pixels the model sees: multiples of `patch`, at least one, the aspect kept within that.

    Args:
        image_size: (H, W) in pixels.
        size: what the side named by `side` becomes before rounding; scales down and up.
        patch: side of the model's patch in pixels.
        side: `short` limits the other side to 8 × `size`; beyond that the aspect gives way.

    Raises:
        ValueError: an empty image, or a size below one patch.
    """
    height, width = image_size
    if height < 1 or width < 1 or size < patch:
        raise ValueError(f"Cannot scale {height}×{width} to {size} in patches of {patch}.")
    scale = size / (max(image_size) if side == "long" else min(image_size))
    return _patches(height * scale, size, patch) * patch, _patches(width * scale, size, patch) * patch


def _patches(length: float, size: int, patch: int) -> int:
    return max(1, math.floor(min(length, _MAX_ASPECT * size) / patch + 0.5))


def resize(image: UInt8Image, input_size: tuple[int, int]) -> UInt8Image:
    """(H, W, 3) RGB → (h, w, 3); area averaging when shrinking (no aliasing), bicubic when growing."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"An image must be uint8 (H, W, 3), not {image.dtype} {image.shape}.")
    height, width = input_size
    if image.shape[:2] == input_size:
        return np.ascontiguousarray(image)
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(
        cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method), np.uint8
    )


@dataclass(frozen=True, slots=True)
class Normalisation:
    """input = pixel · scale + offset, per channel; pixel in 0…255."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def from_folder(cls, folder: Path) -> Normalisation:
        """From preprocessor_config.json; ImageNet's mean and std, with a warning, where it is missing.

        Raises:
            WeightsError: the file is there but cannot be used.
        """
        path = folder / "preprocessor_config.json"
        if not path.is_file():
            logger.warning("%s is missing: images are normalised with ImageNet's mean and std.", path)
            return cls._from_config({})
        try:
            return cls._from_config(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            raise WeightsError(f"{path} cannot be used ({error}): fetch the model again.") from error

    @classmethod
    def _from_config(cls, config: dict[str, Any]) -> Normalisation:
        rescale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
        if not config.get("do_normalize", True):
            return cls((rescale,) * 3, (0.0,) * 3)
        mean = [float(x) for x in config.get("image_mean", _IMAGENET_MEAN)]
        std = [float(x) for x in config.get("image_std", _IMAGENET_STD)]
        if len(mean) != 3 or len(std) != 3:
            raise ValueError("image_mean and image_std need three channels")
        return cls(tuple(rescale / s for s in std), tuple(-m / s for m, s in zip(mean, std, strict=True)))
