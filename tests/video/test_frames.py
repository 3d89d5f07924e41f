"""Every frame carries its number: what comes out is told by what is to be seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from labeler_backend.errors import InputError
from labeler_backend.video.frames import BrokenFrame, Frame, open_frames
from labeler_backend.video.info import read_info
from tests.video.numbered import SIZE, make, number, picture, with_packet
from tests.video.test_info import sound
from tests.video.videos import B_FRAMES, GOP, MPEG, VIDEOS, numbers


def upright(frame: Frame, rotation: int | None) -> np.ndarray[Any, Any]:
    return np.rot90(frame.image, -round((rotation or 0) / 90))


@pytest.mark.parametrize(("name", "making"), VIDEOS)
def test_in_order(tmp_path: Path, name: str, making: dict[str, Any]) -> None:
    path = make(tmp_path / name, **making)
    with open_frames(path) as frames:
        seen = list(frames)
        assert frames.info == read_info(path)
        assert len(frames) == len(seen) == 60
        assert all(isinstance(frame, Frame) and frame.image.shape[:2] == frames.info.size for frame in seen)
        codes = [number(upright(frame, making.get("rotation"))) for frame in seen]
        assert codes == [frame.index for frame in seen] == list(range(60))
        assert [frame.time for frame in seen] == pytest.approx([i / 25 for i in range(60)], abs=6e-4)


@pytest.mark.parametrize(
    ("name", "making", "packet"),
    [
        pytest.param("a.mp4", {"options": B_FRAMES}, 15, id="a B-frame"),
        pytest.param("a.mp4", {"options": {"g": "12", "bf": "0"}}, 18, id="a P-frame"),
        pytest.param("a.mp4", {"options": {"g": "12", "bf": "0"}}, 24, id="a key frame"),
        pytest.param("a.mkv", {"options": B_FRAMES}, 15, id="mkv"),
        pytest.param("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, 20, id="mjpeg"),
        pytest.param("a.avi", {"codec": "mpeg4", "options": MPEG}, 18, id="mpeg4"),
        pytest.param("a.avi", {"options": B_FRAMES}, 20, id="h264 in avi"),
    ],
)
def test_a_frame_that_cannot_be_decoded(
    tmp_path: Path, name: str, making: dict[str, Any], packet: int
) -> None:
    whole = make(tmp_path / name, **making)
    path = with_packet(whole, tmp_path / f"broken-{name}", packet, byte=0)
    with open_frames(path) as frames:
        assert len(frames) == 60
        assert frames.info == read_info(path)
        seen = list(frames)
        broken = [frame.index for frame in seen if isinstance(frame, BrokenFrame)]
        assert 1 <= len(broken) <= GOP
        assert all(broken[0] <= index < broken[0] + GOP for index in broken)
        assert [frame.time for frame in seen] == pytest.approx([i / 25 for i in range(60)])
        sound_again = [*range(broken[0]), *range(broken[0] + 2 * GOP, 60)]
        for index in sound_again:
            assert number(frames[index].image) == index
    with open_frames(path) as frames:  # the same without having come from the start
        for index in random.Random(0).sample(range(60), 60):
            if index in broken:
                with pytest.raises(BrokenFrame, match=f"Frame {index} of .*export") as error:
                    frames[index]
                assert error.value.index == index
            elif index in sound_again:
                assert number(frames[index].image) == index


def test_a_frame_that_the_decoder_mended_says_so(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.mp4", codec="mpeg4", options={"g": "12", "b": "4000000"})
    path = with_packet(whole, tmp_path / "b.mp4", 30, byte=None, start=0.5)
    with open_frames(path) as frames:
        assert [frame.index for frame in frames if isinstance(frame, Frame) and frame.damaged] == [30]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
@pytest.mark.parametrize("part", [0.95, 0.6])
def test_cut_off(tmp_path: Path, name: str, part: float) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = make(tmp_path / name, codec=codec, container_options=options)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(InputError, match="copy it again"):
        open_frames(path)


def test_a_transport_stream_plays_to_where_it_is_cut(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ts", options=B_FRAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_frames(path) as frames:
        seen = numbers(frames)
        assert 20 < len(seen) < 40
        assert seen[:-3] == list(range(len(seen) - 3))


def unknown_codec(path: Path) -> None:
    make(path, count=3)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/AVX"))


def nothing_but_noise(path: Path) -> None:
    make(path, count=3, codec="mjpeg", pix_fmt="yuvj420p")
    for packet in range(3):
        with_packet(path, path, packet, byte=0)


@pytest.mark.parametrize(
    ("name", "making", "reason"),
    [
        pytest.param("a.mp4", lambda path: None, "not a file: check", id="missing"),
        pytest.param("a.mp4", lambda path: path.write_bytes(b""), "copy it again", id="empty"),
        pytest.param("a.mp4", lambda path: make(path, count=0), "check|give", id="no frames"),
        pytest.param("a.mp4", sound, "give a video file", id="only sound"),
        pytest.param("a.mp4", lambda path: sound(path, cover=True), "give a video", id="sound with a cover"),
        pytest.param("a.mkv", unknown_codec, "cannot be decoded here: convert it", id="unknown codec"),
        pytest.param("a.avi", nothing_but_noise, "no frame that can be read", id="nothing to decode"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, name: str, making: Any, reason: str) -> None:
    making(tmp_path / name)
    with pytest.raises(InputError, match=reason) as error:
        open_frames(tmp_path / name)
    assert name in str(error.value)
    with pytest.raises(InputError, match=reason):
        read_info(tmp_path / name)


def test_another_size_ends_it_and_what_came_before_stands(tmp_path: Path) -> None:
    first, second = make(tmp_path / "1.ts"), make(tmp_path / "2.ts", size=(80, 96))
    (tmp_path / "a.ts").write_bytes(first.read_bytes() + second.read_bytes())
    with open_frames(tmp_path / "a.ts") as frames:
        coming = iter(frames)
        assert [next(coming).index for _ in range(60)] == list(range(60))
        with pytest.raises(InputError, match=r"Frame 60 of .* is 96×80 pixels, .* are 96×64: split"):
            next(coming)


@pytest.mark.parametrize(
    "slice_", [(10, 20, 3), (None, 5, None), (50, None, None), (20, 10, -2), (-5, None, 1), (70, 80, 1)]
)
def test_slices(tmp_path: Path, slice_: tuple[int | None, int | None, int | None]) -> None:
    with open_frames(make(tmp_path / "a.mp4", options=B_FRAMES)) as frames:
        seen: Sequence[int] = [number(f.image) for f in frames.frames(*slice_) if isinstance(f, Frame)]
        assert seen == list(range(60))[slice(*slice_)]


@pytest.mark.parametrize("index", [-1, 60])
def test_no_such_frame(tmp_path: Path, index: int) -> None:
    with open_frames(make(tmp_path / "a.mp4")) as frames, pytest.raises(IndexError, match="among 60"):
        frames[index]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_no_such_frame_rate(tmp_path: Path, rate: float) -> None:
    with pytest.raises(InputError, match="give frames per second"):
        open_frames(tmp_path, frame_rate=rate)


def test_a_title_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Muenchen"
        stream = container.add_stream("mjpeg", rate=25)
        (stream.height, stream.width), stream.pix_fmt = SIZE, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"Muenchen", "M\xfcnchen ".encode("latin-1")))
    with open_frames(path) as frames:
        assert numbers(frames) == [0]
