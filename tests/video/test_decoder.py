"""Any frame, in any order, and what it costs."""

from __future__ import annotations

import gc
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeler_backend.video.frames import Frame, VideoFrames, open_frames
from tests.video.numbered import make, number
from tests.video.videos import B_FRAMES, GOP, REFRESH, VIDEOS, numbers


@pytest.mark.parametrize("least_kept", [pytest.param(False, id="small"), pytest.param(True, id="as at 4K")])
@pytest.mark.parametrize(("name", "making"), VIDEOS)
def test_any_frame_is_the_same_as_in_order(
    tmp_path: Path, name: str, making: dict[str, Any], least_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if least_kept:
        monkeypatch.setattr("labeler_backend.video.decoder._KEPT_BYTES", 1)
    path = make(tmp_path / name, **making)
    with VideoFrames(path) as in_order:
        expected = [frame.image for frame in in_order if isinstance(frame, Frame)]
    with VideoFrames(path) as frames:
        for index in random.Random(0).sample(range(60), 60):
            before = frames.decoded
            frame = frames[index]
            assert frame.index == index
            assert np.array_equal(frame.image, expected[index])
            if making.get("options") != REFRESH:
                assert frames.decoded - before <= 2 * GOP + 4  # from the key frame, or the one before it
        assert [frame.index for frame in frames.frames(None, None, -1)] == list(reversed(range(60)))


def test_going_on_decodes_each_frame_once(tmp_path: Path) -> None:
    with VideoFrames(make(tmp_path / "a.mp4", options=B_FRAMES)) as frames:
        assert numbers(frames) == list(range(60))
        assert frames.decoded == 60


def test_a_far_frame_is_not_decoded_from_the_start(tmp_path: Path) -> None:
    with VideoFrames(make(tmp_path / "a.mkv", count=600, options=B_FRAMES)) as frames:
        before = frames.decoded
        assert number(frames[590].image) == 590
        assert frames.decoded - before <= GOP + 1


def test_threads_take_turns(tmp_path: Path) -> None:
    with open_frames(make(tmp_path / "a.mp4", options=B_FRAMES)) as frames, ThreadPoolExecutor(4) as threads:
        asked = [random.Random(0).randrange(60) for _ in range(200)]
        assert list(threads.map(lambda index: number(frames[index].image), asked)) == asked


def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux's /proc")
    path = make(tmp_path / "a.mp4", count=300, size=(720, 1280), options={"preset": "ultrafast"})
    gc.collect()
    gc.disable()  # PyAV's reference cycles would be freed only some time
    try:
        with open_frames(path) as frames:
            before = resident()
            for frame in frames:
                assert isinstance(frame, Frame)
            grown = resident() - before
    finally:
        gc.enable()
    assert grown < 150  # MiB: 64 are kept; all 300 pictures are 400
