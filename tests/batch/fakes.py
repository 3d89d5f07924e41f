"""A proposer without a model: Otsu's threshold on brightness, honest masks, a hundredth of the cost."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from labeler_backend.backbone.features import Features
from labeler_backend.heads.types import Answer
from labeler_backend.masks import rle
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

PATCH = 16


class OtsuProposer:
    """Connected parts of what is brighter than Otsu's threshold; tokens are the patches' mean colours."""

    fingerprint = "otsu"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return max(1, image_size[0] // PATCH), max(1, image_size[1] // PATCH)

    def encode(self, images: Sequence[RGB]) -> list[Features]:
        grids = {self.grid(image.shape[:2]) for image in images}
        assert len(grids) == 1, grids
        self.batches.append(len(images))
        return [self._features(image) for image in images]

    def answer(self, image: RGB, features: Features) -> Answer:
        found = self.propose(image, features)
        return Answer(tuple(found), max((one.score for one in found), default=0.0))

    def propose(self, image: RGB, features: Features) -> list[Proposal]:
        assert features.image_size == image.shape[:2]
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        _, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        n, parts, stats, _ = cv2.connectedComponentsWithStats(bright)
        areas = stats[1:n, cv2.CC_STAT_AREA]
        best = np.argsort(-areas, kind="stable")[:5]
        share = [float(areas[k]) / grey.size for k in best]
        return [
            Proposal(rle.encode(parts == k + 1), round(min(1.0, s), 6), "otsu")
            for k, s in zip(best, share, strict=True)
        ]

    def _features(self, image: RGB) -> Features:
        gh, gw = self.grid(image.shape[:2])
        tokens = cv2.resize(image, (gw, gh), interpolation=cv2.INTER_AREA).astype(np.float32)
        attention = np.full((1, gh, gw), 1 / (gh * gw), np.float32)
        return Features(tokens, attention, image.shape[:2], (gh * PATCH, gw * PATCH), "otsu")
