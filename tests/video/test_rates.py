from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from labeler_backend.video.frames import open_frames
from labeler_backend.video.info import read_info
from labeler_backend.video.rates import STANDARD, named_rate

FINE = Fraction(1, 90_000)
MILLISECOND = Fraction(1, 1000)
NTSC_FILM, NTSC, NTSC_DOUBLE = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("told", "count", "tick", "rate"),
    [
        pytest.param(23.976, 1000, FINE, NTSC_FILM, id="23.976"),
        pytest.param(23.97507, 100, MILLISECOND, NTSC_FILM, id="23.976 in milliseconds"),
        pytest.param(23.97561, 9000, MILLISECOND, NTSC_FILM, id="23.976 of FLV"),
        pytest.param(24.0, 1000, FINE, 24, id="24"),
        pytest.param(23.99808, 100, MILLISECOND, 24, id="24 in milliseconds"),
        pytest.param(24.9999, 100_000, FINE, 25, id="25 and a bit less"),
        pytest.param(25.0001, 100_000, FINE, 25, id="25 and a bit more"),
        pytest.param(29.97003, 10, FINE, NTSC, id="29.97"),
        pytest.param(29.96704, 100, MILLISECOND, NTSC, id="29.97 in milliseconds"),
        pytest.param(30.003, 100, MILLISECOND, 30, id="30 in milliseconds"),
        pytest.param(29.99, 100, Fraction(1, 600), 30, id="30 of a phone"),
        pytest.param(50.0, 7, FINE, 50, id="50"),
        pytest.param(59.93607, 10, FINE, NTSC_DOUBLE, id="59.94"),
        pytest.param(59.9375, 9000, MILLISECOND, NTSC_DOUBLE, id="59.94 of FLV"),
        pytest.param(59.988, 100, MILLISECOND, 60, id="60 in milliseconds"),
    ],
)
def test_what_a_container_rounded_is_a_standard_rate(
    told: float, count: int, tick: Fraction, rate: Fraction
) -> None:
    assert named_rate(Fraction(told), count, tick) == rate


@pytest.mark.parametrize(
    ("told", "count", "tick"),
    [
        pytest.param(17.3, 10, MILLISECOND, id="17.3"),
        pytest.param(29.99, 10_000, Fraction(1, 600), id="between 29.97 and 30, and no tick explains it"),
        pytest.param(24.99, 1000, FINE, id="a frame in 100 seconds less than 25"),
        pytest.param(24.5, 10, Fraction(2, 49), id="a tick is a frame, as in AVI"),
        pytest.param(1.0, 5, FINE, id="one a second"),
        pytest.param(1000.0, 5, FINE, id="a thousand a second"),
        pytest.param(22.5, 0, MILLISECOND, id="no frame"),
        pytest.param(22.5, 5, Fraction(0), id="no ticks"),
    ],
)
def test_another_rate_is_kept(told: float, count: int, tick: Fraction) -> None:
    assert named_rate(Fraction(told), count, tick) == Fraction(told)


@pytest.mark.parametrize("rate", STANDARD, ids=lambda rate: f"{float(rate):g}")
def test_standard_rates_are_found_again_however_they_are_ticked(rate: Fraction) -> None:
    for tick in (FINE, MILLISECOND, Fraction(1, 600)):
        for count in (200, 997, 100_000):
            length = round(count / rate / tick) * tick
            assert named_rate(count / length, count, tick) == rate


@pytest.mark.parametrize(
    "rate", [NTSC_FILM, Fraction(25), NTSC, Fraction(60)], ids=lambda one: f"{float(one):g}"
)
def test_of_a_file_in_milliseconds(rate: Fraction, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", options={"video_track_timescale": "1000"}) as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for index in range(97):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 2 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert rate == 25 or container.streams.video[0].average_rate != rate
    with open_frames(path) as frames:
        assert frames.info.frame_rate == read_info(path).frame_rate == float(rate)
