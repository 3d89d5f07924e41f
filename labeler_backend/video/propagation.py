"""Labels carried from remembered frames to a new one, on the grid of patches: pure functions.

The recipe of DINO (Caron et al. 2021, section 4.2.3) and CRW (Jabri et al. 2020): a patch takes the labels of
the patches most like it in earlier frames. Here every remembered frame gives its own few candidates, labels
stay shares between 0 and 1, and nothing is stretched afterwards: an object that has left fades instead of
coming back as noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from labeler_backend.backbone.features import FloatArray
from labeler_backend.masks.rle import BoolMask

IntArray = npt.NDArray[np.int16]

PER_FRAME = 5
"""Candidates from every remembered frame: a long memory of look-alikes must not silence the others."""
CANDIDATES = 10
"""The best of all of them, which vote."""
TEMPERATURE = 0.1
REACH = 12
"""Patches across and down that an object moves at most between a remembered frame and the new one."""
MARGIN = 4
"""Patches around the objects that are remembered of a frame nobody gave."""
PRESENT = 0.5
"""Share of at least one patch that an object needs to count as there."""
_FAR = -5.0  # below any cosine


@dataclass(frozen=True, slots=True)
class Known:
    """Patches of one frame whose labels are known.

    Attributes:
        keys: (n, d) float32 at unit length.
        labels: (n, K + 1) float32 shares, background first.
        places: (n, 2) int16, row and column on the grid.
        reach: patches, across and down, within which it is compared; None = anywhere.
    """

    keys: FloatArray
    labels: FloatArray
    places: IntArray
    reach: int | None


def given_frame(keys: FloatArray, labels: FloatArray) -> Known:
    """All of a frame that a person gave: (gh·gw, d) at unit length, and (gh, gw, K + 1) shares.

    It is compared with whatever is asked, however far an object has moved since.
    """
    gh, gw, channels = labels.shape
    return Known(keys, labels.reshape(-1, channels), places(np.arange(gh * gw), gw), None)


def passed_frame(
    keys: FloatArray, labels: FloatArray, doubtful: BoolMask | None = None, margin: int = MARGIN
) -> Known:
    """Of a frame gone through, the objects and so many patches around them; all of it where there is none.

    Args:
        keys: (gh·gw, d) at unit length.
        labels: (gh, gw, K + 1) shares.
        doubtful: (gh·gw,) patches that are not remembered; None = there are none.
        margin: in patches.
    """
    gh, gw, channels = labels.shape
    close = grown(labels[..., 0] < 0.95, margin).ravel()
    close = close if close.any() else np.ones(gh * gw, bool)
    chosen = np.flatnonzero(close if doubtful is None else close & ~doubtful)
    labelled = labels.reshape(-1, channels)[chosen]
    return Known(keys[chosen], labelled, places(chosen, gw), REACH)


def places(indices: npt.NDArray[np.intp], columns: int) -> IntArray:
    """Flat indices (n,) → (n, 2) row and column."""
    return np.stack(np.divmod(indices, columns), axis=1).astype(np.int16)


def grown(mask: BoolMask, patches: int) -> BoolMask:
    """(gh, gw) with every set patch spread by so many patches to all sides."""
    square = np.ones((2 * patches + 1, 2 * patches + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), square), np.uint8) > 0


def transfer(keys: FloatArray, where: IntArray, memory: Sequence[Known]) -> FloatArray:
    """Labels of new patches from those most like them.

    Args:
        keys: (n, d) at unit length, of the new frame.
        where: (n, 2) rows and columns of them.
        memory: at least one frame.

    Returns:
        (n, K + 1) float32 shares, background first. Where nothing lies within reach: all background.
    """
    asked = torch.from_numpy(keys)
    likeness: list[torch.Tensor] = []
    votes: list[torch.Tensor] = []
    for frame in memory:
        alike = asked @ torch.from_numpy(frame.keys).T
        if frame.reach is not None:
            apart = np.abs(where[:, None, 0] - frame.places[None, :, 0]) > frame.reach
            apart |= np.abs(where[:, None, 1] - frame.places[None, :, 1]) > frame.reach
            alike.masked_fill_(torch.from_numpy(apart), _FAR)
        best, index = alike.topk(min(PER_FRAME, alike.shape[1]), dim=1)
        likeness.append(best)
        votes.append(torch.from_numpy(frame.labels)[index])
    found, labels = torch.cat(likeness, 1), torch.cat(votes, 1)
    found, index = found.topk(min(CANDIDATES, found.shape[1]), dim=1)
    labels = labels.gather(1, index[..., None].expand(-1, -1, labels.shape[2]))
    weights = torch.softmax(found / TEMPERATURE, dim=1)
    shares = (weights[..., None] * labels).sum(1)
    nothing = found[:, 0] <= _FAR
    shares[nothing] = 0.0
    shares[nothing, 0] = 1.0
    return np.asarray(shares.numpy(), np.float32)


def pooled(one: FloatArray, other: FloatArray, weight: float, floor: float = 0.01) -> FloatArray:
    """Two opinions (…, K + 1) as their weighted geometric mean, `weight` on the second (Genest, Zidek 1986).

    Args:
        floor: no opinion is surer than this, so that neither can veto.
    """
    logs = (1 - weight) * np.log(np.maximum(one, floor)) + weight * np.log(np.maximum(other, floor))
    shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), np.float32)


def certainty(shares: FloatArray) -> FloatArray:
    """(…, K + 1) → (…,): 0 where two are as likely, 1 where there is no doubt."""
    top = np.partition(shares, -2, axis=-1)
    return np.asarray(top[..., -1] - top[..., -2], np.float32)


def agreed(one: FloatArray, other: FloatArray) -> FloatArray:
    """How far a patch can be learned from: certain, and both opinions (…, K + 1) say the same; (…,)."""
    same = one.argmax(axis=-1) == other.argmax(axis=-1)
    return np.asarray(certainty(one) * same, np.float32)


def presence(shares: FloatArray) -> npt.NDArray[np.bool_]:
    """(gh, gw, K + 1) → (K,) whether any patch is more of the object than of all else."""
    return np.asarray(shares[..., 1:].max(axis=(0, 1)) >= PRESENT)


def confidence(shares: FloatArray) -> FloatArray:
    """(gh, gw, K + 1) → (K,) in [0, 1], how sure it is where each object is, or that it is not there.

    Of an object that is there, the mean share over the patches it has any part of, each counting by it.
    """
    objects = shares[..., 1:].reshape(-1, shares.shape[-1] - 1)
    sure = (objects**2).sum(axis=0) / np.maximum(objects.sum(axis=0), 1e-6)
    most = objects.max(axis=0)
    return np.asarray(np.where(most >= PRESENT, sure, 1 - most), np.float32)


def blended(ahead: FloatArray, back: FloatArray, share: float) -> FloatArray:
    """What was carried forward and what was carried backward to the same frame, (gh, gw, K + 1) each.

    Args:
        share: how far the frame is from where `ahead` began to where `back` did, in [0, 1]. Each direction
            counts by its nearness and by how certain it is of the patch.
    """
    here = (1 - share) * (0.1 + certainty(ahead))
    there = share * (0.1 + certainty(back))
    weight = (there / np.maximum(here + there, 1e-6))[..., None]
    return np.asarray((1 - weight) * ahead + weight * back, np.float32)
