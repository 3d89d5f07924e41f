"""What a video is, decoding no more than its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labeler_backend.errors import InputError
from labeler_backend.video.container import Video, open_video
from labeler_backend.video.pixels import orientation, upright_size
from labeler_backend.video.rates import rate_of


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """One video.

    Attributes:
        size: (H, W) in pixels as it is shown, rotation applied.
        frame_count: how many frames.
        frame_rate: frames per second on average, as `rates.named_rate` has it; None where unknown.
    """

    size: tuple[int, int]
    frame_count: int
    frame_rate: float | None


def read_info(path: Path) -> VideoInfo:
    """Size, frames and frame rate of a video file.

    Frames are counted in the container's index where all is read by it (MP4, MOV), else by going through the
    file without decoding it. Frames that an edit list hides are not counted. Pixels are taken to
    be square.

    Raises:
        InputError: there is no such file, it is no video, it has only sound or a cover picture, nothing here
            decodes it, or it is damaged or cut off before its end.
    """
    with open_video(path) as video:
        first = next(video.pictures(video.packets()), None)
        count = _indexed(video)
        if count is None:
            count = _counted(path)
        rate = rate_of(video.stream, count)
    if first is None or count == 0:
        raise InputError(f"{path} has no frame that can be read: check that it plays.")
    return VideoInfo(upright_size(first, orientation(first)), count, rate)


def _indexed(video: Video) -> int | None:
    """How many frames the container's index holds; None where it does not hold all of them, or need not."""
    entries = list(video.stream.index_entries)
    if "mp4" not in video.container.format.name or not 0 < video.stream.frames <= len(entries):
        return None
    return sum(not entry.is_discard and entry.size > 0 for entry in entries)


def _counted(path: Path) -> int:
    with open_video(path) as video:  # anew: some formats cannot be wound back
        return sum(video.is_shown(packet) for packet in video.packets())
