import configparser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pycocotools import mask as coco_mask

from exporters.categories import Categories
from exporters.video.mot import MotDataset, track_numbers
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons, Shape
from labeler_backend.records import Instance, Record, Track, VideoRecord
from tests.exporters.drawn import SIZE, box, disc, videos, write

H, W = SIZE


def rows(folder: Path, video: str) -> list[list[float]]:
    lines = (folder / video / "gt" / "gt.txt").read_text().splitlines()
    return [[float(number) for number in line.split(",")] for line in lines]


def expected_box(shape: Shape) -> list[float]:
    if isinstance(shape, Polygons):
        (left, top), (right, bottom) = shape.rings[0].min(axis=0), shape.rings[0].max(axis=0)
        return [left + 1, top + 1, right - left, bottom - top]
    x, y, w, h = coco_mask.toBbox(shape)
    return [x + 1, y + 1, w, h]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(video=videos())
def test_boxes_come_back(tmp_path_factory: pytest.TempPathFactory, video: VideoRecord) -> None:
    folder = tmp_path_factory.mktemp("mot")
    categories = Categories()
    write(MotDataset, folder, [video], categories)
    numbers = track_numbers(video.tracks)
    expected = sorted(
        [position + 1, numbers[track.id], *expected_box(shape), 1, categories.id_of(track.label), 1]
        for track in video.tracks
        for position, shape in track.shapes.items()
    )
    np.testing.assert_allclose(rows(folder, "clips_1_é"), expected or [], atol=0.005)


def test_layout(tmp_path: Path) -> None:
    tracks = (
        Track("b", "dog", {0: encode(disc(20, 20, 8))}),
        Track("1", "car", {0: box(0, 0, 4.5, 5), 2: box(2, 3, 4, 5.125)}),
    )
    video = VideoRecord(9, "a.mp4", SIZE, 3, 29.97, tracks)
    made = write(MotDataset, tmp_path, [video], Categories({"car": 2}))
    assert (tmp_path / "a" / "gt" / "gt.txt").read_text().splitlines() == [
        "1,1,1,1,4.50,5,1,2,1",
        "1,2,13,13,16,16,1,3,1",
        "3,1,3,4,4,5.12,1,2,1",
    ]
    assert (tmp_path / "labels.txt").read_text().splitlines() == ["", "car", "dog"]
    assert (tmp_path / "seqmaps" / "all.txt").read_text().splitlines() == ["name", "a"]
    ini = configparser.ConfigParser()
    ini.optionxform = str  # type: ignore[assignment, method-assign]
    ini.read(tmp_path / "a" / "seqinfo.ini", "utf-8")
    assert dict(ini["Sequence"]) == {
        "name": "a",
        "imDir": "img1",
        "frameRate": "29.97",
        "seqLength": "3",
        "imWidth": str(W),
        "imHeight": str(H),
        "imExt": ".jpg",
    }
    assert made.counts == {"videos": 1, "tracks": 2, "instances": 3, "categories": 2}
    assert made.told == []


def test_frames_keep_their_numbers(tmp_path: Path) -> None:
    def frame(number: int) -> Record:
        instance = Instance(box(number, 1, 4, 4), "car", track_id="3")
        return Record(number + 1, f"{number}.png", SIZE, (instance,), video="v.mp4", frame=number)

    made = write(MotDataset, tmp_path, [(frame(10), "val"), (frame(0), "val")], splits=("train", "val"))
    assert [row[:3] for row in rows(tmp_path, "v.mp4")] == [[1, 3, 1], [11, 3, 11]]
    assert made.pictures == [Path("v.mp4/img1/000011.png"), Path("v.mp4/img1/000001.png")]
    assert "seqLength=11" in (tmp_path / "v.mp4" / "seqinfo.ini").read_text()
    assert (tmp_path / "seqmaps" / "val.txt").read_text() == "name\nv.mp4\n"
    assert made.done == ["kept"]
    assert "frame rate" in made.told[0].reason


@pytest.mark.parametrize(
    ("ids", "numbers"),
    [
        pytest.param(["1", "2"], [1, 2], id="numbers are kept"),
        pytest.param(["a", "b"], [1, 2], id="names count from 1"),
        pytest.param(["a", "1", "b", "3"], [2, 1, 4, 3], id="names take what is free"),
        pytest.param(["0", "-1", "01", "1"], [2, 3, 1, 4], id="what is no number of its own"),
        pytest.param(["99999999999"], [1], id="too large"),
        pytest.param(["²", "١"], [1, 2], id="digits of other scripts"),
    ],
)
def test_track_numbers(ids: list[str], numbers: list[int]) -> None:
    found = track_numbers(tuple(Track(name, None, {}) for name in ids))
    assert list(map(found.get, ids)) == numbers


def test_crowds_are_not_to_be_counted(tmp_path: Path) -> None:
    tracks = (
        Track("1", "a", {0: box(1, 1, 5, 5)}, attributes={"iscrowd": True}),
        Track("2", "a", {0: box(9, 9, 5, 5)}),
    )
    write(MotDataset, tmp_path, [VideoRecord(1, "v.mp4", SIZE, 1, 25.0, tracks)])
    assert [row[6] for row in rows(tmp_path, "v")] == [0, 1]
