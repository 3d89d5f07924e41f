"""Small, real videos whose frames carry their number in the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

SIZE = (64, 96)  # H, W
MILLISECONDS = Fraction(1, 1000)
_BITS = 12
_DARK, _BRIGHT = 20, 230


def picture(number: int, size: tuple[int, int] = SIZE) -> npt.NDArray[np.uint8]:
    """(H, W, 3): one bar for each bit of `number`, the lowest at the left."""
    columns = np.arange(size[1]) * _BITS // size[1]
    bars = np.where(number >> columns & 1, _BRIGHT, _DARK).astype(np.uint8)
    return np.broadcast_to(bars[None, :, None], (*size, 3)).copy()


def number(image: npt.NDArray[np.uint8]) -> int:
    """What `picture` wrote, lossy coding in between."""
    middle = image[image.shape[0] // 4 : image.shape[0] * 3 // 4].mean(axis=(0, 2))
    bars = [bar[len(bar) // 4 : -(len(bar) // 4)].mean() for bar in np.array_split(middle, _BITS)]
    return sum(int(bar > (_DARK + _BRIGHT) / 2) << i for i, bar in enumerate(bars))


def make(
    path: Path,
    count: int = 60,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    milliseconds: Sequence[int] | None = None,
    rotation: int | None = None,
    sound_first: bool = False,
    container_options: dict[str, str] | None = None,
) -> Path:
    """`count` frames at 25 frames a second, or at the given times."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        sound = container.add_stream("aac", rate=8000) if sound_first else None
        stream = container.add_stream(codec, rate=25, options=options or {})
        (stream.height, stream.width), stream.pix_fmt = size, pix_fmt
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if milliseconds is not None:
            stream.codec_context.time_base = MILLISECONDS
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(i, size), format="rgb24")
            if milliseconds is not None:
                frame.pts, frame.time_base = milliseconds[i], MILLISECONDS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate = 8000
            container.mux(sound.encode(silence))
            container.mux(sound.encode())
    return path


def copied(source: Path, path: Path, first: int = 0, hidden: Sequence[int] = ()) -> Path:
    """The video stream's packets from `first` on; `hidden` ones lose VP8's sign that they are shown."""
    with av.open(str(source)) as inside, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(inside.streams.video[0])
        for i, packet in enumerate(p for p in inside.demux(video=0) if p.size):
            if i in hidden:
                data = bytes(packet)
                packet.update(bytes([data[0] & ~0x10]) + data[1:])
            if i >= first:
                packet.stream = stream
                out.mux(packet)
    return path


def with_packet(source: Path, path: Path, packet: int, byte: int | None, start: float = 0.0) -> Path:
    """A copy with one packet, in decode order, overwritten from a part of it on; noise for None."""
    with av.open(str(source)) as container:
        held = [bytes(p) for p in container.demux(video=0) if p.size][packet]
    data = bytearray(source.read_bytes())
    position, size, begin = data.index(held), len(held), int(len(held) * start)
    noise = np.random.default_rng(0).integers(0, 256, size - begin, np.uint8).tobytes()
    data[position + begin : position + size] = noise if byte is None else bytes([byte]) * (size - begin)
    path.write_bytes(data)
    return path


def edited(source: Path, path: Path, edits: Sequence[tuple[int, int]]) -> Path:
    """An MP4 of `make` with another edit list: (frames, first frame), first frame -1 for nothing to see."""
    data = source.read_bytes()
    trail = _trail(data, [b"moov", b"trak", b"edts", b"elst"], 0, len(data))
    low, high = trail[-1]
    with av.open(str(source)) as container:
        ticks = 1 / (25 * container.streams.video[0].time_base)
    delay = struct.unpack_from(">i", data, low + 20)[0]  # of the B-frames
    rows = ((40 * n, -1 if first < 0 else delay + int(first * ticks), 0x10000) for n, first in edits)
    body = struct.pack(">II", 0, len(edits)) + b"".join(struct.pack(">IiI", *row) for row in rows)
    new = bytearray(data[:low] + struct.pack(">I4s", 8 + len(body), b"elst") + body + data[high:])
    for start, end in trail[:-1]:
        struct.pack_into(">I", new, start, end - start + len(new) - len(data))
    path.write_bytes(new)
    return path


def _trail(data: bytes, names: Sequence[bytes], low: int, high: int) -> list[tuple[int, int]]:
    """Where the boxes that lead to the last name begin and end."""
    if not names:
        return []
    at = next((at, end) for name, at, end in _boxes(data, low, high) if name == names[0])
    return [at, *_trail(data, names[1:], at[0] + 8, at[1])]


def _boxes(data: bytes, low: int, high: int) -> Iterator[tuple[bytes, int, int]]:
    while low < high:
        (size,) = struct.unpack_from(">I", data, low)
        yield data[low + 4 : low + 8], low, low + size
        low += size
