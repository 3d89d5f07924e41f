"""Real, small videos, made with PyAV."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from labeler_backend.errors import InputError
from labeler_backend.video.info import VideoInfo, read_info

SIZE = (64, 96)  # H, W
FRAMES = 12
NTSC = Fraction(30000, 1001)


def make(
    path: Path, codec: str = "mpeg4", rotation: int | None = None, options: dict[str, str] | None = None
) -> Path:
    """A video of `FRAMES` frames."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=NTSC)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        if rotation is not None:
            stream.set_display_rotation(rotation)
        noise = np.random.default_rng(0)
        for _ in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, 255, (*SIZE, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sound(path: Path, cover: bool = False) -> Path:
    """A file with nothing to see but, at most, a cover picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        picture = container.add_stream("mjpeg", rate=1) if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            still = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(still))
            container.mux(picture.encode())
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "making"),
    [
        pytest.param("a.mp4", {}, id="mp4"),
        pytest.param("a.mov", {}, id="mov"),
        pytest.param("a.avi", {}, id="avi"),
        pytest.param("a.mkv", {}, id="mkv, which has no count"),
        pytest.param("a.webm", {"codec": "libvpx-vp9"}, id="webm"),
        pytest.param("f.mp4", {"options": {"movflags": "frag_keyframe+empty_moov"}}, id="mp4 in fragments"),
        pytest.param("http:x y#1?.mp4", {}, id="a name that looks like an address"),
    ],
)
def test_what_it_is(tmp_path: Path, name: str, making: dict[str, object]) -> None:
    source = make(tmp_path / Path("a").with_suffix(Path(name).suffix), **making)  # type: ignore[arg-type]
    path = source.rename(tmp_path / name)
    assert read_info(path) == VideoInfo(SIZE, FRAMES, pytest.approx(float(NTSC), rel=1e-3))


@pytest.mark.parametrize(
    ("rotation", "size"), [(90, SIZE[::-1]), (180, SIZE), (270, SIZE[::-1]), (-90, SIZE[::-1]), (0, SIZE)]
)
def test_size_is_as_shown(tmp_path: Path, rotation: int, size: tuple[int, int]) -> None:
    assert read_info(make(tmp_path / "a.mp4", rotation=rotation)).size == size


def test_frames_hidden_by_an_edit_list_do_not_count(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mp4", codec="libx264", options={})
    path = tmp_path / "cut.mp4"
    with av.open(str(source)) as inside, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(inside.streams.video[0])
        packets = [p for p in inside.demux(video=0) if p.size]
        begin = sorted(p.pts for p in packets)[4]
        for packet in packets:
            packet.stream = stream
            packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
            out.mux(packet)
    info = read_info(path)
    with av.open(str(path)) as container:
        assert info.frame_count == sum(1 for _ in container.decode(video=0))
    assert info.frame_count < FRAMES


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("none.mp4", "not a file", id="missing"),
        pytest.param("folder", "not a file", id="a folder"),
        pytest.param("empty.mp4", "no video that can be read", id="empty"),
        pytest.param("cut.mp4", "no video that can be read", id="cut off before its index"),
        pytest.param("fast.mp4", "ends before its last frame", id="cut off behind its index"),
        pytest.param("text.mp4", "no video that can be read|not a video", id="text"),
        pytest.param("text.txt", "not a video", id="text that says so"),
        pytest.param("picture.png", "not a video", id="png"),
        pytest.param("picture.jpg", "not a video", id="jpeg"),
        pytest.param("sound.mp4", "no moving pictures", id="only sound"),
        pytest.param("cover.mp4", "no moving pictures", id="sound with a cover"),
        pytest.param("list.ffconcat", "not a video", id="a list of other files"),
        pytest.param("list.m3u8", "no video that can be read|not a video", id="a list of addresses"),
    ],
)
def test_what_it_is_not(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    whole = make(tmp_path / "whole.mp4").read_bytes()
    fast = make(tmp_path / "whole-fast.mp4", options={"movflags": "faststart"}).read_bytes()
    contents = {
        "empty.mp4": b"",
        "cut.mp4": whole[: len(whole) * 3 // 4],
        "fast.mp4": fast[: len(fast) * 3 // 4],
        "text.mp4": b"not a video\n" * 40,
        "text.txt": b"not a video\n" * 40,
        "list.ffconcat": b"ffconcat version 1.0\nfile 'whole.mp4'\n",
        "list.m3u8": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    }
    if name in contents:
        (tmp_path / name).write_bytes(contents[name])
    elif name.startswith("picture"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    elif name in ("sound.mp4", "cover.mp4"):
        sound(tmp_path / name, cover=name == "cover.mp4")
    with pytest.raises(InputError, match=reason) as error:
        read_info(tmp_path / name)
    assert name in str(error.value)
