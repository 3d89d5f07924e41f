"""Pixels as a player shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorRange, Colorspace

from labeler_backend.video.frames import open_frames
from labeler_backend.video.info import read_info

Image = npt.NDArray[np.uint8]

RED = (200, 60, 30)
UNSPECIFIED = 2


def corners() -> Image:
    """(64, 96, 3) with another colour in each corner."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[:24, :36], image[:24, -36:] = (220, 30, 30), (30, 220, 30)
    image[-24:, :36] = (30, 30, 220)
    return image


def lossless(path: Path, image: Image, pix_fmt: str = "yuv444p", **turned: int | bool) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        (stream.height, stream.width), stream.pix_fmt = image.shape[:2], pix_fmt
        if turned:
            stream.set_display_rotation(turned.pop("rotation", 0), **turned)  # type: ignore[arg-type]
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("turned", "shown"),
    [  # as `ffmpeg -autorotate` has them
        pytest.param({}, lambda image: image, id="as it is"),
        pytest.param({"rotation": 90}, np.rot90, id="90° to the left"),
        pytest.param({"rotation": 180}, lambda image: np.rot90(image, 2), id="upside down"),
        pytest.param({"rotation": 270}, lambda image: np.rot90(image, 3), id="90° to the right"),
        pytest.param({"hflip": True}, np.fliplr, id="mirrored"),
        pytest.param({"vflip": True}, np.flipud, id="mirrored upside down"),
        pytest.param(
            {"rotation": 90, "hflip": True},
            lambda image: image.transpose(1, 0, 2)[::-1, ::-1],
            id="turned and mirrored",
        ),
        pytest.param(
            {"rotation": 90, "vflip": True},
            lambda image: image.transpose(1, 0, 2),
            id="turned and mirrored again",
        ),
    ],
)
def test_upright(tmp_path: Path, turned: dict[str, int], shown: Callable[[Image], Image]) -> None:
    path = lossless(tmp_path / "a.mp4", corners(), **turned)
    with open_frames(path) as frames:
        expected = shown(corners())
        image = frames[0].image
        assert frames.info.size == read_info(path).size == image.shape[:2] == expected.shape[:2]
        assert image.flags.c_contiguous
        assert np.abs(image.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("matrix", "values", "pix_fmt", "size", "named"),
    [
        pytest.param(Colorspace.ITU601, ColorRange.MPEG, "yuv420p", (64, 96), True, id="BT.601"),
        pytest.param(Colorspace.ITU709, ColorRange.MPEG, "yuv420p", (64, 96), True, id="BT.709"),
        pytest.param(Colorspace.ITU709, ColorRange.JPEG, "yuv420p", (64, 96), True, id="full range"),
        pytest.param(Colorspace.ITU601, ColorRange.JPEG, "yuvj420p", (64, 96), True, id="yuvj"),
        pytest.param(Colorspace.ITU709, ColorRange.MPEG, "yuv420p10le", (64, 96), True, id="10 bits"),
        pytest.param(Colorspace.ITU601, ColorRange.MPEG, "yuv420p", (576, 720), False, id="SD, unnamed"),
        pytest.param(Colorspace.ITU709, ColorRange.MPEG, "yuv420p", (720, 1280), False, id="HD, unnamed"),
    ],
)
def test_colours(
    tmp_path: Path,
    matrix: Colorspace,
    values: ColorRange,
    pix_fmt: str,
    size: tuple[int, int],
    named: bool,
) -> None:
    frame = av.VideoFrame.from_ndarray(np.full((*size, 3), RED, np.uint8), format="rgb24")
    frame = frame.reformat(
        format=pix_fmt, dst_colorspace=matrix, dst_color_range=values, src_color_range=ColorRange.JPEG
    )
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        (stream.height, stream.width), stream.pix_fmt = size, pix_fmt
        if named:
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, values
        else:
            frame.colorspace = UNSPECIFIED
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open_frames(tmp_path / "a.mp4") as frames:
        assert np.abs(frames[0].image.astype(int) - RED).max() <= 4


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    image = np.zeros((64, 96, 4), np.uint8)
    image[:, 48:] = (*RED, 255)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        (stream.height, stream.width), stream.pix_fmt = (64, 96), "bgra"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
        container.mux(stream.encode())
    with open_frames(tmp_path / "a.mkv") as frames:
        shown = frames[0].image
        assert (shown[:, :48] == 255).all()
        assert (shown[:, 48:] == RED).all()
