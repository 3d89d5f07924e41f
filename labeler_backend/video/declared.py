"""How long a file says it is: what FFmpeg passes over in silence, and what shows that a copy broke off."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_OPEN_RIFF = 0xFFFFFFFF
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def declared_end(path: Path) -> int:
    """Where the contents end, in bytes, by the header of an AVI, Matroska or WebM file.

    0 for other formats, and where the length was left open (a recorder switched off, a live stream).
    """
    with open(path, "rb") as file:
        start = file.read(4)
        if start == b"RIFF":
            # from behind this number, but some writers count from the beginning: the lower of the two
            length = int.from_bytes(file.read(4), "little")
            return length if length != _OPEN_RIFF else 0
        if start == _EBML:
            return _segment_end(file)
    return 0


def _segment_end(file: BinaryIO) -> int:
    """Matroska (RFC 9559): the EBML header, then one segment with everything."""
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """EBML's number of 1 to 8 bytes (RFC 8794, 4): zeros before the first 1 say how many follow.

    None where all its bits are 1, which means unknown, or where it is none.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big")
    bits = 7 * (more + 1)
    value &= (1 << bits) - 1
    return None if value == (1 << bits) - 1 else value
