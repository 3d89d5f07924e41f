"""Which of many overlapping masks to keep."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray


def suppress(
    masks: npt.NDArray[np.bool_], scores: FloatArray, *, overlap: float, most: int, first: int | None = None
) -> list[int]:
    """Greedy non-maximum suppression on mask IoU.

    Args:
        masks: (n, N) bool.
        scores: (n,) higher first; equal scores in the order given.
        overlap: IoU above which the lower one is dropped.
        most: how many to keep.
        first: one that is kept before all others.

    Returns:
        Indices, in the order kept.
    """
    order = [int(i) for i in np.argsort(-scores, kind="stable")]
    if first is not None:
        order.remove(first)
        order.insert(0, first)
    areas = masks.sum(axis=1).astype(np.float32)
    kept: list[int] = []
    chosen = np.zeros((max(1, min(most, len(order))), masks.shape[1]), np.float32)
    for index in order:
        if len(kept) >= most:
            break
        if kept:
            members = np.flatnonzero(masks[index])
            common = chosen[: len(kept), members].sum(axis=1)
            union = areas[kept] + areas[index] - common
            if (common > overlap * union).any():
                continue
        chosen[len(kept)] = masks[index]
        kept.append(index)
    return kept
