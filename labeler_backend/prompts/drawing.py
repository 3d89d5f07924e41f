"""Between the picture's pixels and the working grid."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from labeler_backend.masks.guided import apply, coefficients
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.reading import Mark
from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import FloatMap

DOT = 0.004
"""Radius, as a share of the long side, of what a mark sets where the finished mask says otherwise."""


def on_working_grid(scene: Scene, mark: Mark) -> Mark:
    """The same mark on the working grid."""
    (height, width), (h, w) = scene.size, scene.work
    return Mark(mark.x * w // width, mark.y * h // height, mark.positive)


def shrunk(scene: Scene, mask: BoolMask) -> FloatMap:
    """(H, W) bool → (h, w), how much of each working pixel it covers."""
    size = (scene.work[1], scene.work[0])
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32)


def to_pixels(scene: Scene, soft: FloatMap, before: BoolMask | None, marks: Sequence[Mark]) -> BoolMask:
    """Working grid → pixels by the guided filter. What changes hangs together with the last mark, and every
    mark is satisfied.

    Args:
        scene: the picture.
        soft: (h, w) in [0, 1].
        before: (H, W) bool, the answer before the last mark; None = there was none.
        marks: on the picture; may be empty, as for a box.
    """
    whole = (slice(0, scene.work[0]), slice(0, scene.work[1]))
    fine = apply(coefficients(scene.canvas.fine, soft, whole), scene.canvas.picture)
    size = (scene.size[1], scene.size[0])
    mask = np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR) > 0.5, bool)
    if marks:
        _dot(mask, marks[-1:])
        mask = _connected(mask, before, marks[-1])
        _dot(mask, marks)
    return mask


def _connected(mask: BoolMask, before: BoolMask | None, mark: Mark) -> BoolMask:
    """Only what hangs together with the mark: of the mask, or of its change where there was one before."""
    change = mask if before is None else mask ^ before
    _, labels = cv2.connectedComponents(change.view(np.uint8), connectivity=4 if before is None else 8)
    near = np.unique(labels[mark.y, mark.x])
    part = np.isin(labels, near[near > 0])
    return part if before is None else np.where(part, mask, before)


def _dot(mask: BoolMask, marks: Sequence[Mark]) -> None:
    """Sets, in place, a dot at each pixel of a mark that the mask does not satisfy."""
    radius = max(1, int(DOT * max(mask.shape)))
    for mark in marks:
        for x, y in zip(mark.x.tolist(), mark.y.tolist(), strict=True):
            if mask[y, x] != mark.positive:
                cv2.circle(mask.view(np.uint8), (x, y), radius, int(mark.positive), -1)
    for mark in marks:
        mask[mark.y, mark.x] = mark.positive
