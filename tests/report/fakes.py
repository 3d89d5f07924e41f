"""Features made of the colours of a real picture: no model, and yet something to see."""

from __future__ import annotations

import cv2
import numpy as np
from skimage import data as samples

from labeler_backend.backbone.features import Features
from labeler_backend.proposals.roles import HeadRoles
from labeler_backend.report.drawing import RGBImage

GRID = (20, 30)
PATCH = 16
ROLES = HeadRoles((0.5, 0.02, -0.4))


def picture() -> RGBImage:
    """(400, 600, 3), a cup on a table."""
    return np.asarray(samples.coffee())


def color_features(image: RGBImage) -> Features:
    """Tokens are mean colours, mixed into 8 numbers; heads look at what is red, grey and dark."""
    rows, columns = GRID
    small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    tokens = (small - small.mean(axis=(0, 1))) @ np.random.default_rng(0).normal(size=(3, 8))
    maps = np.stack([small[..., 0], 1 - small.std(axis=-1), 1 - small.mean(axis=-1)])
    attention = 0.9 * maps / maps.sum(axis=(1, 2), keepdims=True)
    return Features(
        tokens.astype(np.float32),
        attention.astype(np.float32),
        image.shape[:2],
        (rows * PATCH, columns * PATCH),
        "colors:0123456789ab:fp32:p1",
    )
