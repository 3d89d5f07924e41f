"""From the pixel head's maps and the emergent proposals to regions of which some are objects.

Where objects touch, no single threshold parts them all. So every plausible reading is offered: connected
parts at several thresholds, their watersheds at several smoothings of the distance to the outline, what is
of one class, in connected parts and as a whole (a pair of shoes may be one region or two), and what the
likeliest proposals have in common with the figure; `quality.py` says which reading is right, as component
trees are used for cells (Arteta et al. 2012, "Learning to Detect Cells Using Non-overlapping Extremal
Regions").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.emergence import SEEN
from labeler_backend.heads.pairs import COARSE, LARGE
from labeler_backend.heads.pixels import PixelMaps
from labeler_backend.heads.windows import Window, all_shrunk
from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal

READINGS: tuple[tuple[float, tuple[float, ...]], ...] = ((0.5, (1.0, 4.0)), (0.25, (4.0,)), (0.75, (1.0,)))
"""Thresholds, and the smoothings in pixels with which each is cut: a larger one cuts less."""
LEAST_AREA = 8
MOST = 2500
"""Regions of one image; further readings are left out past it."""

TRIM = 0.3
"""What is likelier than this to be figure stays of a proposal: its shadow, and the wall behind it, go."""

WHOLE, CUT, EMERGENT, TRIMMED = 0, 1, 2, 3
"""Where a region comes from: a connected part at the first threshold, any other reading, the proposals, or
what is left of them where the figure is."""


@dataclass(frozen=True, slots=True)
class Region:
    """One reading of a part of the picture.

    Attributes:
        window: the mask on the working picture; of a large one from the proposals, on its cells.
        source: WHOLE, CUT, EMERGENT or TRIMMED.
        proposal: the emergent one that it is, or was trimmed from; None where it is from the maps.
    """

    window: Window
    source: int
    proposal: Proposal | None = None


def gather(maps: PixelMaps, proposals: Sequence[Proposal]) -> list[Region]:
    """All regions of one image.

    Of near-duplicates the first is kept: so trimmed proposals come first, on which both agree, and whose
    outlines are better than either's; then what the maps say, then the proposals as they are.
    """
    found: list[Region] = []
    seen: set[tuple[int, ...]] = set()
    for source, labels in _readings(maps):
        if len(found) > MOST:
            break
        for window in _windows(labels):
            # the same blob, cut or not, at another threshold: told by its box and area
            key = (*window.corner, *window.mask.shape, window.area)
            if key not in seen:
                seen.add(key)
                found.append(Region(window, source))
    return _trimmed(maps, proposals) + found + _emergent(proposals, maps.size)


def _trimmed(maps: PixelMaps, proposals: Sequence[Proposal]) -> list[Region]:
    """The likeliest proposals, of each what is figure."""
    figure = maps.classes[0] < 1 - TRIM
    likeliest = proposals[:SEEN]
    windows = all_shrunk([p.rle for p in likeliest], maps.size)
    trimmed = [replace(window, mask=window.mask & figure[window.place]) for window in windows]
    return [
        Region(window, TRIMMED, proposal)
        for window, proposal in zip(trimmed, likeliest, strict=True)
        if window.area >= LEAST_AREA
    ]


def _emergent(proposals: Sequence[Proposal], size: tuple[int, int]) -> list[Region]:
    """Large ones only by their cells: nothing finer is asked of them."""
    found: list[Region] = []
    small, large = list[Proposal](), list[Proposal]()
    for proposal in proposals:
        full = proposal.rle["size"]
        wide = proposal.area * size[0] * size[1] >= LARGE * full[0] * full[1]
        (large if wide else small).append(proposal)
    for some, cell in ((small, 1), (large, COARSE)):
        windows = all_shrunk([p.rle for p in some], (size[0] // cell, size[1] // cell))
        found += [
            Region(replace(window, cell=cell), EMERGENT, proposal)
            for window, proposal in zip(windows, some, strict=True)
            if window.area >= LEAST_AREA
        ]
    return found


def _readings(maps: PixelMaps) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """Label maps (h, w), 0 = nothing; what is of one class before all cuts, so that none displaces it."""
    figure = 1 - maps.classes[0]
    whole = _connected(figure > READINGS[0][0])
    yield WHOLE, whole
    yield from ((CUT, labels) for labels in _named(maps))
    for number, (threshold, smoothings) in enumerate(READINGS):
        mask = figure > threshold
        if mask.any():
            labels = _connected(mask) if number else whole
            if number:
                yield CUT, labels
            yield from ((CUT, cut) for cut in _cuts(mask, labels, smoothings))


def _named(maps: PixelMaps) -> Iterator[npt.NDArray[np.int32]]:
    """Connected parts of one class, and every class as a whole; nothing where there is only one class."""
    if len(maps.classes) > 2:
        named = np.where(maps.classes[0] < 0.5, maps.classes[1:].argmax(axis=0) + 1, 0).astype(np.int32)
        yield np.asarray(label(named, background=0, connectivity=1), np.int32)
        yield named


def _connected(mask: BoolMask) -> npt.NDArray[np.int32]:
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1], np.int32)


def _cuts(
    mask: BoolMask, blobs: npt.NDArray[np.int32], smoothings: Sequence[float]
) -> Iterator[npt.NDArray[np.int32]]:
    """Watersheds of the blobs that have more than one peak of the distance to their outline."""
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    for smoothing in smoothings:
        smooth = np.asarray(cv2.GaussianBlur(distance, (0, 0), smoothing), np.float32)
        side = 2 * round(1.5 * smoothing) + 1
        peaks = (cv2.dilate(smooth, np.ones((side, side), np.uint8)) == smooth) & mask
        count, markers = cv2.connectedComponents(peaks.astype(np.uint8))
        owner = np.zeros(count, np.int32)
        at = np.flatnonzero(peaks)
        owner[markers.ravel()[at]] = blobs.ravel()[at]
        several = np.bincount(owner[1:], minlength=int(blobs.max()) + 1) > 1
        several[0] = False
        if several.any():
            part = several[blobs]
            yield np.asarray(watershed(-smooth, np.where(part, markers, 0), mask=part), np.int32)


def _windows(labels: npt.NDArray[np.int32]) -> Iterator[Window]:
    areas = np.bincount(labels.ravel())
    for index, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is not None and areas[index] >= LEAST_AREA:
            yield Window((place[0].start, place[1].start), labels[place] == index)


def overlaps(a: FloatArray, areas_a: FloatArray, areas_b: FloatArray) -> FloatArray:
    """IoU (n, m) from intersections (n, m) and areas."""
    return np.asarray(a / np.maximum(areas_a[:, None] + areas_b[None] - a, 1), np.float32)
