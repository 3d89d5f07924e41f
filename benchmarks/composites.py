"""Videos of two objects that cross, of which one leaves, made from sequences of one object each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.media import RGB

LENGTH = 40
STAYS, LEAVES = 1, 2
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.uint16]
Clip = Sequence[tuple[RGB, Mask]]


@dataclass(frozen=True)
class Composite:
    """One made video: pictures, and the ids at each pixel of each."""

    images: list[RGB]
    labels: list[Labels]

    @property
    def left_at(self) -> int:
        """The first frame from which on the object that leaves is not seen any more."""
        return 1 + max(i for i, labels in enumerate(self.labels) if (labels == LEAVES).any())


def composite(stays: Clip, leaves: Clip, behind: Sequence[RGB], length: int = LENGTH) -> Composite:
    """Paste two cut-out objects on the frames of a third video.

    One goes from left to right and stays; the other comes from the right, passes behind the first in the
    middle and has left the picture to the left by three quarters of the video. Each keeps its own movement.
    """
    images, labels = [], []
    for t in range(length):
        image = behind[_swing(t, len(behind))].copy()
        ids = np.zeros(image.shape[:2], np.uint16)
        share = t / (length - 1)
        _paste(image, ids, leaves[_swing(t, len(leaves))], LEAVES, 0.78 - 1.4 * share)
        _paste(image, ids, stays[_swing(t, len(stays))], STAYS, 0.25 + 0.5 * share)
        images.append(image)
        labels.append(ids)
    return Composite(images, labels)


def _swing(t: int, count: int) -> int:
    """Forward and back again, so that a short video does not jump."""
    turn = t % max(1, 2 * count - 2)
    return turn if turn < count else 2 * count - 2 - turn


def _paste(image: RGB, ids: Labels, source: tuple[RGB, Mask], one: int, across: float) -> None:
    """One cut-out, 0.45 of the picture high at most, its middle at `across` of the width."""
    picture, mask = source
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    height, width = image.shape[:2]
    scale = min(
        0.45 * height / len(range(*box[0].indices(height))), 0.35 * width / (columns[-1] - columns[0] + 1)
    )
    size = (
        max(2, round((columns[-1] - columns[0] + 1) * scale)),
        max(2, round((rows[-1] - rows[0] + 1) * scale)),
    )
    cut = cv2.resize(picture[box], size, interpolation=cv2.INTER_AREA)
    soft = cv2.resize(mask[box].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    x, y = round(across * width - size[0] / 2), round(0.55 * height - size[1] / 2)
    x0, x1 = max(0, x), min(width, x + size[0])
    if x0 >= x1:
        return
    seen = (slice(y, y + size[1]), slice(x0, x1))
    part = (slice(None), slice(x0 - x, x1 - x))
    alpha = soft[part][..., None]
    image[seen] = (alpha * cut[part] + (1 - alpha) * image[seen]).round().astype(np.uint8)
    ids[seen][soft[part] > 0.5] = one
