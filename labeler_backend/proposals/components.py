"""Objects smaller than a patch: token groups give the appearance, pixels give the shapes.

Where objects are about as small as a patch (cells, pills on a table, birds in the sky), a region of tokens
is no longer one object. Tokens still tell *what is of one kind*. So: group the tokens, bring each group's
soft map to pixels with the guided filter, let the group's colours sharpen it, and take the connected parts,
touching blobs parted by the watershed of their distance map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from labeler_backend.backbone.features import FloatArray, unit_tokens
from labeler_backend.masks.guided import FloatImage, apply, coefficients, make_guide, with_ones
from labeler_backend.masks.refine import colour_bins, colour_evidence, weighed
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.proposals.grouping import spherical_kmeans
from labeler_backend.proposals.scoring import Evidence

GROUPS = (2, 3, 4)
WORK_SIDE = 1024
"""Long side in pixels on which shapes are found."""
SMALLEST = 20
"""Pixels there."""
LARGEST = 0.05
"""Share of the picture."""


FEW_PATCHES = 4.5
FAINT = 0.25
"""Below this size or this contrast (1 - cosine) of the best regions, objects are taken to be about as small
as a patch. Photographs of things lie above: mostly at 8 patches and more, and 0.3."""


@dataclass(frozen=True, slots=True)
class Component:
    """One connected part on the working picture.

    Attributes:
        mask: (h', w') bool inside `window`.
        window: rows and columns on the working picture.
        score: in [0, 1]: how sharply it stands out, times how solid it is.
    """

    mask: BoolMask
    window: tuple[slice, slice]
    score: float


def objects_are_small(evidence: Evidence, best: list[int], patches: int) -> bool:
    """Whether regions of tokens are too coarse here: the best are a few patches large, or hardly stand out.

    Args:
        evidence: of all candidates.
        best: the best of them, without near-duplicates.
        patches: in the picture.
    """
    if not best:
        return True
    size = float(np.median(evidence.size[best])) * patches
    return size < FEW_PATCHES or float(np.median(evidence.contrast[best])) < FAINT


def find_components(image: RGB, unit: FloatArray) -> tuple[list[Component], tuple[int, int]]:
    """Candidates by pixels.

    Args:
        image: (H, W, 3) uint8.
        unit: (gh, gw, C) tokens of unit length.

    Returns:
        The components, and (h, w) of the working picture they stand on.
    """
    scale = min(1.0, WORK_SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    guide = make_guide(with_ones(picture), radius=8)
    colours = colour_bins(picture)
    whole = (slice(0, size[1]), slice(0, size[0]))
    found: list[Component] = []
    for group in _group_maps(unit):
        soft = cv2.resize(group, size, interpolation=cv2.INTER_LINEAR)
        pixels = apply(coefficients(guide, np.asarray(soft, np.float32), whole), guide.image)
        evidence = colour_evidence(colours, np.clip(pixels, 0.02, 0.98), clip=3.0)
        pixels = apply(coefficients(guide, weighed(pixels, evidence), whole), guide.image)
        mask = pixels > 0.5
        if 0 < mask.mean() < 0.7:
            whole_blobs = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
            found.extend(_parts(np.asarray(whole_blobs, np.int32), pixels))
            found.extend(_parts(_parted(mask), pixels))
    return found, (size[1], size[0])


def _group_maps(unit: FloatArray, temperature: float = 0.05) -> Iterator[FloatArray]:
    """(gh, gw) per token group: how much nearer its centre is than any other."""
    height, width, channels = unit.shape
    tokens = unit.reshape(height * width, channels)
    for groups in GROUPS:
        if groups > len(tokens):
            return
        _, centres = spherical_kmeans(tokens, groups)
        similarity = tokens @ unit_tokens(centres).T
        for group in range(groups):
            margin = similarity[:, group] - np.delete(similarity, group, axis=1).max(axis=1)
            soft = 1 / (1 + np.exp(-margin / temperature))
            yield soft.reshape(height, width).astype(np.float32)


def _parted(mask: BoolMask) -> npt.NDArray[np.int32]:
    """Labels of blobs, touching ones parted by the watershed from the peaks of the distance map."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    distance = np.asarray(cv2.GaussianBlur(depth, (0, 0), 1.0), np.float32)
    reach = max(3, int(np.percentile(distance[mask], 90)))
    around = cv2.dilate(distance, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    peaks = (around == distance) & (distance > 1.5) & mask
    _, markers = cv2.connectedComponents(peaks.astype(np.uint8))
    labels: npt.NDArray[np.int32] = watershed(-distance, markers, mask=mask)
    return labels.astype(np.int32)


def _parts(labels: npt.NDArray[np.int32], pixels: FloatImage) -> Iterator[Component]:
    """Scored parts of one labelling, those too small or too large left out."""
    count = int(labels.max()) + 1
    areas = np.bincount(labels.ravel(), minlength=count)
    around = cv2.dilate(labels.astype(np.float32), np.ones((5, 5), np.uint8)).astype(np.int32)
    around[labels > 0] = 0
    inside, outside = _mean_by(labels, pixels, count), _mean_by(around, pixels, count)
    for index, window in enumerate(ndimage.find_objects(labels), start=1):
        if window is None or not SMALLEST <= areas[index] <= LARGEST * labels.size:
            continue
        mask = labels[window] == index
        contrast = max(0.0, float(inside[index] - outside[index]))
        yield Component(mask, window, contrast * _solidity(mask) ** 2)


def _mean_by(labels: npt.NDArray[np.int32], values: FloatImage, count: int) -> npt.NDArray[np.float64]:
    total = np.bincount(labels.ravel(), weights=values.ravel(), minlength=count)
    return np.asarray(total / np.maximum(np.bincount(labels.ravel(), minlength=count), 1))


def _solidity(mask: BoolMask) -> float:
    """Area over the area of its convex hull, both in whole pixels."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(outlines))
    # findContours runs through pixel centres: half the outline and one pixel are missing from the area
    covered = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    return float(min(1.0, mask.sum() / covered))
