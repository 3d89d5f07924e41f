"""A box → how likely each working pixel inside belongs to its object."""

from __future__ import annotations

import cv2
import numpy as np

from labeler_backend.boxes import ellipse_in
from labeler_backend.masks.refine import weighed
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.looks import sharpened
from labeler_backend.prompts.prior import Region, votes
from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import FloatMap
from labeler_backend.prompts.walk import PRIOR, SEED, walk

TIGHT = 3.0
"""Say of how well a proposal's own box fits the one drawn."""
INSIDE = 1.0
"""Say of the share of a proposal that lies in the box."""
ROUNDS = 4
"""Of sharpening: the box says for certain what is ground, so that colours can be trusted sooner."""
UNLIKE = 2.0
"""Say of how unlike a proposal looks to what is outside the box."""
LOOSE = 0.1
"""Added to the fit: something thin, as a line, may span a box that the object hardly fills."""
ELLIPSE = 1e-6
"""Weight of the ellipse in the box, for where no proposal fits."""
PRECISE = 1.0
"""Say of how far all of a proposal stands out from the ground outside the box."""
COMPLETE = 0.5
"""Say of how much of what stands out in the box a proposal holds."""
REMOVING = 8.0
"""Say of a patch that looks like the ground outside."""
ADDING = 0.4
"""Say of a patch that does not: it is coarser than a proposal's outline."""
DOUBT = 0.1
"""The proposals' vote is held as far from certain, so that ground is heard against it."""
TRUSTED = 0.5
"""How far the proposals' vote must stand out for the ground to be heard in full: among things of a kind the
ground outside looks like the object."""
NEAREST = 3
"""Patches outside that a patch is compared with."""
APART = 1
"""Patches so near are not compared: all neighbours are alike."""
RIM = 4
"""Patches around the box that show how much of a kind the ground is."""
TYPICAL = 70
"""Percentile of the distances there that is still ground, and"""
CLEAR = 1.0
"""so many standard deviations past it a patch begins to stand out."""
CLIP = 2.0
"""Standard deviations past which a patch does not stand out any further."""
_FAR = np.float32(4)  # the distance, squared, of opposite unit tokens
_SPREAD_LEAST = 0.04


def boxed(scene: Scene, box: tuple[int, int, int, int]) -> FloatMap:
    """(h, w) in [0, 1], 0 outside.

    Args:
        scene: the picture.
        box: y0, x0, y1, x1 in pixels of it.
    """
    (height, width), (h, w) = scene.size, scene.work
    y0, x0 = box[0] * h // height, box[1] * w // width
    y1, x1 = max(y0 + 1, -(-box[2] * h // height)), max(x0 + 1, -(-box[3] * w // width))
    inside = np.zeros((h, w), bool)
    inside[y0:y1, x0:x1] = True
    found = [Region(ellipse_in((x0, y0, x1 - x0, y1 - y0), (h, w)), float(np.log(ELLIPSE)))]
    ground, standing = _look(scene, ~inside), standing_out(scene, inside)
    clear = np.clip(standing, -1, 1)
    everything = float(np.maximum(clear, 0)[inside].sum()) + 1e-6
    for mask, score in zip(scene.pool.masks, scene.pool.score.tolist(), strict=True):
        within = mask & inside
        if within.any():
            value = np.log(score + 1e-3) + TIGHT * np.log(_fit(within, (y0, x0, y1, x1)) + LOOSE)
            value += INSIDE * np.log(within.sum() / mask.sum() + 1e-3)
            unlike = float(((_look(scene, within) - ground) ** 2).sum()) / 2
            value += UNLIKE * np.log(unlike + 0.02) + PRECISE * float(clear[within].mean())
            value += COMPLETE * float(np.maximum(clear, 0)[within].sum()) / everything
            found.append(Region(within, float(value)))
    prior = votes(found)
    trust = np.float32(np.clip(np.average(standing, weights=prior + 1e-6) / TRUSTED, 0, 1))
    heard = trust * np.where(standing > 0, ADDING * standing, REMOVING * standing)
    prior = np.where(inside, weighed(np.clip(prior, DOUBT, 1 - DOUBT), heard), np.float32(0))
    for _ in range(ROUNDS):
        prior = np.where(inside, sharpened(scene, prior, inside), np.float32(0))
    weight = np.where(inside, np.float32(PRIOR), np.float32(SEED))
    return np.where(inside, walk(scene, prior, weight), np.float32(0))


def _look(scene: Scene, mask: BoolMask) -> FloatMap:
    """Mean token of what is set; of unit tokens, half the squared distance of two is about 1 - cosine."""
    gh, gw = scene.canvas.grid
    share = cv2.resize(mask.astype(np.float32), (gw, gh), interpolation=cv2.INTER_AREA)
    total = share.ravel() @ scene.tokens.reshape(share.size, -1)
    return np.asarray(total / max(float(share.sum()), 1e-6), np.float32)


def _fit(mask: BoolMask, box: tuple[int, int, int, int]) -> float:
    """IoU of a mask's own box, which lies inside, with the one drawn."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    own = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return float(own / ((box[2] - box[0]) * (box[3] - box[1])))


def standing_out(scene: Scene, inside: BoolMask) -> FloatMap:
    """How far each patch is from looking like the ground outside a box, wherever that lies.

    By its distance to the nearest of the tokens outside, in standard deviations of what the patches just
    outside have to the rest.

    Args:
        scene: the picture.
        inside: (h, w) bool, the box on the working grid.

    Returns:
        (h, w) in [-CLIP, CLIP]: below 0 = ground. 0 everywhere where hardly anything is outside,
        or the box is far less than a patch.
    """
    gh, gw = scene.canvas.grid
    box = cv2.resize(inside.astype(np.float32), (gw, gh), interpolation=cv2.INTER_AREA) > 0.05
    outside = np.flatnonzero(~box)
    if len(outside) <= NEAREST or not box.any():
        return np.zeros(inside.shape, np.float32)
    tokens = scene.tokens.reshape(gh * gw, -1)
    length = (tokens**2).sum(axis=1)
    far = length[:, None] + length[outside] - 2 * tokens @ tokens[outside].T
    y, x = (place.astype(np.int16) for place in np.divmod(np.arange(gh * gw), gw))
    near = (abs(y[:, None] - y[outside]) <= APART) & (abs(x[:, None] - x[outside]) <= APART)
    far[near] = _FAR
    distance = np.partition(far, NEAREST - 1, axis=1)[:, :NEAREST].mean(axis=1)
    around = cv2.dilate(box.view(np.uint8), np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)) > 0
    rim = distance[(around & ~box).ravel()]
    standing = (distance - np.percentile(rim, TYPICAL)) / (rim.std() + _SPREAD_LEAST) - CLEAR
    patches = np.clip(standing, -CLIP, CLIP).astype(np.float32).reshape(gh, gw)
    smooth = cv2.resize(patches, inside.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, -CLIP, CLIP), np.float32)
