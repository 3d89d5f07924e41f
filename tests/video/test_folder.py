"""Folders of pictures as frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labeler_backend.errors import InputError
from labeler_backend.video.frames import BrokenFrame, Frame, open_frames
from labeler_backend.video.info import VideoInfo
from tests.video.numbered import SIZE, number, picture


def save(path: Path, code: int, size: tuple[int, int] = SIZE) -> Path:
    Image.fromarray(picture(code, size)).save(path, quality=95)
    return path


def test_natural_order(tmp_path: Path) -> None:
    names = ["1.png", "2.jpg", "02.jpg", "10.bmp", "A2.tif", "a10.webp", "b.gif"]
    order = ["1.png", "02.jpg", "2.jpg", "10.bmp", "A2.tif", "a10.webp", "b.gif"]
    for name in reversed(names):
        save(tmp_path / name, order.index(name))
    with open_frames(tmp_path) as frames:
        assert frames.info == VideoInfo(SIZE, 7, None)
        seen = list(frames)
        assert [number(f.image) for f in seen if isinstance(f, Frame)] == list(range(7))
        assert [f.index for f in seen] == list(range(7))
        assert [f.time for f in seen] == [None] * 7
        assert number(frames[4].image) == 4


def test_frame_rate(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"{i}.png", i)
    with open_frames(tmp_path, frame_rate=29.97) as frames:
        assert frames.info.frame_rate == 29.97
        assert [frame.time for frame in frames] == [0, 1 / 29.97, 2 / 29.97]


def test_what_is_no_frame(tmp_path: Path) -> None:
    save(tmp_path / "0.png", 0)
    save(tmp_path / ".hidden.png", 1)
    (tmp_path / "below.png").mkdir()
    save(tmp_path / "below.png" / "1.png", 1)
    (tmp_path / "notes.txt").write_text("no picture")
    with open_frames(tmp_path) as frames:
        assert len(frames) == 1


def test_upright(tmp_path: Path) -> None:
    save(tmp_path / "0.jpg", 5)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    Image.fromarray(np.rot90(picture(6)).copy()).save(tmp_path / "1.jpg", quality=95, exif=exif)
    with open_frames(tmp_path) as frames:
        assert frames.info.size == SIZE
        assert [number(frames[i].image) for i in range(2)] == [5, 6]


def test_damaged_pictures_keep_their_place(tmp_path: Path) -> None:
    for i in range(5):
        save(tmp_path / f"{i}.jpg", i)
    whole = (tmp_path / "0.jpg").read_bytes()
    (tmp_path / "0.jpg").write_bytes(b"")
    (tmp_path / "2.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "3.jpg").unlink()
    (tmp_path / "3.heic").write_bytes(b"a picture of a phone")
    with open_frames(tmp_path) as frames:
        assert frames.info == VideoInfo(SIZE, 5, None)
        seen = {f.index: number(f.image) if isinstance(f, Frame) else str(f) for f in frames}
        assert (seen[1], seen[4]) == (1, 4)
        assert "0.jpg is empty" in str(seen[0])
        assert "2.jpg is damaged" in str(seen[2])
        assert "convert it" in str(seen[3])
        with pytest.raises(BrokenFrame, match=r"2\.jpg is damaged") as error:
            frames[2]
        assert error.value.index == 2


def test_another_size_ends_it_and_what_came_before_stands(tmp_path: Path) -> None:
    save(tmp_path / "1.png", 1)
    save(tmp_path / "2.png", 2, (80, 96))
    with open_frames(tmp_path) as frames:
        coming = iter(frames)
        assert number(next(coming).image) == 1  # type: ignore[union-attr]
        with pytest.raises(InputError, match=r"2\.png is 96×80 pixels, .* are 96×64: scale it") as error:
            next(coming)
        assert not isinstance(error.value, BrokenFrame)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        pytest.param("notes.txt", b"no picture", "has no pictures: give", id="no pictures"),
        pytest.param("1.png", b"no picture", r"1\.png is not an image", id="nothing that can be read"),
        pytest.param("1.heic", b"picture", r"HEIC\): convert", id="nothing of a supported kind"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=reason):
        open_frames(tmp_path)
