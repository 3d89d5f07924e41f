"""Opening video files: what is in them, packet by packet, and what their decoder makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from labeler_backend.errors import InputError
from labeler_backend.video.declared import declared_end

_NO_VIDEOS = ("image2", "tty", "_pipe", "concat", "hls", "dash")  # pictures, texts, lists of other files
_OPENED = {"protocol_whitelist": "file"}  # a list may name addresses, which are not fetched


@dataclass(frozen=True, slots=True)
class _Mark:
    """A packet's number, which the decoder hands on to the picture.

    Each is an object of its own: PyAV goes by the object's address, and forgets an int of Python's own small
    ones when any packet that carries it is freed.
    """

    number: int


@dataclass(frozen=True, slots=True)
class Video:
    """An opened video file; a context manager that closes it.

    Attributes:
        stream: the first one with moving pictures, sound and cover pictures passed over.
    """

    path: Path
    container: InputContainer
    stream: VideoStream

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """The stream's packets, in decode order, from where the container stands to the end.

        Raises:
            InputError: the container is damaged so that nothing behind can be found.
        """
        # at the end PyAV looks for streams that appeared on the way, and fails to find them
        with _sentences(self.path), suppress(IndexError):
            # without size: the demuxer's sign for the end, and AVI's for a frame left out
            yield from (packet for packet in self.container.demux(self.stream) if packet.size)

    def is_shown(self, packet: Packet[VideoStream]) -> bool:
        """Is there a picture to see in it? Not where an edit list hides it, nor in VP8's reference frames."""
        hidden = self.stream.codec_context.name == "vp8" and not memoryview(packet)[0] & 0x10  # RFC 6386, 9.1
        return not packet.is_discard and not hidden

    def pictures(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[VideoFrame]:
        """Decodes, in display order; what cannot be decoded is passed over."""
        for packet in packets:
            yield from _decoded(packet.decode)
        yield from _decoded(lambda: self.stream.codec_context.decode(None))

    def numbered_pictures(
        self, packets: Iterable[tuple[int, Packet[VideoStream]]]
    ) -> Iterator[tuple[int, VideoFrame]]:
        """As `pictures`, each with the number of the packet that it comes from."""
        self.stream.codec_context.copy_opaque = True
        for picture in self.pictures(map(_marked, packets)):
            if isinstance(picture.opaque, _Mark):
                yield picture.opaque.number, picture

    def close(self) -> None:
        self.container.close()

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_video(path: Path) -> Video:
    """Opens a video file.

    Raises:
        InputError: there is no such file, it is no video, it has only sound or a cover picture, nothing here
            decodes it, or it is damaged or cut off before its end.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file: check the path.")
    with _sentences(path):
        # With a protocol, so that no part of the name is taken for one. `options`, for streams too, crashes
        # PyAV 17.0 where streams are found on the way (FLV). Titles may be in any encoding.
        container = av.open(f"file:{path}", container_options=_OPENED, metadata_errors="replace")
    try:
        video = Video(path, container, _moving_pictures(container, path))
        _check_whole(video)
    except BaseException:
        container.close()
        raise
    return video


def _moving_pictures(container: InputContainer, path: Path) -> VideoStream:
    if any(part in container.format.name for part in _NO_VIDEOS):
        raise InputError(f"{path} is not a video: give a video file.")
    moving = (s for s in container.streams.video if not s.disposition & s.disposition.attached_pic)
    stream = next(moving, None)
    if stream is None:
        raise InputError(f"{path} has no moving pictures, only sound or data: give a video file.")
    if getattr(stream, "codec_context", None) is None:  # whatever PyAV's types say
        raise InputError(
            f"{path} is compressed in a way that cannot be decoded here: convert it to H.264 "
            "(ffmpeg -i VIDEO -c:v libx264 NEW.mp4)."
        )
    return stream


def _check_whole(video: Video) -> None:
    """MP4, MOV, AVI, Matroska and WebM say where they end; other formats play up to where they are cut."""
    ends = [entry.pos + entry.size for entry in video.stream.index_entries]
    if max([*ends, declared_end(video.path)]) > video.path.stat().st_size:
        raise InputError(f"{video.path} ends before its last frame: copy it again.")


def _marked(numbered: tuple[int, Packet[VideoStream]]) -> Packet[VideoStream]:
    number, packet = numbered
    packet.opaque = _Mark(number)
    return packet


def _decoded(decode: Callable[[], list[VideoFrame]]) -> list[VideoFrame]:
    try:
        return decode()
    except FFmpegError:
        return []


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except FFmpegError as e:
        raise InputError(
            f"{path} is no video that can be read ({e.strerror}): check that it plays, or copy it again."
        ) from e
