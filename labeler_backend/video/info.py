"""What a video is, decoding no more than its first frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from labeler_backend.errors import InputError

_NO_VIDEOS = ("image2", "tty", "_pipe", "concat", "hls", "dash")  # pictures, texts, lists of other files
_OPENED = {"protocol_whitelist": "file"}  # a list may name addresses, which are not fetched


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


def read_info(path: Path) -> VideoInfo:
    """Size, frames and frame rate of a video file.

    Frames are counted in the container's index where it has all of them (MP4, MOV, AVI), else by going
    through the file without decoding it. Frames that an edit list hides are not counted. Pixels are taken to
    be square.

    Raises:
        InputError: there is no such file, it is no video, it has only sound or a cover picture, or it is
            damaged or cut off before its end.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file: check the path.")
    try:
        # with a protocol, so that no part of the name is taken for one
        with av.open(f"file:{path}", options=_OPENED) as container:
            return _info(container, path)
    except FFmpegError as e:
        raise InputError(
            f"{path} is no video that can be read ({e.strerror}): check that it plays, or copy it again."
        ) from e


def _info(container: InputContainer, path: Path) -> VideoInfo:
    if any(part in container.format.name for part in _NO_VIDEOS):
        raise InputError(f"{path} is not a video: give a video file.")
    moving = (s for s in container.streams.video if not s.disposition & s.disposition.attached_pic)
    stream = next(moving, None)
    if stream is None:
        raise InputError(f"{path} has no moving pictures, only sound or data: give a video file.")
    size = _upright_size(container, stream)
    count = _indexed(stream, path)
    if count is None:
        container.seek(0)
        count = sum(packet.size > 0 and not packet.is_discard for packet in container.demux(stream))
    if size is None or count == 0:
        raise InputError(f"{path} has no frame that can be read: check that it plays.")
    rate = stream.average_rate
    return VideoInfo(size, count, float(rate) if rate else None)


def _upright_size(container: InputContainer, stream: VideoStream) -> tuple[int, int] | None:
    """(H, W) of the first frame as it is shown; None where there is none."""
    frame = next(container.decode(stream), None)
    if frame is None:
        return None
    turned = round(frame.rotation / 90) % 2 == 1
    return (frame.width, frame.height) if turned else (frame.height, frame.width)


def _indexed(stream: VideoStream, path: Path) -> int | None:
    """How many frames the container's index holds; None where it does not hold all of them."""
    entries = list(stream.index_entries)
    if not stream.frames or len(entries) < stream.frames:
        return None
    if max(entry.pos + entry.size for entry in entries) > path.stat().st_size:
        raise InputError(f"{path} ends before its last frame: copy it again.")
    return sum(not entry.is_discard for entry in entries)
