import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from exporters.video.davis import DavisDataset, palette
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import to_mask
from labeler_backend.records import Instance, Record, Track, VideoRecord
from tests.exporters.drawn import SIZE, box, disc, videos, write


def masks(folder: Path, video: str) -> dict[str, np.ndarray]:
    """The PNGs of a video by name, as readers of DAVIS open them."""
    found = {}
    for path in sorted((folder / "Annotations" / "480p" / video).iterdir()):
        with Image.open(path) as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.reshape(picture.getpalette(), (-1, 3)), palette())
            found[path.name] = np.asarray(picture)
    return found


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(video=videos())
def test_masks_come_back_where_nothing_smaller_lies_on_them(
    tmp_path_factory: pytest.TempPathFactory, video: VideoRecord
) -> None:
    folder = tmp_path_factory.mktemp("davis")
    made = write(DavisDataset, folder, [video])
    found = masks(folder, "clips_1_é")
    assert list(found) == [f"{number:05d}.png" for number in range(video.frame_count)]
    for position, ids in enumerate(found.values()):
        there = [
            (n, to_mask(t.shapes[position])) for n, t in enumerate(video.tracks, 1) if position in t.shapes
        ]
        union = np.zeros(SIZE, bool)
        for number, mask in there:
            union |= mask
            assert not ((ids == number) & ~mask).any()
            assert (mask <= (ids > 0)).all()
        np.testing.assert_array_equal(ids > 0, union)
        if len(there) == 1:
            np.testing.assert_array_equal(ids == there[0][0], there[0][1])
    assert made.told == []


def test_the_smaller_is_on_top_in_every_frame(tmp_path: Path) -> None:
    large, small = box(0, 0, 30, 30), encode(disc(10, 10, 4))
    tracks = (Track("a", "x", {0: large, 1: small, 2: large}), Track("b", "x", {0: small, 1: large}))
    write(DavisDataset, tmp_path, [VideoRecord(1, "v.mp4", SIZE, 4, None, tracks)])
    found = list(masks(tmp_path, "v").values())
    assert [int(ids[10, 10]) for ids in found] == [2, 1, 1, 0]
    assert [int(ids[25, 25]) for ids in found] == [1, 2, 1, 0]


def test_frames_that_rest_are_the_same_and_those_that_move_are_not(tmp_path: Path) -> None:
    places = {n: box(5 if n < 3 else n, 5, 6, 6) for n in range(6)}
    write(DavisDataset, tmp_path, [VideoRecord(1, "v.mp4", SIZE, 6, None, (Track("a", "x", places),))])
    for position, ids in enumerate(masks(tmp_path, "v").values()):
        np.testing.assert_array_equal(ids == 1, to_mask(places[position]))


def test_layout(tmp_path: Path) -> None:
    first = Record(
        1, "0.jpg", SIZE, (Instance(box(1, 1, 5, 5), "car", "r", 5, track_id="t"),), video="v", frame=5
    )
    second = Record(2, "1.jpg", SIZE, (), video="v", frame=0)
    made = write(DavisDataset, tmp_path, [(first, "val"), (second, "val")], splits=("train", "val"))
    assert list(masks(tmp_path, "v")) == ["00000.png", "00005.png"]
    assert made.pictures == [Path("JPEGImages/480p/v/00005.jpg"), Path("JPEGImages/480p/v/00000.jpg")]
    assert (tmp_path / "ImageSets" / "2017" / "val.txt").read_text() == "v\n"
    objects = json.loads((tmp_path / "objects.json").read_text("utf-8"))
    assert objects == {"v": {"1": {"track_id": "t", "label": "car", "region_id": "r", "annotation_id": 5}}}
    assert made.counts == {"videos": 1, "tracks": 1, "instances": 1, "categories": 1}


def test_no_videos(tmp_path: Path) -> None:
    write(DavisDataset, tmp_path, [])
    assert json.loads((tmp_path / "objects.json").read_text()) == {}


def test_more_tracks_than_a_palette_holds(tmp_path: Path) -> None:
    tracks = tuple(Track(str(n), "x", {0: box(n % 50, n // 50, 1, 1)}, region_id=f"r{n}") for n in range(257))
    made = write(DavisDataset, tmp_path, [VideoRecord(1, "v.mp4", SIZE, 1, None, tracks)])
    assert [problem.region_id for problem in made.told] == ["r254", "r255", "r256"]
    assert made.done == ["left out"] * 3
    assert made.counts["tracks"] == 254
    assert masks(tmp_path, "v")["00000.png"].max() == 254  # 255 is void


def test_colours_are_davis_and_all_different() -> None:
    assert palette()[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert palette()[9].tolist() == [191, 0, 0]
    assert len({tuple(color) for color in palette().tolist()}) == 256
