"""What headers say of a file's length."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.video.declared import declared_end
from tests.video.numbered import make

HEADER = b"\x1a\x45\xdf\xa3\x84head"  # four bytes long
SEGMENT = b"\x18\x53\x80\x67"


@pytest.mark.parametrize(
    ("content", "end"),
    [
        pytest.param(b"RIFF\x64\x00\x00\x00AVI ", 100, id="avi"),
        pytest.param(b"RIFF\x00\x00\x00\x00AVI ", 0, id="avi left open"),
        pytest.param(b"RIFF\xff\xff\xff\xffAVI ", 0, id="avi of a stream"),
        pytest.param(HEADER + SEGMENT + b"\x90", 9 + 4 + 1 + 16, id="matroska, length of 1 byte"),
        pytest.param(HEADER + SEGMENT + b"\x01" + bytes(6) + b"\x10", 9 + 4 + 8 + 16, id="of 8 bytes"),
        pytest.param(HEADER + SEGMENT + b"\xff", 0, id="unknown"),
        pytest.param(HEADER + SEGMENT + b"\x01" + b"\xff" * 7, 0, id="unknown, 8 bytes"),
        pytest.param(HEADER + SEGMENT, 0, id="cut off before it"),
        pytest.param(HEADER + b"else\x90", 0, id="no segment"),
        pytest.param(HEADER[:4] + b"\x00", 0, id="no length"),
        pytest.param(b"", 0, id="empty"),
        pytest.param(b"\x00\x00\x00\x20ftypisom", 0, id="mp4"),
    ],
)
def test_headers(tmp_path: Path, content: bytes, end: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    assert declared_end(path) == end


@pytest.mark.parametrize("name", ["a.avi", "a.mkv"])
def test_real_files_end_where_they_say(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name)
    assert path.stat().st_size - 8 <= declared_end(path) <= path.stat().st_size
