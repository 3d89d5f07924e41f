"""The formats that every frame has to come out of exactly, at 60 frames each."""

from __future__ import annotations

import pytest

from labeler_backend.video.frames import Frame, FrameSource
from tests.video.numbered import number

GOP = 12
B_FRAMES = {"g": str(GOP), "bf": "3"}
OPEN_GOP = {"x264-params": f"keyint={GOP}:open-gop=1:bframes=3:scenecut=0"}
MPEG = {"g": str(GOP), "bf": "2", "b": "4000000"}
VPX = {"g": str(GOP), "lag-in-frames": "8", "deadline": "realtime"}
HEVC = {"x265-params": f"keyint={GOP}:bframes=3:open-gop=1:log-level=none:pools=1"}
REFRESH = {"x264-params": f"keyint={GOP}:intra-refresh=1:bframes=0"}

VIDEOS = [
    pytest.param("a.mp4", {"options": B_FRAMES}, id="h264 with B-frames"),
    pytest.param("a.mp4", {"options": OPEN_GOP}, id="h264, open GOP"),
    pytest.param("a.ts", {"options": OPEN_GOP}, id="transport stream, open GOP"),
    pytest.param("a.mp4", {"options": REFRESH}, id="h264, refreshed bit by bit"),
    pytest.param("a.mkv", {"options": B_FRAMES}, id="mkv"),
    pytest.param("a.flv", {"options": B_FRAMES}, id="flv"),
    pytest.param("a.avi", {"options": B_FRAMES}, id="h264 in avi, which has no display order"),
    pytest.param("a.mxf", {"options": B_FRAMES}, id="mxf, which has none either"),
    pytest.param("a.mov", {"options": B_FRAMES, "rotation": 90}, id="mov, rotated"),
    pytest.param("a.mp4", {"options": B_FRAMES, "sound_first": True}, id="sound before the pictures"),
    pytest.param(
        "a.mp4",
        {"options": B_FRAMES, "container_options": {"movflags": "frag_keyframe+empty_moov"}},
        id="mp4 in fragments",
    ),
    pytest.param("a.mp4", {"codec": "mpeg4", "options": MPEG}, id="mpeg4"),
    pytest.param("a.avi", {"codec": "mpeg4", "options": MPEG}, id="mpeg4 in avi"),
    pytest.param("a.mpg", {"codec": "mpeg2video", "options": MPEG}, id="program stream"),
    pytest.param("a.wmv", {"codec": "wmv2", "options": {"g": str(GOP)}}, id="wmv"),
    pytest.param("a.webm", {"codec": "libvpx-vp9", "options": VPX}, id="vp9"),
    pytest.param("a.webm", {"codec": "libvpx", "options": VPX}, id="vp8"),
    pytest.param("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, id="mjpeg"),
    pytest.param(
        "a.mkv", {"codec": "libx265", "options": HEVC, "pix_fmt": "yuv420p10le"}, id="hevc, 10 bits, open GOP"
    ),
    pytest.param("a.mkv", {"codec": "ffv1", "size": (63, 97), "pix_fmt": "yuv420p"}, id="odd size"),
]


def numbers(frames: FrameSource) -> list[int | None]:
    """What is to be seen, None for what cannot be decoded."""
    seen = list(frames)
    assert [frame.index for frame in seen] == list(range(len(frames)))
    return [number(frame.image) if isinstance(frame, Frame) else None for frame in seen]
