"""Which split an image belongs to, the same however much a project grows."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

from labeler_backend.errors import InputError

_NAME = re.compile(r"[^\W_][\w-]{0,63}")  # a name becomes part of file names
_HELP = "write shares that add up to 1, such as --split train=0.8,val=0.1,test=0.1 (or 80%, 10%, 10%)."
_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of a data set by name.

    Attributes:
        shares: name → share, in the order given; they add up to 1.
        seed: another seed deals the groups anew.
    """

    shares: tuple[tuple[str, float], ...]
    seed: str = ""

    @classmethod
    def parse(cls, text: str, seed: str = "") -> Split:
        """`train=0.8,val=0.1,test=0.1`, or with per cent signs.

        Raises:
            InputError: it is not that, a name is no file name or stands twice, or the shares do not add up.
        """
        shares: dict[str, float] = {}
        for part in text.split(","):
            name, _, value = (piece.strip() for piece in part.partition("="))
            if not _NAME.fullmatch(name):
                raise InputError(f"{name!r} in --split cannot name a split (letters, digits and -): {_HELP}")
            if name.casefold() in {known.casefold() for known in shares}:
                raise InputError(f"{name!r} stands twice in --split: {_HELP}")
            shares[name] = _share(name, value)
        if abs(sum(shares.values()) - 1) > _SUM_TOLERANCE:
            raise InputError(f"The shares in --split add up to {sum(shares.values()):g}: {_HELP}")
        return cls(tuple(shares.items()), seed)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the splits, in the order given."""
        return tuple(name for name, _ in self.shares)

    def of(self, group: str) -> str:
        """The split of a group, by a hash of its name and the seed alone: others never move it."""
        digest = hashlib.blake2b(
            f"{self.seed}\0{group}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        place = int.from_bytes(digest, "big") / 2**64
        end = 0.0
        for name, share in self.shares:
            end += share
            if place < end:
                return name
        return self.shares[-1][0]  # rounding


def _share(name: str, value: str) -> float:
    percent = value.endswith("%")
    try:
        share = float(value.rstrip("%").strip()) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise InputError(f"{name}={value} in --split is no share between 0 and 1: {_HELP}")
    return share
