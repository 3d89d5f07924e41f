"""What of a carried mask is the object, and what are specks that lie about."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks.rle import BoolMask

_PIECE = 0.1  # of the largest piece's area: counts wherever it is, as what something else hides in between
_BIT = 0.025  # the same, if it is near
_NEAR = 0.05  # of the side of the largest piece
_CRUMB = 0.02  # of the largest mask that was given of an object
_UNSURE = 0.2  # confidence


def without_specks(mask: BoolMask) -> BoolMask:
    """(H, W) → the pieces that belong to the object.

    Masks that were carried by comparing features have specks on what looks alike elsewhere in the picture.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask).view(np.uint8))
    pieces = stats[1:].astype(np.int64)  # x, y, width, height, area
    if len(pieces) < 2:
        return mask
    areas, starts = pieces[:, 4], pieces[:, :2]
    ends = starts + pieces[:, 2:4]
    largest = int(areas.argmax())
    gaps = np.maximum(starts - ends[largest], starts[largest] - ends).max(axis=1)
    near = gaps <= _NEAR * np.sqrt(np.prod(pieces[largest, 2:4]))
    kept = (areas >= _PIECE * areas[largest]) | (near & (areas >= _BIT * areas[largest]))
    return np.asarray(np.concatenate([[False], kept])[labels], bool)


def crumbs(
    labels: npt.NDArray[np.uint16], confidence: Mapping[int, float], areas: Mapping[int, int]
) -> BoolMask:
    """(H, W) where an object is found that is hardly there: what has left is still seen in many a corner.

    Args:
        labels: (H, W) ids, 0 = none.
        confidence: by id, in [0, 1].
        areas: by id, pixels of the largest mask that was given of it.
    """
    found = np.bincount(labels.ravel(), minlength=max(areas) + 1)
    nothing = [one for one, area in areas.items() if confidence[one] < _UNSURE and found[one] < _CRUMB * area]
    return np.asarray(np.isin(labels, nothing), bool)


def tight_box(mask: BoolMask) -> tuple[int, int, int, int] | None:
    """x, y, width, height around all that is set; None where nothing is."""
    x, y, w, h = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    return (x, y, w, h) if w else None


def object_box(mask: BoolMask) -> tuple[int, int, int, int] | None:
    """The same around the pieces that belong to the object: masks that people give may have specks too."""
    return tight_box(without_specks(mask))
