"""Boxes as the MOTChallenge has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.video.single import write_mot
from labeler_backend.errors import InputError
from labeler_backend.track.boxes_file import read_boxes
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.tracks import Track, box_record

INFO = VideoInfo((40, 60), 5, 25.0)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        pytest.param("1,3,11,21,5,6,1,1,1\n", {3: {0: (10, 20, 5, 6)}}, id="ground truth"),
        pytest.param("1,3,11,21,5,6\n", {3: {0: (10, 20, 5, 6)}}, id="nothing but the box"),
        pytest.param("1 3 11 21 5 6\n", {3: {0: (10, 20, 5, 6)}}, id="spaces"),
        pytest.param("\ufeff1, 3, 11, 21, 5, 6\r\n\r\n", {3: {0: (10, 20, 5, 6)}}, id="as Windows writes it"),
        pytest.param(
            "# a\n5,1,1,1,60,40\n2,1,2,2,3,3\n", {1: {4: (0, 0, 60, 40), 1: (1, 1, 3, 3)}}, id="any order"
        ),
        pytest.param("1,1,1,1,5,5,1\n1,2,1,1,5,5,0\n", {1: {0: (0, 0, 5, 5)}}, id="not to be counted"),
        pytest.param("1,1,-3.5,0.5,9.25,5\n", {1: {0: (-4.5, -0.5, 9.25, 5)}}, id="beyond the edge"),
    ],
)
def test_rows(tmp_path: Path, text: str, boxes: Any) -> None:
    (tmp_path / "b.txt").write_text(text, "utf-8")
    assert read_boxes(tmp_path / "b.txt", INFO) == boxes


side = st.integers(1, 20).map(float)
box = st.tuples(st.integers(0, 40).map(float), st.integers(0, 20).map(float), side, side)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(1, 254), st.dictionaries(st.integers(0, 4), box, min_size=1), min_size=1))
def test_what_was_exported_is_read_back(tmp_path: Path, boxes: Any) -> None:
    tracks = [Track(one, each, dict.fromkeys(each, 1.0)) for one, each in boxes.items()]
    write_mot(tmp_path / "b.txt", box_record(tracks, "a.mp4", INFO))
    assert read_boxes(tmp_path / "b.txt", INFO) == boxes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "holds no box: give rows of frame, id", id="empty"),
        pytest.param("1,1,1,1,5,5,0\n", "holds no box", id="none counts"),
        pytest.param("1,1,1,1,5\n", r"Line 1 of .*b\.txt has 5 numbers", id="too short"),
        pytest.param("1,1,1,1,5,5\nframe,id\n", r"Line 2 of .* is not made of numbers", id="words"),
        pytest.param("6,1,1,1,5,5\n", "is of frame 6, and the video has frames 1 to 5", id="past the end"),
        pytest.param("0,1,1,1,5,5\n", "is of frame 0, .* from 1", id="from 0"),
        pytest.param("1,-1,1,1,5,5\n", "id -1, of a detection: number", id="detections"),
        pytest.param("1,0,1,1,5,5\n", "has the id 0: number the objects from 1 to 254", id="id 0"),
        pytest.param("1,255,1,1,5,5\n", "has the id 255", id="id 255"),
        pytest.param("1,1,1,1,0,5\n", "has a box of 0×5 pixels", id="no width"),
        pytest.param("1,1,61,1,5,5\n", "outside the picture, which is 60×40 pixels", id="outside"),
        pytest.param("1,1,1,1,5,5\n1,1,2,1,5,5\n", "Line 2 .* second box of object 1 on frame 1", id="twice"),
        pytest.param("1.5,1,1,1,5,5\n", "no whole number", id="half a frame"),
        pytest.param("1,1,nan,1,5,5\n", "a box without end", id="not a number"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "b.txt").write_text(text, "utf-8")
    with pytest.raises(InputError, match=sentence):
        read_boxes(tmp_path / "b.txt", INFO)


def test_files_that_are_no_boxes(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xff")
    for name, sentence in (("b.png", "is no text"), ("c.txt", "does not exist"), (".", "cannot be read")):
        with pytest.raises(InputError, match=sentence):
            read_boxes(tmp_path / name, INFO)
