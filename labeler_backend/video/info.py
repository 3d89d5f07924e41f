"""What a video is, without decoding it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """One video.

    Attributes:
        size: (H, W) in pixels as it is shown, rotation applied.
        frame_count: how many frames.
        frame_rate: frames per second on average; None where unknown.
    """

    size: tuple[int, int]
    frame_count: int
    frame_rate: float | None
