"""Which packet holds which frame, and when it is shown: read once, without decoding."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.stream import VideoStream

from labeler_backend.errors import InputError
from labeler_backend.video.container import Video, open_video

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
UNKNOWN = np.iinfo(np.int64).min
_PLAYERS_RATE = Fraction(25)  # what FFmpeg takes where nothing says it
_LOOKED_AT = 100  # pictures
_ANEW = 1.0  # seconds that time falls back by where a recording begins that lacks its first key frame


@dataclass(frozen=True, slots=True)
class PacketIndex:
    """All packets of a video stream, numbered from 0 in decode order, and its frames, in display order.

    About 60 bytes a packet, all there is to a video of any length.

    Attributes:
        frame_of: (P,) the frame that a packet holds; -1 where it holds none that is shown.
        packet_of: (N,) the packet that holds a frame.
        rank: (P,) place in display order of what a packet holds, hidden pictures counted.
        times: (N,) seconds since the first frame.
        start: seconds on the file's own clock at the first frame.
        shown_at, decoded_at: (P,) timestamps in the stream's time base; UNKNOWN where there is none.
        keys: (K,) packets at which a decoder can start, rising; the first packet is always among them.
    """

    frame_of: Ints
    packet_of: Ints
    rank: Ints
    times: npt.NDArray[np.float64]
    start: float
    shown_at: Ints
    decoded_at: Ints
    keys: Ints
    _places: Ints  # bytes into the file, or timestamps where those are not unique
    _by_position: bool
    _sizes: Ints

    def entry(self, frame: int) -> int:
        """The last packet from which a decoder reaches `frame` with all that the frame refers to.

        Pictures that are decoded after a key frame but shown before it (an open GOP) refer to what was
        before: the key frame has to come first in both orders.
        """
        packet = self.packet_of[frame]
        before = self.keys[: np.searchsorted(self.keys, packet, side="right")]
        good = np.flatnonzero(self.rank[before] <= self.rank[packet])
        return int(before[good[-1]]) if len(good) else 0

    def entry_before(self, packet: int, least: int = 1) -> int:
        """The last packet to start decoding at, `least` or more before `packet`; else the first."""
        return int(self.keys[max(int(np.searchsorted(self.keys, packet - least, side="right")) - 1, 0)])

    def find(self, packet: Packet[VideoStream], expected: int) -> int | None:
        """The number of a packet that was read again, `expected` tried first; None where it is not known."""
        place = _known(packet.pos if self._by_position else packet.pts)
        if expected < len(self._sizes) and (self._places[expected], self._sizes[expected]) == (
            place,
            packet.size,
        ):
            return expected
        found = np.flatnonzero((self._places == place) & (self._sizes == packet.size))
        return int(found[0]) if len(found) == 1 else None


def read_index(path: Path) -> PacketIndex:
    """Goes through the file once.

    Raises:
        InputError: as `open_video`; there is not one packet with a picture in it.
    """
    with open_video(path) as video:
        read = _read(video)
        base, rate = video.stream.time_base or Fraction(1), video.stream.average_rate or _PLAYERS_RATE
        reorders = video.stream.codec_context.has_b_frames
    if not read.shown.any():
        raise InputError(f"{path} has no frame that can be read: check that it plays.")
    # AVI and MXF hold no display order: FFmpeg works it out where the codec lets it, and counts packets else
    counted = reorders and bool((np.diff(read.pts) > 0).all()) and not _comes_as_decoded(path)
    untold = UNKNOWN in read.pts or counted
    order = np.argsort(_decoder_places(path, len(read.pts))) if untold else _order(read, base)
    packet_of = order[read.shown[order]]
    ticks, base = _ticks(read.pts[packet_of], untold, base, rate)
    by_position = len(np.unique(read.positions)) == len(read.positions) and UNKNOWN not in read.positions
    return PacketIndex(
        frame_of=_inverse(packet_of, len(read.pts)),
        packet_of=packet_of,
        rank=_inverse(order, len(read.pts)),
        times=(ticks - ticks[0]) * base.numerator / base.denominator,
        start=float(int(ticks[0]) * base),
        shown_at=read.pts,
        decoded_at=read.dts,
        keys=np.union1d([0], np.flatnonzero(read.keys)),
        _places=read.positions if by_position else read.pts,
        _by_position=by_position,
        _sizes=read.sizes,
    )


@dataclass(frozen=True, slots=True)
class _Read:
    """(P,) each: what the container says of all packets; UNKNOWN where it does not."""

    pts: Ints
    dts: Ints
    positions: Ints
    sizes: Ints
    shown: Flags
    keys: Flags


def _read(video: Video) -> _Read:
    numbers = [array("q") for _ in range(4)]
    flags = [array("b") for _ in range(2)]
    for packet in video.packets():
        values = (packet.pts, packet.dts, packet.pos, packet.size)
        for column, value in zip(numbers, values, strict=True):
            column.append(_known(value))
        for flag, is_set in zip(flags, (video.is_shown(packet), packet.is_keyframe), strict=True):
            flag.append(is_set)
    pts, dts, positions, sizes = (np.array(column, dtype=np.int64) for column in numbers)
    shown, keys = (np.array(flag, dtype=np.bool_) for flag in flags)
    return _Read(pts, dts, positions, sizes, shown, keys)


def _known(value: int | None) -> int:
    return UNKNOWN if value is None else value


def _order(read: _Read, base: Fraction) -> Ints:
    """(P,) packets in display order: by timestamp, one part after another where several were put together.

    A part begins where time falls back in decode order: the next recording of a transport stream, or what an
    edit list shows next, whose timestamps FFmpeg has overlap by some frames.
    """
    known = np.flatnonzero(read.dts != UNKNOWN)
    fall = -np.diff(read.dts[known])
    begins = (fall > 0) & read.keys[known[1:]] | (fall > _ANEW / float(base))
    part = np.zeros(len(read.dts), dtype=np.int64)
    part[known[1:]] = begins
    order: Ints = np.lexsort((read.pts, np.cumsum(part)))
    return order


def _comes_as_decoded(path: Path) -> bool:
    """Does the decoder give pictures in the order of their packets? By the first of them."""
    with open_video(path) as video:
        pictures = islice(video.numbered_pictures(enumerate(video.packets())), _LOOKED_AT)
        numbers = [number for number, _ in pictures]
    return numbers == sorted(numbers)


def _decoder_places(path: Path, count: int) -> npt.NDArray[np.float64]:
    """(P,) when each packet's picture comes out of the decoder, which alone knows the order.

    A picture that does not come out is put behind the one decoded before it.
    """
    places = np.full(count, np.nan)
    with open_video(path) as video:
        for place, (number, _) in enumerate(video.numbered_pictures(enumerate(video.packets()))):
            places[number] = place
    last = np.maximum.accumulate(np.where(np.isnan(places), 0, np.arange(count)))
    behind = (np.arange(count) - last) / count
    filled: npt.NDArray[np.float64] = np.nan_to_num(places[last], nan=-1.0) + behind
    return filled


def _ticks(shown_at: Ints, untold: bool, base: Fraction, rate: Fraction) -> tuple[Ints, Fraction]:
    """(N,) when each frame is shown, and the seconds of a tick."""
    if untold and UNKNOWN in shown_at:
        return np.arange(len(shown_at)), 1 / rate
    if untold:
        return np.sort(shown_at), base
    steps = np.diff(shown_at, prepend=0)
    back = np.flatnonzero(steps[1:] < 0) + 1  # a part whose time overlaps begins a frame after the one before
    steps[back] = np.median(steps[1:]) if len(back) else 0
    return np.cumsum(steps), base


def _inverse(order: Ints, count: int) -> Ints:
    """(count,) at which place of `order` each number stands, -1 where it does not."""
    inverse = np.full(count, -1, dtype=np.int64)
    inverse[order] = np.arange(len(order))
    return inverse
