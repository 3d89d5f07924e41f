"""What the object looks like against what is around it, learned from the answer itself in closed form.

The regions that emerge are only about right. Near the change, ridge regression on tokens and histograms of
colours are fitted to the answer as it stands, each pixel weighed by how sure it is, and their evidence is
added to its log odds: what looks like the other side goes over to it (as GrabCut does with colours alone:
Rother et al., SIGGRAPH 2004).
"""

from __future__ import annotations

import cv2
import numpy as np

from labeler_backend.masks.guided import Window
from labeler_backend.masks.refine import GUIDE_PIXELS, colour_evidence, weighed
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import FloatMap

TOKENS = 0.5
"""Say of the tokens' evidence."""
COLOURS = 0.3
"""Say of the colours' evidence."""
AROUND = 0.35
"""The window is the change with so much of its longer side around it, and two patches."""
SHARPNESS = 4.0
"""Turns least-squares scores, about -1 and 1, into log odds."""
CLIP = 2.0
RIDGE = 0.02
"""Regularisation, of the mean variance."""


def sharpened(scene: Scene, soft: FloatMap, change: BoolMask, first: bool = False) -> FloatMap:
    """The answer with evidence added near the change.

    Args:
        scene: the picture.
        soft: (h, w) in [0, 1], the answer with the change.
        change: (h, w) bool, not empty: where it changed.
        first: nothing but one mark is known; then colours say nothing, for they would take in the neighbours
            that are of a kind.
    """
    window = _window(change)
    evidence = TOKENS * _token_evidence(scene, soft, window)
    if not first:
        evidence += COLOURS * colour_evidence(scene.canvas.colours[window], soft[window])
    reach = np.ones((2 * GUIDE_PIXELS + 1, 2 * GUIDE_PIXELS + 1), np.uint8)
    near = cv2.dilate(change[window].view(np.uint8), reach) > 0
    out = soft.copy()
    out[window] = weighed(soft[window], np.where(near, evidence, np.float32(0)))
    return out


def _window(change: BoolMask) -> Window:
    """Whole patches around the change."""
    found = []
    extents = [np.flatnonzero(change.any(axis=1 - axis)) for axis in (0, 1)]
    margin = int(AROUND * max(one[-1] - one[0] + 1 for one in extents)) + 2 * GUIDE_PIXELS
    for one, length in zip(extents, change.shape, strict=True):
        first = max(0, int(one[0]) - margin) // GUIDE_PIXELS
        last = -(-min(length, int(one[-1]) + 1 + margin) // GUIDE_PIXELS)
        found.append(slice(first * GUIDE_PIXELS, last * GUIDE_PIXELS))
    return found[0], found[1]


def _token_evidence(scene: Scene, soft: FloatMap, window: Window) -> FloatMap:
    """Log odds by ridge regression on the window's tokens, both sides with the same weight."""
    rows, columns = (slice(one.start // GUIDE_PIXELS, one.stop // GUIDE_PIXELS) for one in window)
    tokens = scene.tokens[rows, columns]
    gh, gw, channels = tokens.shape
    share = cv2.resize(soft[window], (gw, gh), interpolation=cv2.INTER_AREA).ravel()
    seen = np.concatenate([tokens.reshape(gh * gw, channels), np.ones((gh * gw, 1), np.float32)], axis=1)
    sure = np.abs(2 * share - 1) + 1e-3
    weight = sure * (share / (1e-3 + sure @ share) + (1 - share) / (1e-3 + sure @ (1 - share)))
    weighted = (seen * weight[:, None]).T
    moments = weighted @ seen
    ridge = np.full(channels + 1, RIDGE * np.trace(moments[:-1, :-1]) / channels + 1e-9)
    ridge[-1] *= 0.01
    slopes = np.linalg.solve(moments + np.diag(ridge), weighted @ (2 * share - 1))
    odds = np.clip(SHARPNESS * (seen @ slopes), -CLIP, CLIP).astype(np.float32).reshape(gh, gw)
    size = (window[1].stop - window[1].start, window[0].stop - window[0].start)
    return np.asarray(cv2.resize(odds, size, interpolation=cv2.INTER_CUBIC), np.float32)
