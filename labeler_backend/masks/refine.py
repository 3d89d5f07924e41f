"""Soft patch map → pixel mask: guided upsampling, and what the object's colours say at its border."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from labeler_backend.masks.guided import FloatImage, Guide, Window, apply, coefficients, make_guide, with_ones
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB

GUIDE_PIXELS = 6
"""Guide pixels per patch: fine enough for the edges, small enough to be quick at any image size."""
SIDE_LIMIT = 1536
"""Long side in pixels past which the full-size step works on a smaller picture."""
BINS = 16
COLOUR_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Canvas:
    """One image, prepared for refining many maps.

    Attributes:
        size: (H, W) of the image.
        grid: (gh, gw) of the maps that will come.
        picture: (h, w, 4) from `with_ones`, the image, not larger than SIDE_LIMIT.
        coarse, fine: guides at GUIDE_PIXELS per patch, with a wide and a narrow window.
        colours: (gh·GUIDE_PIXELS, gw·GUIDE_PIXELS) int32, the histogram bin of each guide pixel.
    """

    size: tuple[int, int]
    grid: tuple[int, int]
    picture: FloatImage
    coarse: Guide
    fine: Guide
    colours: npt.NDArray[np.int32]


def prepare(image: RGB, grid: tuple[int, int]) -> Canvas:
    """(H, W, 3) uint8 and the grid of its maps → `Canvas`."""
    height, width = image.shape[:2]
    shrink = min(1.0, SIDE_LIMIT / max(height, width))
    picture = image
    if shrink < 1:
        target = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        picture = np.asarray(cv2.resize(image, target, interpolation=cv2.INTER_AREA), np.uint8)
    guide_size = (grid[1] * GUIDE_PIXELS, grid[0] * GUIDE_PIXELS)
    small = np.asarray(cv2.resize(picture, guide_size, interpolation=cv2.INTER_AREA), np.uint8)
    guide = with_ones(small)
    return Canvas(
        (height, width),
        grid,
        with_ones(picture),
        make_guide(guide, radius=4),
        make_guide(guide, radius=2),
        colour_bins(small),
    )


def colour_bins(image: RGB) -> npt.NDArray[np.int32]:
    """CIELAB bins, each channel stretched to its own range: dim pictures use few levels."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    low, high = np.percentile(lab, (0.5, 99.5), axis=(0, 1))
    scaled = (lab - low) / np.maximum(high - low, 32) * (BINS - 1)
    bins = np.clip(scaled, 0, BINS - 1).astype(np.int32)
    return np.asarray((bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2], np.int32)


def colour_evidence(colours: npt.NDArray[np.int32], soft: FloatImage, clip: float = 2.0) -> FloatImage:
    """Log-likelihood ratio of each pixel's colour, object against its surroundings.

    Args:
        colours: (h, w) histogram bins.
        soft: (h, w) in [0, 1], how much each pixel belongs to the object.
        clip: largest |evidence| one pixel can give.

    Returns:
        (h, w) float32 in [-clip, clip].
    """
    flat, total = colours.ravel(), BINS**3
    shape = (BINS, BINS, BINS)
    inside = np.asarray(np.bincount(flat, soft.ravel(), total), np.float64).reshape(shape)
    outside = np.asarray(np.bincount(flat, np.maximum(1 - soft.ravel(), 0), total), np.float64).reshape(shape)
    prior = 3e-4  # a colour seen once says little
    ratio = np.log(_smoothed(inside) + prior) - np.log(_smoothed(outside) + prior)
    return np.asarray(np.clip(ratio, -clip, clip).astype(np.float32).ravel()[colours], np.float32)


def weighed(soft: FloatImage, evidence: FloatImage) -> FloatImage:
    """A soft map in [0, 1] with log-likelihood ratios added to its log odds."""
    certain = np.clip(soft, 0.02, 0.98)
    return np.asarray(1 / (1 + np.exp(-(np.log(certain / (1 - certain)) + evidence))), np.float32)


def _smoothed(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    for axis in range(3):
        counts = ndimage.convolve1d(counts, [0.25, 0.5, 0.25], axis=axis, mode="constant")
    return np.asarray(counts / max(float(counts.sum()), 1e-9), np.float64)


def refine(canvas: Canvas, soft: FloatImage) -> tuple[FloatImage, tuple[int, int]]:
    """A soft map on the patch grid → soft pixels, in the window where there is anything.

    Args:
        canvas: the image.
        soft: (gh, gw) in [0, 1].

    Returns:
        (h', w') float32 in [0, 1] on `canvas.picture`, and the window's (y, x) there. 0.5 is the border.
    """
    window = _window(soft, canvas.grid)
    rows, columns = (slice(s.start * GUIDE_PIXELS, s.stop * GUIDE_PIXELS) for s in window)
    guided = (rows, columns)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    wide = np.asarray(cv2.resize(soft[window], size, interpolation=cv2.INTER_LINEAR), np.float32)
    first = apply(coefficients(canvas.coarse, wide, guided), canvas.coarse.image[guided])
    evidence = colour_evidence(canvas.colours[guided], first)
    model = coefficients(canvas.fine, weighed(first, COLOUR_WEIGHT * evidence), guided)
    y0, y1, x0, x1 = _picture_window(window, canvas)
    return apply(model, canvas.picture[y0:y1, x0:x1]), (y0, x0)


def _window(soft: FloatImage, grid: tuple[int, int], margin: int = 3) -> Window:
    rows = np.flatnonzero((soft > 0.05).any(axis=1))
    columns = np.flatnonzero((soft > 0.05).any(axis=0))
    if not len(rows):
        return slice(0, grid[0]), slice(0, grid[1])
    return (
        slice(max(0, int(rows[0]) - margin), min(grid[0], int(rows[-1]) + 1 + margin)),
        slice(max(0, int(columns[0]) - margin), min(grid[1], int(columns[-1]) + 1 + margin)),
    )


def _picture_window(window: Window, canvas: Canvas) -> tuple[int, int, int, int]:
    height, width = canvas.picture.shape[:2]
    y0, y1 = _pixels(window[0], height / canvas.grid[0], height)
    x0, x1 = _pixels(window[1], width / canvas.grid[1], width)
    return y0, y1, x0, x1


def _pixels(patches: slice, scale: float, length: int) -> tuple[int, int]:
    """At least one pixel, even where the picture is smaller than its grid."""
    start = min(round(patches.start * scale), length - 1)
    return start, max(start + 1, min(round(patches.stop * scale), length))


def to_mask(canvas: Canvas, pixels: FloatImage, corner: tuple[int, int], keep: float = 0.05) -> BoolMask:
    """Soft pixels of a window → the mask at the image's full size, without specks.

    Args:
        canvas: the image.
        pixels: (h', w') from `refine`.
        corner: the window's (y, x) on `canvas.picture`.
        keep: parts smaller than this share of the largest one are dropped, and holes likewise filled.

    Returns:
        (H, W) bool; empty where nothing is above 0.5.
    """
    mask = np.zeros(canvas.size, bool)
    height, width = canvas.picture.shape[:2]
    y0, x0 = (round(c * s / p) for c, s, p in zip(corner, canvas.size, (height, width), strict=True))
    y1 = round((corner[0] + pixels.shape[0]) * canvas.size[0] / height)
    x1 = round((corner[1] + pixels.shape[1]) * canvas.size[1] / width)
    if pixels.shape != (y1 - y0, x1 - x0):
        pixels = np.asarray(
            cv2.resize(pixels, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR), np.float32
        )
    mask[y0:y1, x0:x1] = without_specks(pixels > 0.5, keep)
    return mask


def without_specks(mask: BoolMask, keep: float) -> BoolMask:
    """Drops parts below `keep` of the largest part, and fills holes below a tenth of that.

    Holes are filled later than parts are dropped, so that the gap between the legs of a person stays.
    """
    outlines, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if len(outlines) <= 1:
        return mask
    areas = np.array([cv2.contourArea(outline) for outline in outlines])
    holes = tree[0][:, 3] >= 0
    least = keep * float(areas[~holes].max())
    out = mask.astype(np.uint8)
    filled = [outlines[i] for i in np.flatnonzero(holes & (areas < 0.1 * least))]
    dropped = [outlines[i] for i in np.flatnonzero(~holes & (areas < least))]
    cv2.drawContours(out, dropped, -1, 0, cv2.FILLED)
    cv2.drawContours(out, filled, -1, 1, cv2.FILLED)  # after it: a speck in a small hole goes with the hole
    return out.astype(bool)
