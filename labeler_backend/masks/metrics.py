"""How alike two masks are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from labeler_backend.masks.rle import RLE, BoolMask

FloatArray = npt.NDArray[np.float64]

# COCO's ten thresholds.
AR_THRESHOLDS: tuple[float, ...] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def iou(a: BoolMask, b: BoolMask) -> float:
    """Intersection over union (Jaccard) of two (H, W) masks; 1 when both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def iou_matrix(a: Sequence[RLE], b: Sequence[RLE]) -> FloatArray:
    """IoU of every mask of `a` with every mask of `b`: (len(a), len(b)), without decoding them."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    pairs: FloatArray = np.asarray(coco_mask.iou(list(a), list(b), [0] * len(b)), dtype=np.float64)
    return pairs


def boundary_f(predicted: BoolMask, truth: BoolMask, bound: float = 0.008) -> float:
    """F measure of two masks' boundaries, as DAVIS defines it.

    Source: Perazzi et al. 2016, "A Benchmark Dataset and Evaluation Methodology for Video Object
        Segmentation".

    Args:
        predicted: (H, W).
        truth: (H, W).
        bound: how far apart boundaries may be and still match, as a share of the image's diagonal.
    """
    radius = math.ceil(bound * math.hypot(*truth.shape))
    ours, theirs = _boundary(predicted), _boundary(truth)
    n_ours, n_theirs = int(ours.sum()), int(theirs.sum())
    if n_ours == 0 or n_theirs == 0:
        return float(n_ours == n_theirs)
    precision = float((ours & _dilate(theirs, radius)).sum()) / n_ours
    recall = float((theirs & _dilate(ours, radius)).sum()) / n_theirs
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def recall_at(best_ious: npt.ArrayLike, threshold: float) -> float:
    """Share of objects whose best proposal has at least this IoU; NaN when there are no objects."""
    best = np.asarray(best_ious, dtype=np.float64)
    return float((best >= threshold).mean()) if best.size else math.nan


def average_recall(best_ious: npt.ArrayLike, thresholds: Sequence[float] = AR_THRESHOLDS) -> float:
    """Recall averaged over IoU thresholds (COCO's AR, 0.5:0.95) from every object's best IoU.

    Each object counts with its best proposal, without matching one to one: what matters to an annotator is
    whether a usable proposal is there.
    """
    return float(np.mean([recall_at(best_ious, t) for t in thresholds]))


def _boundary(mask: BoolMask) -> BoolMask:
    """DAVIS' one-pixel boundary: a pixel that differs from its right, lower or lower right neighbour."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    differs: BoolMask = (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])
    return differs


def _dilate(mask: BoolMask, radius: int) -> BoolMask:
    """All pixels within `radius` of a set one."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.uint8)
    grown: BoolMask = cv2.dilate(mask.astype(np.uint8), disk).astype(bool)
    return grown
