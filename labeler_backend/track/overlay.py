"""The video with its masks drawn over it, for people to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from labeler_backend.files import replacing
from labeler_backend.media import RGB
from labeler_backend.report.drawing import Mark, color_of, marked, thumbnail
from labeler_backend.track.folder import Done, Folder
from labeler_backend.video.frames import BrokenFrame, Frame, FrameSource

MAX_SIDE = 1280
"""Long side in pixels: it is looked at, not measured."""
PLAIN_RATE = 25.0
"""Frames per second where nothing says how many."""
_TICKS = 90_000  # a second's; in which the usual frame rates, 29.97 too, are whole numbers
_OPTIONS = {"crf": "20", "preset": "veryfast"}


def write_overlay(path: Path, frames: FrameSource, folder: Folder, show: Callable[[int, int], None]) -> None:
    """An MP4 of the frames that are done, each shown when and for as long as in the video.

    A frame that cannot be decoded is the one before, darkened.

    Args:
        path: whole or not at all.
        frames: of the video.
        folder: with the masks.
        show: told how many are drawn.
    """
    rate = frames.info.frame_rate or PLAIN_RATE
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", Fraction(rate).limit_denominator(_TICKS), options=_OPTIONS)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS)
        ticks = -1
        for done, (time, picture) in enumerate(_pictures(frames, folder), 1):
            if done == 1:
                stream.height, stream.width = picture.shape[:2]
            ticks = max(round(_TICKS * ((done - 1) / rate if time is None else time)), ticks + 1)
            _encode(container, stream, picture, ticks)
            show(done, len(folder.done))
        container.mux(stream.encode())


def _encode(container: av.container.OutputContainer, stream: VideoStream, picture: RGB, ticks: int) -> None:
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
    container.mux(stream.encode(frame))


def _pictures(frames: FrameSource, folder: Folder) -> Iterator[tuple[float | None, RGB]]:
    """Time in seconds and picture, its sides even, as the colours of a video need them."""
    last: RGB | None = None
    for frame, done in zip(frames.frames(0, len(folder.done)), folder.done, strict=True):
        if isinstance(frame, BrokenFrame) or done.problem:
            height, width = frames.info.size
            plain = thumbnail(np.zeros((height, width, 3), np.uint8), MAX_SIDE) if last is None else last // 2
            yield frame.time, _even(marked(plain, [], f"frame {done.frame}  cannot be decoded"))
        else:
            last = _drawn(frame, done, folder)
            yield frame.time, _even(last)


def _drawn(frame: Frame, done: Done, folder: Folder) -> RGB:
    labels = folder.labels(done.frame)
    areas = np.bincount(labels.ravel())
    there = sorted(np.flatnonzero(areas[1:]) + 1, key=lambda number: -int(areas[number]))
    marks = [
        Mark(
            labels == number,
            color_of(int(number) - 1),
            f"{number}  {done.confidence.get(int(number), 0):.2f}",
        )
        for number in there
    ]
    caption = f"frame {done.frame}  given" if done.given else f"frame {done.frame}"
    return marked(thumbnail(frame.image, MAX_SIDE), marks, caption)


def _even(picture: RGB) -> RGB:
    return np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
