"""Objects followed from frame to frame in one direction, on the grid of patches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import FloatArray
from labeler_backend.video import appearance
from labeler_backend.video.appearance import Sums
from labeler_backend.video.basis import Tokens
from labeler_backend.video.memory import Memory, Policy
from labeler_backend.video.propagation import (
    Known,
    agreed,
    given_frame,
    grown,
    passed_frame,
    places,
    pooled,
    presence,
    transfer,
)

LOOKS = 0.2
"""Weight of the appearance model beside correspondence."""
STRIDE = 6
"""Patches by which an object moves at most from one frame to the next."""
DOUBTFUL = 0.05
"""Chance that a patch is of an object that is missing, above which it is neither remembered nor learned as
something else: what has been hidden for a while could never come back."""
_SEEN = 0.1


@dataclass(frozen=True, slots=True)
class Given:
    """A frame that a person gave.

    Attributes:
        tokens: of it.
        shares: (gh, gw, K + 1) how much of each patch is what, background first.
    """

    tokens: Tokens
    shares: FloatArray


class Tracker:
    """One pass through a video, forward or backward. Its state does not grow with the frames."""

    def __init__(self, given: dict[int, Given], start: int, policy: Policy | None = None) -> None:
        """Args: given frames by index, and the one among them that the pass begins at."""
        whole = {index: given_frame(one.tokens.keys, one.shares) for index, one in given.items()}
        self._memory: Memory[Known] = Memory(policy or Policy(), whole)
        self._known = appearance.mean_sums(
            [appearance.sums(g.tokens.evidence, _flat(g.shares)) for g in given.values()]
        )
        self._later: Sums | None = None
        self._weights = appearance.solve(self._known, None)
        self._last = given[start].shares

    def restart(self, given: Given) -> None:
        """The frame just reached is a given one: what was carried to it is replaced."""
        self._last = given.shares

    def step(self, index: int, tokens: Tokens) -> FloatArray:
        """Shares (gh, gw, K + 1) of the next frame, background first."""
        channels = self._last.shape[2]
        asked = self._asked()
        carried = np.zeros((len(tokens.keys), channels), np.float32)
        carried[:, 0] = 1
        where = places(asked, tokens.grid[1])
        carried[asked] = transfer(tokens.keys[asked], where, self._memory.near(index))
        looks = appearance.shares(self._weights, tokens.evidence)
        shares = carried.copy()
        shares[asked] = pooled(carried[asked], looks[asked], LOOKS)
        self._last = shares.reshape(*tokens.grid, channels)
        missing = ~presence(self._last)
        doubtful = looks[:, 1:][:, missing].max(axis=1, initial=0) > DOUBTFUL
        self._learn(tokens, shares, agreed(shares, carried) * ~doubtful)
        self._memory.add(index, passed_frame(tokens.keys, self._last, doubtful))
        return self._last

    def _asked(self) -> npt.NDArray[np.intp]:
        """Flat indices of the patches where an object can be by now: all while one is missing."""
        there = grown(self._last[..., 0] < 1 - _SEEN, STRIDE).ravel()
        everywhere = not presence(self._last).all()
        return np.arange(len(there)) if everywhere else np.flatnonzero(there)

    def _learn(self, tokens: Tokens, shares: FloatArray, trust: FloatArray) -> None:
        """The appearance model follows, patch by patch as far as it can be trusted."""
        certain = np.eye(shares.shape[1], dtype=np.float32)[shares.argmax(axis=1)]
        new = appearance.sums(tokens.evidence, certain, trust)
        self._later = appearance.aged(self._later, new)
        self._weights = appearance.solve(self._known, self._later)


def _flat(shares: FloatArray) -> FloatArray:
    return shares.reshape(-1, shares.shape[-1])
