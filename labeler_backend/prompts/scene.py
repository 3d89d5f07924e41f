"""A picture made ready for prompts: what all clicks on it share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray, unit_layers, unit_tokens
from labeler_backend.masks.refine import GUIDE_PIXELS, Canvas, prepare
from labeler_backend.masks.rle import RLE, decode
from labeler_backend.media import RGB
from labeler_backend.prompts.types import FloatMap

COMPONENTS = 32
"""Of a token, the strongest, that are kept."""
MIDDLE = 2.0
"""Length of what the blocks in between say in a token; the last block's is 1. That one says what a patch is
of, those before it how it looks (as for videos: see `video/basis.py`)."""
COUPLING = 16
"""The strongest of them, whose steps between neighbours weaken couplings."""
COLOUR_EDGE = 60.0
TOKEN_EDGE = 4.0
WEAKEST = 1e-3


class Proposed(Protocol):
    """A mask that emerged without a prompt."""

    @property
    def rle(self) -> RLE: ...
    @property
    def score(self) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Proposals on the working grid.

    Attributes:
        masks: (n, h, w) bool.
        score: (n,).
        area: (n,) in patches.
        looks: (n, C) unit mean tokens.
        common: (n, n) patches that two share.
        border: (n,) share of the picture's frame that each covers.
    """

    masks: npt.NDArray[np.bool_]
    score: FloatArray
    area: FloatArray
    looks: FloatArray
    common: FloatArray
    border: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One picture, ready. The working grid has GUIDE_PIXELS to a patch: (h, w) = GUIDE_PIXELS · (gh, gw).

    Attributes:
        canvas: for refinement.
        pool: its proposals.
        tokens: (gh, gw, ≤ COMPONENTS) float32, principal components of the unit tokens of the last block and
            of those in between, side by side and at unit length together, the strongest first.
        down: (h - 1, w) how alike each working pixel and the one below it are, in (0, 1].
        right: (h, w - 1) the same with the one to the right.
    """

    canvas: Canvas
    pool: Pool
    tokens: FloatArray
    down: FloatMap
    right: FloatMap

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.canvas.size

    @property
    def work(self) -> tuple[int, int]:
        """(h, w) of the working grid."""
        return self.canvas.grid[0] * GUIDE_PIXELS, self.canvas.grid[1] * GUIDE_PIXELS


def prepare_scene(image: RGB, features: Features, pool: Sequence[Proposed]) -> Scene:
    """Everything that does not depend on the prompt.

    Args:
        image: (H, W, 3) uint8, upright.
        features: of that image.
        pool: proposals of that image, however unlikely.
    """
    canvas = prepare(image, features.grid)
    unit = unit_tokens(features.tokens)
    picture = np.asarray(canvas.fine.image[..., :3] * 255, np.uint8)
    tokens = strongest(_together(features))
    down, right = couplings(picture, tokens[..., :COUPLING])
    return Scene(canvas, _pool(pool, unit), tokens, down, right)


def _together(features: Features) -> FloatArray:
    """(gh, gw, C + M) tokens of all blocks at unit length."""
    last, *between = unit_layers(features)
    length = MIDDLE / np.sqrt(max(1, len(between)))
    return unit_tokens(
        np.concatenate([last, *(length * layer for layer in between)], axis=-1, dtype=np.float32)
    )


def strongest(unit: FloatArray, rounds: int = 3) -> FloatArray:
    """(gh, gw, C) unit tokens → (gh, gw, at most COMPONENTS) principal components, the strongest first.

    By subspace iteration from evenly chosen tokens: a full decomposition takes several times as long.
    """
    flat = unit.reshape(-1, unit.shape[2])
    centred = flat - flat.mean(axis=0)
    count = min(COMPONENTS, *centred.shape)
    basis = centred[np.linspace(0, len(centred) - 1, count).astype(np.int64)].T
    for _ in range(rounds):
        basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
    seen = centred @ basis
    _, axes = np.linalg.eigh(seen.T @ seen)
    return np.ascontiguousarray((seen @ axes[:, ::-1]).reshape(*unit.shape[:2], count), np.float32)


def couplings(picture: RGB, seen: FloatArray) -> tuple[FloatMap, FloatMap]:
    """How alike neighbours on the working grid are, by colour and by token: the weights of a random walk.

    Args:
        picture: (h, w, 3) at the size of the working grid.
        seen: (gh, gw, COUPLING) tokens.
    """
    height, width = picture.shape[:2]
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32) / 255
    layers = [seen[..., k : k + 4] for k in range(0, seen.shape[2], 4)]  # cv2 resizes four at most
    tokens = np.dstack([cv2.resize(four, (width, height), interpolation=cv2.INTER_CUBIC) for four in layers])

    def alike(axis: int) -> FloatMap:
        colour = (np.diff(lab, axis=axis) ** 2).sum(axis=-1)
        token = (np.diff(tokens, axis=axis) ** 2).sum(axis=-1) * GUIDE_PIXELS
        return np.asarray(np.exp(-COLOUR_EDGE * colour - TOKEN_EDGE * token) + WEAKEST, np.float32)

    return alike(0), alike(1)


def _pool(pool: Sequence[Proposed], unit: FloatArray) -> Pool:
    gh, gw, channels = unit.shape
    work = (gw * GUIDE_PIXELS, gh * GUIDE_PIXELS)
    masks = np.zeros((len(pool), work[1], work[0]), bool)
    shares = np.zeros((len(pool), gh * gw), np.float32)
    for index, one in enumerate(pool):
        share = cv2.resize(decode(one.rle).view(np.uint8) * 255, work, interpolation=cv2.INTER_AREA)
        masks[index] = share > 127
        small = cv2.resize(share, (gw, gh), interpolation=cv2.INTER_AREA)
        shares[index] = small.ravel().astype(np.float32) / 255
    edge = np.zeros(work[::-1], bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    return Pool(
        masks,
        np.array([one.score for one in pool], np.float32),
        shares.sum(axis=1) + np.float32(1e-6),
        unit_tokens(shares @ unit.reshape(gh * gw, channels)),
        shares @ shares.T,
        masks[:, edge].mean(axis=1, dtype=np.float32),
    )
