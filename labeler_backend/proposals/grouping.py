"""Small steps that several sources of proposals share."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray, unit_tokens
from labeler_backend.masks.rle import BoolMask


def parts(mask: BoolMask, smallest: int = 2) -> Iterator[BoolMask]:
    """The connected parts (4-neighbours) of a (gh, gw) mask that have at least `smallest` patches."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for index in range(1, count):
        if stats[index, cv2.CC_STAT_AREA] >= smallest:
            yield labels == index


def spherical_kmeans(
    vectors: FloatArray, groups: int, rounds: int = 20
) -> tuple[npt.NDArray[np.int32], FloatArray]:
    """k-means by cosine from farthest-first seeds: the same answer each time, whatever the number of threads.

    Args:
        vectors: (N, C); scaled to unit length here.
        groups: number of clusters, at most N.

    Returns:
        (N,) labels and (groups, C) unit centres.
    """
    unit = unit_tokens(vectors)
    mean = unit_tokens(unit.mean(axis=0))
    nearest = unit @ mean
    centres = []
    for _ in range(groups):
        centres.append(unit[int(np.argmin(nearest))])
        nearest = np.maximum(nearest if len(centres) > 1 else -1, unit @ centres[-1])
    centre = np.stack(centres)
    labels = np.argmax(unit @ centre.T, axis=1)
    for _ in range(rounds):
        for group in range(groups):
            if (labels == group).any():
                centre[group] = unit_tokens(unit[labels == group].mean(axis=0))
        new = np.argmax(unit @ centre.T, axis=1)
        if (new == labels).all():
            break
        labels = new
    return labels.astype(np.int32), centre
