"""One video's tracks as one file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporters.video.single import write_mot, write_youtube_vis
from labeler_backend.records import Track, VideoRecord
from tests.exporters.drawn import SIZE, box

TRACK = Track("4", None, {1: box(2, 3, 4, 5)}, score=0.5)
VIDEO = VideoRecord(1, "clip.mp4", SIZE, 3, 29.97, (TRACK,))
EMPTY = VideoRecord(1, "clip.mp4", SIZE, 3, None, ())


def test_youtube_vis(tmp_path: Path) -> None:
    write_youtube_vis(tmp_path / "tracks.json", VIDEO, "made by")
    data = json.loads((tmp_path / "tracks.json").read_text("utf-8"))
    assert data["info"]["description"] == "made by"
    assert (data["videos"][0]["length"], data["videos"][0]["frame_rate"]) == (3, 29.97)
    (row,) = data["annotations"]
    assert row["bboxes"] == [None, [2, 3, 4, 5], None]
    assert (row["attributes"]["track_id"], row["score"]) == ("4", 0.5)


def test_mot(tmp_path: Path) -> None:
    write_mot(tmp_path / "tracks.txt", VIDEO)
    assert (tmp_path / "tracks.txt").read_text("utf-8") == "2,4,3,4,4,5,1,1,1\n"


@pytest.mark.parametrize("write", [write_youtube_vis, write_mot])
def test_nothing_else_is_left_and_what_was_there_is_replaced(tmp_path: Path, write: type) -> None:
    (tmp_path / "tracks").write_text("before")
    write(tmp_path / "tracks", EMPTY)
    assert [path.name for path in tmp_path.iterdir()] == ["tracks"]
    assert (tmp_path / "tracks").read_text("utf-8") != "before"
