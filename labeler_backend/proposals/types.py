"""What a proposal is."""

from __future__ import annotations

from dataclasses import dataclass

from labeler_backend.masks.rle import RLE, BoolMask, area, box, decode


@dataclass(frozen=True, slots=True)
class Proposal:
    """One object somebody may want to label.

    Attributes:
        rle: the mask at the upright image's full size.
        score: in [0, 1]; higher = more likely to be accepted.
        source: which step found it (`attention`, `spectral`, `seeds`, …).
        label: a class name, where a trained head gave one.
    """

    rle: RLE
    score: float
    source: str
    label: str | None = None

    @property
    def mask(self) -> BoolMask:
        """(H, W) bool."""
        return decode(self.rle)

    @property
    def area(self) -> int:
        """Pixels set."""
        return area(self.rle)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height in pixels."""
        return box(self.rle)
