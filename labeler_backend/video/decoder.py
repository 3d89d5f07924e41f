"""One frame of a video after another, or any of them: from the key frame before it, not from the start."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from labeler_backend.video.container import open_video
from labeler_backend.video.packets import UNKNOWN, PacketIndex

_Numbered = tuple[int, "Packet[VideoStream]"]

_KEPT_BYTES = 64 * 2**20
_KEPT_LEAST, _KEPT_MOST = 4, 128
_REFERRING = (PictureType.P, PictureType.B, PictureType.S)
_REFRESHED = 250
"""Packets ahead at which decoding starts where the container calls a picture a key frame that is none: H.264
can refresh pictures bit by bit instead, and encoders have it done within a group of pictures."""
_PATIENCE = 16
"""Pictures that may overtake one before it counts as lost: as many as H.264 and HEVC can hold back."""


class Decoder:
    """Pictures of one video by frame number; not for several threads.

    Frames are known by the packet they come from, never by counting what comes out: those that cannot be
    decoded do not shift the others. The last decoded pictures (64 MiB, at least 4) are kept, so that going
    backwards decodes a group of pictures a few times, not once for each of its frames.

    Attributes:
        decoded: how many pictures have been decoded so far.
    """

    def __init__(self, path: Path, index: PacketIndex) -> None:
        """Raises: InputError, as `open_video`."""
        self.decoded = 0
        self._path, self._index = path, index
        self._kept: dict[int, VideoFrame] = {}
        self._lost: set[int] = set()
        self._video = open_video(path)
        self._begin(0)

    def picture(self, frame: int) -> VideoFrame | None:
        """Frame number `frame`; None where it cannot be decoded.

        Raises:
            InputError: the file is gone or has changed.
        """
        if frame in self._kept or frame in self._lost:
            return self._kept.get(frame)
        entry = self._index.entry(frame)
        if not self._is_ahead(frame, entry):
            self._begin(entry)
        found = self._decode_to(frame)
        earlier = self._index.entry_before(entry)
        if found is None and self._begun > earlier:  # where the key frame is damaged, older ones may do
            self._begin(earlier)
            found = self._decode_to(frame)
        if found is None:
            self._lost.add(frame)
        return found

    def close(self) -> None:
        self._kept.clear()
        self._video.close()

    def _is_ahead(self, frame: int, entry: int) -> bool:
        """Does decoding on reach it, with nothing to be jumped over?"""
        to_come = self._index.packet_of[frame] >= self._next or frame > self._furthest
        return self._begun <= entry <= self._next and bool(to_come)

    def _begin(self, entry: int) -> None:
        """What comes out next is what packet `entry` holds, and what is shown after that."""
        self._begun, self._furthest = entry, -1
        pictures = self._decode(self._packets(entry))
        first = next(pictures, None)
        if first and entry and first[1].pict_type in _REFERRING:
            pictures = self._decode(self._packets(self._index.entry_before(entry, _REFRESHED)))
        elif first:
            pictures = chain([first], pictures)
        self._pictures: Iterator[tuple[int, VideoFrame]] = pictures

    def _decode_to(self, frame: int) -> VideoFrame | None:
        """A picture can come late in a damaged stream: some that overtake it are waited for."""
        ahead = range(frame + 1, self._furthest + 1)
        overtaken = sum(kept in ahead for kept in self._kept)
        for number, picture in self._pictures:
            self._keep(number, picture)
            if number == frame:
                return picture
            overtaken += number > frame
            if overtaken >= min(_PATIENCE, self._room()):
                break
        return None

    def _keep(self, number: int, picture: VideoFrame) -> None:
        self._furthest = max(self._furthest, number)
        self._lost.discard(number)
        self._kept.pop(number, None)
        self._kept[number] = picture
        while len(self._kept) > self._room():
            del self._kept[next(iter(self._kept))]

    def _room(self) -> int:
        """How many pictures are kept."""
        size = sum(plane.buffer_size for plane in next(iter(self._kept.values())).planes)
        return min(max(_KEPT_BYTES // size, _KEPT_LEAST), _KEPT_MOST)

    def _decode(self, packets: Iterator[_Numbered]) -> Iterator[tuple[int, VideoFrame]]:
        """Frames by number; those before the key frame that decoding began at lack what they refer to."""
        first = self._index.rank[self._begun]
        for packet, picture in self._video.numbered_pictures(self._counted(packets)):
            self.decoded += 1
            number = int(self._index.frame_of[packet])
            if number >= 0 and self._index.rank[packet] >= first:
                yield number, picture

    def _counted(self, packets: Iterator[_Numbered]) -> Iterator[_Numbered]:
        for number, packet in packets:
            self._next = number + 1
            yield number, packet

    def _packets(self, entry: int) -> Iterator[_Numbered]:
        """Packets from number `entry` on, wherever the container's own index leads."""
        self._next = entry
        landings = (self._landing(entry, timestamp) for timestamp in self._targets(entry))
        return next((landing for landing in landings if landing), None) or self._from_the_start(entry)

    def _targets(self, entry: int) -> Iterator[int]:
        """Timestamps to seek: formats go by one or the other, and some land too late."""
        earlier = (self._index.entry_before(entry, least) for least in (1, _REFRESHED))
        for packet in dict.fromkeys((entry, *earlier)):
            for timestamp in (self._index.shown_at[packet], self._index.decoded_at[packet]):
                if timestamp != UNKNOWN:
                    yield int(timestamp)

    def _landing(self, entry: int, timestamp: int) -> Iterator[_Numbered] | None:
        """Packets from `entry` on, read on from where seeking leads; None where that does not lead to it."""
        try:
            self._video.container.seek(timestamp, stream=self._video.stream)
        except FFmpegError:
            return None
        packets = self._from(entry, self._numbered(entry))
        landed = next(packets, None)
        return chain([landed], packets) if landed and landed[0] == entry else None

    def _from_the_start(self, entry: int) -> Iterator[_Numbered]:
        self._video.close()
        self._video = open_video(self._path)  # anew: some formats cannot be wound back
        return self._from(entry, self._numbered(0))

    def _from(self, entry: int, packets: Iterator[_Numbered]) -> Iterator[_Numbered]:
        return (one for one in packets if one[0] >= entry)

    def _numbered(self, expected: int) -> Iterator[_Numbered]:
        """Packets with their numbers; parts of packets, which a seek can land in, are left out."""
        for packet in self._video.packets():
            number = self._index.find(packet, expected)
            if number is not None:
                yield number, packet
                expected = number + 1
