"""Frame rates as containers tell them, and as people name them."""

from __future__ import annotations

from fractions import Fraction

from av.video.stream import VideoStream

STANDARD = tuple(
    Fraction(*rate)
    for rate in (
        (10, 1), (12, 1), (25, 2), (15, 1), (20, 1), (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1),
        (48000, 1001), (48, 1), (50, 1), (60000, 1001), (60, 1), (100, 1), (120000, 1001), (120, 1), (240, 1),
    )
)  # fmt: skip
"""Frames per second that cameras and editors are set to; SMPTE's ones over 1.001 among them."""

_ROUNDED = Fraction(1, 10_000)  # FLV's 59.9375 is 59.94; a tenth of what lies between 29.97 and 30
_FINE = Fraction(1, 2)  # of a frame: longer ticks are the frames themselves, as in AVI


def named_rate(rate: Fraction, count: int, tick: Fraction) -> Fraction:
    """The standard rate that a container rounded to `rate`; `rate` itself where it is none.

    A container says when frames are shown in whole ticks, so that the length of a video, of which its average
    rate comes, is off by up to a tick. So is the answer: no frame is ever shifted by more than that, or by a
    ten-thousandth.

    Args:
        rate: frames per second on average, as the container tells it.
        count: how many frames.
        tick: seconds.
    """
    ticked = tick * rate / count if count and tick * rate < _FINE else 0
    nearest = min(STANDARD, key=lambda one: abs(one - rate))
    return nearest if abs(rate / nearest - 1) <= max(_ROUNDED, ticked) else rate


def rate_of(stream: VideoStream, count: int) -> float | None:
    """Frames per second of a stream of `count` frames; None where unknown."""
    rate = stream.average_rate
    return float(named_rate(rate, count, stream.time_base or Fraction(0))) if rate else None
