"""Frames in: of a video file or of a folder of pictures, by exact number and time.

with open_frames(path) as frames:
    for frame in frames:
        if isinstance(frame, BrokenFrame):
            ...  # str(frame) says which, and what to do; the next one comes all the same
        else:
            ...  # frame.index, frame.time, frame.image
"""

from __future__ import annotations

import math
from pathlib import Path
from threading import Lock

from labeler_backend.errors import InputError
from labeler_backend.video.container import open_video
from labeler_backend.video.decoder import Decoder
from labeler_backend.video.folder import FolderFrames
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.packets import read_index
from labeler_backend.video.pixels import orientation, to_rgb, upright_size
from labeler_backend.video.rates import rate_of
from labeler_backend.video.source import BrokenFrame, Frame, FrameSource, check_size

__all__ = ["BrokenFrame", "FolderFrames", "Frame", "FrameSource", "VideoFrames", "open_frames"]


def open_frames(path: Path, frame_rate: float | None = None) -> FrameSource:
    """Opens a video file, or a folder of pictures.

    A video file is read through once, without decoding it, so that every frame is known by its number and
    its timestamp whatever the frame rate does; only what has no display order (raw streams, H.264 in AVI or
    MXF) is decoded for it.

    Args:
        path: the file or the folder.
        frame_rate: frames per second of a folder, which has none of its own; a video's own counts.

    Raises:
        InputError: as `read_info`, or the folder has no picture that can be read; the rate is not above 0.
    """
    if frame_rate is not None and not (math.isfinite(frame_rate) and frame_rate > 0):
        raise InputError(f"A frame rate of {frame_rate} cannot be: give frames per second, as 25 or 29.97.")
    return FolderFrames(path, frame_rate) if path.is_dir() else VideoFrames(path)


class VideoFrames(FrameSource):
    """Frames of a video file."""

    def __init__(self, path: Path) -> None:
        """Raises: InputError, as `read_info`."""
        self._path, self._index, self._lock = path, read_index(path), Lock()
        self.start = self._index.start
        self._decoder = Decoder(path, self._index)
        try:
            self.info = self._find_info()
        except BaseException:
            self._decoder.close()
            raise

    @property
    def decoded(self) -> int:
        """How many pictures have been decoded so far; more than were asked for where key frames are rare."""
        return self._decoder.decoded

    def close(self) -> None:
        with self._lock:
            self._decoder.close()

    def _find_info(self) -> VideoInfo:
        """The size is that of the first frame that can be decoded."""
        count = len(self._index.packet_of)
        with open_video(self._path) as video:
            rate = rate_of(video.stream, count)
        first = next((p for p in map(self._decoder.picture, range(count)) if p), None)
        if first is None:
            raise InputError(f"{self._path} has no frame that can be read: check that it plays.")
        self._turning = orientation(first)
        return VideoInfo(upright_size(first, self._turning), count, rate)

    def _read(self, index: int) -> Frame:
        with self._lock:  # conversion too: a picture carries PyAV's converter, which is for one thread
            return self._decoded(index)

    def _decoded(self, index: int) -> Frame:
        time, name = float(self._index.times[index]), f"Frame {index} of {self._path}"
        picture = self._decoder.picture(index)
        if picture is None:
            raise BrokenFrame(index, time, f"{name} (counted from 0) is damaged: export the video again.")
        self._turning = orientation(picture, self._turning)
        size = upright_size(picture, self._turning)
        check_size(name, size, self.info.size, "split the video where its size changes")
        return Frame(index, time, to_rgb(picture, self._turning), picture.is_corrupt)
