"""How large the backbone should see a video: larger where objects are too small or thin for its patches."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from labeler_backend.backbone.preprocess import target_size
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.propagate import SIZE

KEPT = 0.87
"""IoU with itself that a mask should have after it was written down patch by patch."""
TIMES = (1.0, 1.25, 1.5)
"""Of SIZE, what is tried. Past that a frame takes more than three times as long, and tokens get worse."""


def short_side(given: Iterable[LabelMap], patch: int, size: int = SIZE) -> int:
    """The short side in pixels at which the patches hold the given masks, or the largest there is.

    Args:
        given: (H, W) ids, 0 = none; the object that is held worst decides.
        patch: of the backbone, in pixels.
        size: the least.

    Returns:
        `size`, or up to half as much again, then a multiple of `patch`.
    """
    masks = [labels == one for labels in given for one in np.unique(labels) if one]
    for times in TIMES:
        tried = size if times == 1 else round(times * size / patch) * patch
        if all(_held(mask, tried, patch) >= KEPT for mask in masks):
            return tried
    return tried


def _held(mask: BoolMask, size: int, patch: int) -> float:
    """IoU of a mask (H, W) with what is left of it on the grid of patches."""
    height, width = mask.shape
    rows, columns = (side // patch for side in target_size((height, width), size, patch, "short"))
    shares = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return iou(cv2.resize(shares, (width, height), interpolation=cv2.INTER_CUBIC) > 0.5, mask)
