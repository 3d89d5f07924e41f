"""Numbers per region that tell an object from a part of one, several, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.heads.candidates import CUT, EMERGENT, WHOLE, Region, overlaps
from labeler_backend.heads.outlines import COLUMNS, Level, outlines
from labeler_backend.heads.pairs import COARSE, Stack, shrunk_map, stack
from labeler_backend.heads.pixels import PixelMaps
from labeler_backend.heads.types import Sample
from labeler_backend.masks import rle
from labeler_backend.media import RGB

SAME = 0.93
"""IoU from which two regions are one."""
PIXEL_SHARE = 0.7
"""Of the pixel map in a region's class; the rest is the token map's."""
SPREAD_LEAST = 0.3
"""Of log areas: labelled objects are never taken to be more alike than that."""
EMERGENT_COLUMN, MAP_COLUMN = 0, 1
"""Columns that rank regions without having learned anything: by the emergent score, by the maps."""
FAINT = 0.02
"""Mean chance that a region's pixels are of any class, below which it is none and is not looked at."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the labelled objects are: log of the share of the picture, per class.

    Attributes:
        middle: (K,) median.
        spread: (K,) standard deviation.
    """

    middle: FloatArray
    spread: FloatArray


@dataclass(frozen=True, slots=True)
class Table:
    """Regions of one image without near-duplicates, and what is known of each.

    Attributes:
        regions: n of them.
        values: (n, F) float32.
        classes: (n,) index of the likeliest class, 0 = the first after the background.
        members: their windows.
        shared: (n, n) pixels in common.
    """

    regions: tuple[Region, ...]
    values: FloatArray
    classes: npt.NDArray[np.int64]
    members: Stack
    shared: FloatArray


def sizes_of(samples: Sequence[Sample], classes: Sequence[str]) -> Sizes:
    """Sizes of labelled objects; a class with few borrows spread from all, one with none takes all."""
    logs: dict[str, list[float]] = {name: [] for name in classes}
    for sample in samples:
        pixels = sample.features.image_size[0] * sample.features.image_size[1]
        for label, mask in zip(sample.labels, sample.masks, strict=True):
            if label in logs:
                logs[label].append(float(np.log(max(rle.area(mask), 1) / pixels)))
    everything = [value for values in logs.values() for value in values] or [np.log(0.05)]
    middle = [np.median(values or everything) for values in logs.values()]
    common = float(np.var(everything))
    spread = [
        np.sqrt(((np.var(v) * len(v) if v else 0.0) + 2 * common) / (len(v) + 2)) for v in logs.values()
    ]
    return Sizes(np.asarray(middle, np.float32), np.maximum(spread, SPREAD_LEAST).astype(np.float32))


def measure(
    image: RGB,
    features: Features,
    class_map: FloatArray,
    maps: PixelMaps,
    regions: Sequence[Region],
    sizes: Sizes,
) -> Table:
    """All numbers of all regions of one image.

    Args:
        image: (H, W, 3) uint8; any size with the picture's aspect.
        features: of it.
        class_map: (K+1, gh, gw) token probabilities, background first.
        maps: of the pixel head.
        regions: from `gather`.
        sizes: of the labelled objects.
    """
    members = stack([region.window for region in regions], maps.size)
    inside, classes = _inside(members, maps, class_map)
    seen = np.flatnonzero(inside[:, 0] >= FAINT) if len(regions) else np.zeros(0, np.int64)
    members, regions = members.chosen(seen), [regions[i] for i in seen]
    shared = members.shared(members)
    alike = overlaps(shared, members.areas, members.areas)
    source = np.array([region.source for region in regions], np.int64)
    emergent = np.array([r.proposal.score if r.proposal else 0.0 for r in regions], np.float32)
    keep = _distinct(alike)
    common = np.column_stack(
        [
            np.where(alike[keep] > 0.7, alike[keep] * emergent, 0).max(axis=1, initial=0),
            np.log1p((alike[keep] > 0.8) @ (source <= CUT)),
            np.where(source == WHOLE, alike[keep], 0).max(axis=1, initial=0),
            source[keep] >= EMERGENT,
            source[keep] == WHOLE,
        ]
    ).reshape(len(keep), 5)
    kept, members, shared = [regions[i] for i in keep], members.chosen(keep), shared[np.ix_(keep, keep)]
    inside, classes = inside[seen[keep]], classes[seen[keep]]
    shape = _around(members, maps, image, classes)
    size = np.log(np.maximum(members.areas, 1) / maps.depth.size)
    off = (size - sizes.middle[classes]) / sizes.spread[classes] if len(kept) else size
    nested = (shared / np.maximum(members.areas, 1)[:, None] > 0.85) & (
        members.areas[:, None] < 0.75 * members.areas[None]
    )
    by_map = np.clip(inside[:, 1] - shape[:, 0], 0, 1) * shape[:, 8] if len(kept) else size
    values = np.column_stack(
        [
            # from an even chance on the maps agree: asking for more prefers the surest part to the whole
            common[:, 0] * np.minimum(2 * inside[:, 1], 1),
            by_map,
            common,
            inside,
            shape,
            inside[:, 0] - shape[:, 0],
            shape[:, 1] - shape[:, 2],
            np.column_stack([off, np.abs(off), np.minimum(off, 0) ** 2, np.maximum(off, 0) ** 2, size]),
            np.log1p(nested.sum(axis=0)),
            np.log1p(nested.sum(axis=1)),
        ]
    )
    return Table(tuple(kept), values.astype(np.float32), classes, members, shared)


def _distinct(alike: FloatArray) -> npt.NDArray[np.int64]:
    """The first of each set of near-duplicates."""
    alive, keep = np.ones(len(alike), bool), []
    for index in range(len(alike)):
        if alive[index]:
            keep.append(index)
            alive &= ~(alike[index] > SAME)
    return np.array(keep, np.int64)


def _inside(
    members: Stack, maps: PixelMaps, class_map: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Means of the maps inside the regions, and each region's likeliest class."""
    size, count = (maps.size[1] // COARSE, maps.size[0] // COARSE), len(maps.classes)
    figure = 1 - maps.classes[0]
    means = members.means([*maps.classes, figure**2, maps.depth])
    # a patch is wider than a cell
    tokens = [np.asarray(cv2.resize(c, size, interpolation=cv2.INTER_LINEAR), np.float32) for c in class_map]
    token = members.rough_means(tokens)
    pixel = means[:, :count]
    chance = PIXEL_SHARE * pixel[:, 1:] + (1 - PIXEL_SHARE) * token[:, 1:]
    classes = chance.argmax(axis=1)
    each = np.arange(len(classes))
    inner = 1 - pixel[:, 0]
    return np.column_stack(
        [
            inner,
            chance[each, classes],
            chance[each, classes] / np.maximum(chance.sum(axis=1), 1e-4),
            np.sqrt(np.maximum(means[:, -2] - inner**2, 0)),
            means[:, -1],
            1 - token[:, 0],
            token[each, 1 + classes],
        ]
    ).astype(np.float32), classes


def _levels(image: RGB, maps: PixelMaps) -> tuple[Level, Level]:
    """At the working size, and COARSE times smaller."""
    if image.shape[:2] != maps.size:
        image = np.asarray(cv2.resize(image, maps.size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    # as the network sees it, but for a factor
    low, high = map(float, np.percentile(image[::4, ::4], (1, 99.5)))
    grey = cv2.transform(image.astype(np.float32), np.full((1, 3), 1 / 3, np.float32))
    grey = cv2.GaussianBlur(np.minimum(grey, np.float32(high + (high - low) / 4)), (0, 0), 1.0)
    sides = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    steep = np.asarray(cv2.magnitude(*sides), np.float32)
    slope = steep / np.float32(steep.mean() + 5e-4 * max(high - low, 20))
    fine = Level(np.asarray(1 - maps.classes[0], np.float32), maps.depth, slope, maps.classes[1:])
    classes = np.stack([shrunk_map(one) for one in fine.classes])
    coarse = Level(shrunk_map(fine.figure), shrunk_map(fine.depth), shrunk_map(slope), classes)
    return fine, coarse


def _around(members: Stack, maps: PixelMaps, image: RGB, classes: npt.NDArray[np.int64]) -> FloatArray:
    """(n, 15): the ring, the outline and the shape of each region, large ones on the coarse level."""
    found = np.zeros((len(classes), COLUMNS), np.float32)
    for level, large in zip(_levels(image, maps), (False, True), strict=True):
        chosen = np.flatnonzero(members.large == large)
        found[chosen] = outlines([members.parts[i] for i in chosen], classes[chosen], level)
    return found
