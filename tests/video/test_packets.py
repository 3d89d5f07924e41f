"""Which frames there are, in which order, and when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labeler_backend.video.frames import BrokenFrame, open_frames
from labeler_backend.video.info import read_info
from tests.video.numbered import copied, edited, make, number
from tests.video.videos import B_FRAMES, GOP, VPX, numbers


def test_a_raw_stream_has_an_order_too(tmp_path: Path) -> None:
    with open_frames(make(tmp_path / "a.h264", options=B_FRAMES)) as frames:
        assert numbers(frames) == list(range(60))
        assert number(frames[17].image) == 17
        assert frames[17].time == pytest.approx(17 / 25)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("begin", [pytest.param(0, id="from 0"), pytest.param(5000, id="from 5 s")])
def test_variable_frame_rate(tmp_path: Path, name: str, begin: int) -> None:
    steps = np.random.default_rng(0).integers(1, 400, 40)
    times = (begin + np.cumsum(steps)).tolist()
    path = make(tmp_path / name, count=40, options=B_FRAMES, milliseconds=times)
    with open_frames(path) as frames:
        assert numbers(frames) == list(range(40))
        seconds = [(time - times[0]) / 1000 for time in times]
        assert [frames[i].time for i in range(40)] == pytest.approx(seconds, abs=1e-9)
        assert frames.start == pytest.approx(times[0] / 1000)


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        pytest.param([(20, 30)], [*range(30, 50)], id="one, cut inside a group"),
        pytest.param([(10, 5), (10, 30)], [*range(5, 15), *range(30, 40)], id="two"),
        pytest.param([(10, 40), (10, 5)], [*range(40, 50), *range(5, 15)], id="backwards"),
        pytest.param([(10, 30), (10, 30)], [*range(30, 40), *range(30, 40)], id="one twice"),
        pytest.param([(5, -1), (10, 30)], [*range(30, 40)], id="nothing first"),
    ],
)
def test_edit_lists(tmp_path: Path, edits: list[tuple[int, int]], expected: list[int]) -> None:
    path = edited(make(tmp_path / "a.mp4", options=B_FRAMES), tmp_path / "edited.mp4", edits)
    with open_frames(path) as frames:
        assert frames.info == read_info(path)
        assert numbers(frames) == expected
        assert [number(frames[i].image) for i in reversed(range(len(frames)))] == expected[::-1]
        times = [frame.time for frame in frames]
        assert times[:10] == pytest.approx([i / 25 for i in range(10)])
        # FFmpeg has the parts a frame or two apart where there are B-frames
        assert np.diff(np.array(times)).min() == pytest.approx(1 / 25)
        assert times[-1] == pytest.approx((len(expected) - 1) / 25, abs=2 / 25)


def test_frames_that_vp8_only_refers_to_do_not_count(tmp_path: Path) -> None:
    source = make(tmp_path / "a.webm", codec="libvpx", options=VPX)
    path = copied(source, tmp_path / "b.webm", hidden=[5, 30])
    with open_frames(path) as frames:
        assert frames.info == read_info(path)
        assert numbers(frames) == [i for i in range(60) if i not in (5, 30)]


def test_two_recordings_in_one_file(tmp_path: Path) -> None:
    once = make(tmp_path / "a.ts", options=B_FRAMES)
    path = tmp_path / "twice.ts"
    path.write_bytes(once.read_bytes() * 2)
    with open_frames(path) as frames:
        assert numbers(frames) == [*range(60), *range(60)]
        assert [frames[i].time for i in range(120)] == pytest.approx([i / 25 for i in range(120)])
        assert number(frames[70].image) == 10


def test_what_lacks_its_key_frame_keeps_its_number(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv", options={**B_FRAMES, "x264-params": "scenecut=0"})
    path = copied(source, tmp_path / "b.mkv", first=3)
    with open_frames(path) as frames:
        assert frames.info == read_info(path)
        seen = numbers(frames)
        assert seen[0] is None
        assert seen[GOP - 3 :] == list(range(GOP, 60))  # three frames went with their packets
        with pytest.raises(BrokenFrame, match=r"Frame 0 of .*export"):
            frames[0]
