"""The box of an object that was carried, without the specks that lie about."""

from __future__ import annotations

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.video.tracks import Box

_PIECE = 0.1  # of the largest piece's area: counts wherever it is, as what something else hides in between
_BIT = 0.025  # the same, if it is near
_NEAR = 0.05  # of the side of the largest piece


def object_box(mask: BoolMask) -> Box | None:
    """The tight box around the pieces of a mask that belong to the object; None where nothing is set.

    Masks that were carried by comparing features have specks on what looks alike elsewhere in the picture. In
    the mask they are next to nothing, while a box around all of them says nothing of the object.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask).view(np.uint8))
    pieces = stats[1:].astype(np.int64)  # x, y, width, height, area
    if not len(pieces):
        return None
    areas, starts = pieces[:, 4], pieces[:, :2]
    ends = starts + pieces[:, 2:4]
    largest = int(areas.argmax())
    gaps = np.maximum(starts - ends[largest], starts[largest] - ends).max(axis=1)
    near = gaps <= _NEAR * np.sqrt(np.prod(pieces[largest, 2:4]))
    kept = (areas >= _PIECE * areas[largest]) | (near & (areas >= _BIT * areas[largest]))
    x, y = starts[kept].min(axis=0)
    right, bottom = ends[kept].max(axis=0)
    return float(x), float(y), float(right - x), float(bottom - y)
