"""Maps on the patch grid as pictures: heat, two-sided maps, principal components, segments.

All of them are brought to the picture's size while they are still real-valued, by bicubic interpolation, so
that what is drawn is as fine as what is known, and no finer.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray
from labeler_backend.masks.rle import BoolMask
from labeler_backend.report.drawing import RGBImage, color_of

Size = tuple[int, int]
IntArray = npt.NDArray[np.int32]

_MIN_TOKENS = 4  # fewer have no three principal components
# Moreland 2009, "Diverging Color Maps for Scientific Visualization": blue through grey to red.
_DIVERGING = np.array(((59, 76, 192), (141, 176, 254), (221, 221, 221), (244, 152, 122), (180, 4, 38)), float)


def upsample(values: FloatArray, size: Size) -> FloatArray:
    """(gh, gw) or (gh, gw, C) → (h, w) or (h, w, C) at `size` (w, h) in pixels, bicubic."""
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_CUBIC), np.float32)


def stretched(values: FloatArray, low: float = 1.0, high: float = 99.0) -> FloatArray:
    """Values over the first two axes scaled so that two percentiles come to 0 and 1; 0 where all are alike.

    What lies beyond the percentiles stays beyond [0, 1], to be clipped after upsampling: before it, every
    border would turn into steps as large as a patch.
    """
    bottom, top = np.percentile(values, (low, high), axis=(0, 1))
    span = np.where(top > bottom, top - bottom, np.inf)
    return np.asarray((values - bottom) / span, np.float32)


def heat(values: FloatArray, picture: RGBImage) -> RGBImage:
    """A map from little to much over the picture in grey: black through red to yellow (matplotlib's inferno).

    Args:
        values: (gh, gw).
        picture: (h, w, 3) uint8; the result has its size.
    """
    level = upsample(stretched(values), _size(picture)).clip(0, 1)
    bgr = cv2.applyColorMap(np.rint(255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return _shaded(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), picture)


def two_sided(values: FloatArray, picture: RGBImage) -> RGBImage:
    """A map with a sign over the picture in grey: blue below zero, red above, grey at zero.

    Args:
        values: (gh, gw); the largest 2 % saturate.
        picture: (h, w, 3) uint8; the result has its size.
    """
    reach = float(np.percentile(np.abs(values), 98)) or 1.0
    level = (upsample(values, _size(picture)) / reach).clip(-1, 1) * 0.5 + 0.5
    stops = np.linspace(0, 255, len(_DIVERGING))
    table = np.stack([np.interp(np.arange(256), stops, channel) for channel in _DIVERGING.T], axis=1)
    return _shaded(np.rint(table).astype(np.uint8)[np.rint(255 * level).astype(np.uint8)], picture)


def lit(values: FloatArray, picture: RGBImage) -> RGBImage:
    """The picture where a (gh, gw) map is above zero, dark elsewhere: (h, w, 3) uint8."""
    inside = cv2.GaussianBlur((upsample(values, _size(picture)) > 0).astype(np.float32), (0, 0), 1.0)
    return np.asarray(np.rint(picture * (0.15 + 0.85 * inside[..., None])), np.uint8)


def pca_rgb(tokens: FloatArray, where: BoolMask | None = None) -> FloatArray:
    """The first three principal components of the tokens as red, green and blue (Oquab et al. 2023, DINOv2).

    Each component is scaled between its 1st and 99th percentile. Its sign, which is arbitrary, is chosen so
    that the longer tail is bright: the same picture gives the same colours each time.

    Args:
        tokens: (gh, gw, C).
        where: (gh, gw), the patches to look at; None = all.

    Returns:
        (gh, gw, 3) float32, `stretched` to [0, 1] and a little beyond; 0 elsewhere, and everywhere if there
        are fewer than four patches.
    """
    chosen = np.ones(tokens.shape[:2], bool) if where is None else where
    colors = np.zeros((*tokens.shape[:2], 3), np.float32)
    rows = tokens[chosen].astype(np.float64)
    if len(rows) < _MIN_TOKENS or rows.shape[1] < 3:
        return colors
    centred = rows - rows.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    projected = centred @ directions[:, :-4:-1]
    tails = np.sign((projected**3).sum(axis=0))
    colors[chosen] = stretched((projected * np.where(tails < 0, -1, 1))[None].astype(np.float32))[0]
    return colors


def pca_picture(tokens: FloatArray, size: Size, where: BoolMask | None = None) -> RGBImage:
    """`pca_rgb` at `size` (w, h) in pixels, black outside of `where`: (h, w, 3) uint8."""
    colors = pca_rgb(tokens, where)
    large = upsample(colors, size)
    if where is not None:
        # What lies next to `where` is black, which would darken its border: weigh it out, then cut softly.
        share = upsample(where.astype(np.float32), size).clip(0, 1)
        inside = large / np.maximum(share, 0.35)[..., None]
        large = inside * ((share - 0.35) / 0.3).clip(0, 1)[..., None]
    return np.asarray(np.rint(255 * large.clip(0, 1)), np.uint8)


def paint_segments(labels: IntArray, picture: RGBImage) -> RGBImage:
    """Each segment in a colour of its own over the picture in grey, borders smooth.

    Args:
        labels: (gh, gw) from 0.
        picture: (h, w, 3) uint8; the result has its size.
    """
    count = int(labels.max()) + 1
    best = np.full(picture.shape[:2], -np.inf, np.float32)
    owner = np.zeros(picture.shape[:2], np.intp)
    for label in range(count):
        share = upsample((labels == label).astype(np.float32), _size(picture))
        owner[share > best] = label
        best = np.maximum(best, share)
    return _shaded(np.array([color_of(k) for k in range(count)], np.uint8)[owner], picture)


def side_by_side(pictures: Sequence[RGBImage], height: int, gap: int = 8) -> RGBImage:
    """Pictures in one row on white, each scaled to `height` pixels."""
    white = np.full((height, gap, 3), 255, np.uint8)
    row: list[RGBImage] = []
    for picture in pictures:
        width = max(1, round(picture.shape[1] * height / picture.shape[0]))
        shrinks = height < picture.shape[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        row += [white, np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)]
    return np.ascontiguousarray(np.hstack(row[1:]))


def compact_tokens(tokens: FloatArray, dimensions: int = 48) -> npt.NDArray[np.int8]:
    """Unit tokens in as few numbers as still give their cosine similarities, for a page to compute with.

    Args:
        tokens: (gh, gw, C).
        dimensions: at most so many; the leading singular vectors (Eckart, Young 1936).

    Returns:
        (gh·gw, d) int8; the dot product of two rows is proportional to the cosine of their tokens, nearly.
    """
    rows = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    _, directions = np.linalg.eigh(rows.T @ rows)
    reduced = rows @ directions[:, : -dimensions - 1 : -1]
    return np.asarray(np.rint(127 * reduced / max(float(np.abs(reduced).max()), 1e-9)), np.int8)


def _size(picture: RGBImage) -> Size:
    return picture.shape[1], picture.shape[0]


def _shaded(colors: RGBImage, picture: RGBImage) -> RGBImage:
    """Colours over the picture in grey: enough of it to see what lies where."""
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(colors, 0.68, grey, 0.32, 0), np.uint8)
