"""Which frames stay in memory: the policy, apart from what is stored.

Frames that a person gave stay for good, the last ones follow what changes, and a few older ones in between
bridge what was hidden for a while. However long the video, there are at most so many of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Frame = TypeVar("Frame")


@dataclass(frozen=True, slots=True)
class Policy:
    """How much of the past is kept.

    Attributes:
        recent: the last so many frames.
        every: of those that fall out of them, each so-manieth by its index stays among the older; 0 = none.
        older: at most so many, the latest.
        given: at most so many frames that a person gave, those nearest to the frame at hand.
    """

    recent: int = 7
    every: int = 5
    older: int = 5
    given: int = 8

    def kept(self, indices: list[int]) -> list[int]:
        """Of the frames gone through so far, in the order they came, those still in memory."""
        last, past = indices[-self.recent :], indices[: -self.recent]
        sparse = [index for index in past if self.every and index % self.every == 0]
        return [*sparse[-self.older :], *last] if self.older else last

    def nearest(self, given: list[int], index: int) -> list[int]:
        """Of the given frames, those used for frame `index`, by their index."""
        return sorted(sorted(given, key=lambda one: (abs(one - index), one))[: self.given])


class Memory(Generic[Frame]):
    """What is stored of the frames that a policy keeps."""

    def __init__(self, policy: Policy, given: dict[int, Frame]) -> None:
        """Args: the policy, and by index the frames that a person gave."""
        self._policy = policy
        self._given = given
        self._passed: dict[int, Frame] = {}

    def add(self, index: int, frame: Frame) -> None:
        """A frame that has been gone through; one that the policy no longer keeps is dropped."""
        self._passed[index] = frame
        keep = self._policy.kept(list(self._passed))
        self._passed = {one: self._passed[one] for one in keep}

    def near(self, index: int) -> list[Frame]:
        """What frame `index` is compared with: given frames first, then older and recent ones."""
        given = self._policy.nearest(list(self._given), index)
        return [*(self._given[one] for one in given), *self._passed.values()]
