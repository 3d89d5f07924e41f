"""Training crops of given frames: turned, scaled, mirrored, and with the errors that a carried map has."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray

CROP = 160
"""Side of a crop in working pixels."""
_CELL = 8  # working pixels per value of the crop's token input


@dataclass(frozen=True, slots=True)
class Drawn:
    """One object in one given frame, ready to be cropped.

    Attributes:
        picture: (h, w, 3) float32, normalised, at working size.
        truth: (h, w) float32, how much of each working pixel is the object.
        tokens: (gh, gw, T) float32.
        coarse: (gh, gw) float32, how much of each patch is the object.
    """

    picture: FloatArray
    truth: FloatArray
    tokens: FloatArray
    coarse: FloatArray


def log_odds(shares: FloatArray) -> FloatArray:
    """Shares as the network sees them: log odds, about between -1.5 and 1.5."""
    certain = np.clip(shares, 0.01, 0.99)
    return np.asarray(np.log(certain / (1 - certain)) / 3, np.float32)


def carried(coarse: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A true coarse map with what propagation does to it: moved, bent, too sure or not sure enough."""
    gh, gw = coarse.shape
    bend = np.eye(2) + rng.normal(0, 0.05, (2, 2))
    centre = np.array([gw, gh]) / 2
    shift = centre - bend @ centre + rng.normal(0, 0.7, 2)
    warp = np.column_stack([bend, shift]).astype(np.float32)
    moved = np.asarray(
        cv2.warpAffine(coarse, warp, (gw, gh), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )
    rough = rng.normal(0, 1, coarse.shape).astype(np.float32)
    noise = np.asarray(cv2.GaussianBlur(rough, (0, 0), rng.uniform(0.7, 2)), np.float32)
    noise = noise / (noise.std() + 1e-6)
    blurred = np.asarray(cv2.GaussianBlur(moved, (0, 0), 1.0), np.float32)
    doubt = np.maximum(4 * blurred * (1 - blurred), 0.15)  # most errors are at the border
    odds = 3 * log_odds(moved) * rng.uniform(0.6, 1.3) + noise * rng.uniform(0, 2.5) * doubt
    return np.asarray(1 / (1 + np.exp(-odds)), np.float32)


def crop(drawn: Drawn, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
    """One random crop, mostly at the object.

    Returns:
        (4, CROP, CROP) colours and coarse map; (T + 1, CROP / 8, CROP / 8) tokens and coarse map;
        (CROP, CROP) truth.
    """
    coarse = carried(drawn.coarse, rng)
    gh, gw = coarse.shape
    rows, columns = np.nonzero(coarse > 0.3)
    if len(rows) == 0 or rng.random() < 0.15:
        rows, columns = np.divmod(np.arange(gh * gw), gw)
    pick = int(rng.integers(len(rows)))
    centre = np.array([(columns[pick] + rng.random()) / gw, (rows[pick] + rng.random()) / gh])
    zoom, angle, mirrored = np.exp(rng.uniform(-0.3, 0.3)), rng.normal(0, 8), rng.random() < 0.5

    def taken(values: FloatArray, side: int) -> FloatArray:
        """(h', w'[, C]), the whole frame at any resolution → (side, side[, C])."""
        height, width = values.shape[:2]
        scale = side / CROP * zoom * len(drawn.picture) / height
        at = centre * (width, height) - 0.5
        turned = cv2.getRotationMatrix2D((float(at[0]), float(at[1])), angle, float(scale))
        warp = np.asarray(turned, np.float64)
        warp[:, 2] += (side - 1) / 2 - at
        if mirrored:
            warp[0] = -warp[0]
            warp[0, 2] += side - 1
        return _warped(values, warp, side)

    small = CROP // _CELL
    odds = taken(log_odds(coarse), small)
    tokens = np.concatenate([taken(drawn.tokens, small).transpose(2, 0, 1), odds[None]])
    colours = taken(drawn.picture, CROP) * np.exp(rng.normal(0, 0.1)) + rng.normal(0, 0.15, 3)
    wide = cv2.resize(odds, (CROP, CROP), interpolation=cv2.INTER_LINEAR)
    picture = np.concatenate([colours.transpose(2, 0, 1), wide[None]])
    return picture.astype(np.float32), tokens.astype(np.float32), taken(drawn.truth, CROP)


def _warped(values: FloatArray, warp: npt.NDArray[np.float64], side: int) -> FloatArray:
    """cv2 warps four channels at a time."""
    layers = [values] if values.ndim == 2 else np.split(values, range(4, values.shape[2], 4), axis=2)
    parts = [
        cv2.warpAffine(
            np.ascontiguousarray(layer),
            warp,
            (side, side),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        for layer in layers
    ]
    if values.ndim == 2:
        return np.asarray(parts[0], np.float32)
    return np.concatenate([part.reshape(side, side, -1) for part in parts], axis=2, dtype=np.float32)
