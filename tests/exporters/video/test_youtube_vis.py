import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from pycocotools import mask as coco_mask

from exporters.categories import Categories
from exporters.video.youtube_vis import YoutubeVisDataset
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import to_mask
from labeler_backend.records import Instance, Record, Track, VideoRecord
from tests.exporters.drawn import SIZE, box, disc, videos, write

H, W = SIZE


def read(folder: Path, name: str = "instances.json") -> dict:
    return json.loads((folder / name).read_text("utf-8"))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(video=videos())
def test_masks_come_back(tmp_path: Path, video: VideoRecord) -> None:
    made = write(YoutubeVisDataset, tmp_path, [video])
    data = read(tmp_path)
    assert made.told == []
    assert [v["length"] for v in data["videos"]] == [video.frame_count]
    names = {row["id"]: row["name"] for row in data["categories"]}
    assert len(data["annotations"]) == len(video.tracks)
    for row, track in zip(data["annotations"], video.tracks, strict=True):
        assert names[row["category_id"]] == (track.label or "object")
        assert row["attributes"]["track_id"] == track.id
        assert (row["width"], row["height"], row["length"]) == (W, H, video.frame_count)
        lists = zip(row["segmentations"], row["bboxes"], row["areas"], strict=True)
        for position, (code, bounds, area) in enumerate(lists):
            mask = to_mask(track.shapes[position]) if position in track.shapes else np.zeros(SIZE, bool)
            if not mask.any():
                assert code is bounds is area is None
                continue
            np.testing.assert_array_equal(coco_mask.decode(code).astype(bool), mask)
            rows, columns = np.nonzero(mask)
            x, y = int(columns.min()), int(rows.min())
            assert bounds == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
            assert area == mask.sum()


def test_layout(tmp_path: Path) -> None:
    track = Track("4", "car", {1: box(2, 3, 4, 5)}, "r1", 11, "ann@x", 0.5, {"origin": "manual"})
    video = VideoRecord(9, "a/b.mp4", SIZE, 3, 25.0, (track,), uri="s3://x/b.mp4", task_id=77)
    made = write(YoutubeVisDataset, tmp_path, [video], Categories({"dog": 3}), description="cars")
    data = read(tmp_path)
    assert list(data) == ["info", "licenses", "videos", "annotations", "categories"]
    assert data["info"]["description"] == "cars"
    assert data["videos"] == [
        {
            "id": 9,
            "width": W,
            "height": H,
            "length": 3,
            "file_names": ["a_b/00000.jpg", "a_b/00001.jpg", "a_b/00002.jpg"],
            "coco_url": "s3://x/b.mp4",
            "task_id": 77,
            "frame_rate": 25.0,
        }
    ]
    (row,) = data["annotations"]
    assert row["bboxes"] == [None, [2, 3, 4, 5], None]
    assert row["areas"] == [None, 20, None]
    assert (row["id"], row["video_id"], row["category_id"], row["iscrowd"], row["score"]) == (1, 9, 4, 0, 0.5)
    assert row["attributes"] == {
        "origin": "manual",
        "region_id": "r1",
        "annotation_id": 11,
        "annotator": "ann@x",
        "track_id": "4",
        "score": 0.5,
    }
    assert data["categories"] == [
        {"id": 3, "name": "dog", "supercategory": ""},
        {"id": 4, "name": "car", "supercategory": ""},
    ]
    assert made.counts == {"videos": 1, "tracks": 1, "instances": 1, "categories": 2}
    assert made.pictures == [Path("videos/a/b.mp4")]


def frame(number: int, *instances: Instance, video: str = "street", **fields: object) -> Record:
    """One frame of a video that is labelled frame by frame."""
    plain = {"id": 100 + number, "file_name": f"{video}/{number}.png", "size": SIZE, "instances": instances}
    return Record(**{**plain, "video": video, "frame": number, **fields})  # type: ignore[arg-type]


def test_frames_become_a_video_whatever_their_order(tmp_path: Path) -> None:
    mask = encode(disc(20, 20, 8))
    frames = [
        frame(20, Instance(box(2, 2, 5, 5), "car", track_id="a")),
        frame(
            0, Instance(box(1, 1, 5, 5), "car", track_id="a"), Instance(mask, "dog", track_id="b", crowd=True)
        ),
        frame(0, video="other", id=7),
        frame(10),
    ]
    made = write(YoutubeVisDataset, tmp_path, frames)
    data = read(tmp_path)
    assert made.told == []
    assert [v["file_names"] for v in data["videos"]] == [
        ["street/00000.png", "street/00010.png", "street/00020.png"],
        ["other/00000.png"],
    ]
    assert [str(path) for path in made.pictures] == [
        "JPEGImages/street/00020.png",
        "JPEGImages/street/00000.png",
        "JPEGImages/other/00000.png",
        "JPEGImages/street/00010.png",
    ]
    a, b = data["annotations"]
    assert a["bboxes"] == [[1, 1, 5, 5], None, [2, 2, 5, 5]]
    assert b["segmentations"] == [mask, None, None]
    assert [row["iscrowd"] for row in (a, b)] == [0, 1]


def test_instances_without_a_track_become_their_own(tmp_path: Path) -> None:
    loose = Instance(box(1, 1, 5, 5), "car")
    frames = [frame(0, loose, Instance(box(9, 9, 5, 5), track_id="1")), frame(1, loose)]
    made = write(YoutubeVisDataset, tmp_path, frames)
    rows = read(tmp_path)["annotations"]
    assert sorted(row["attributes"]["track_id"] for row in rows) == ["1", "2", "3"]
    assert made.done == ["mended"]
    assert "2 objects" in made.told[0].reason


def test_parts_of_one_object_in_a_frame_are_one_mask(tmp_path: Path) -> None:
    parts = [Instance(box(1, 1, 5, 5), "car", track_id="a"), Instance(box(20, 20, 5, 5), "car", track_id="a")]
    write(YoutubeVisDataset, tmp_path, [frame(0, *parts)])
    (row,) = read(tmp_path)["annotations"]
    assert row["areas"] == [50]


@pytest.mark.parametrize(
    ("records", "done", "reason", "videos"),
    [
        pytest.param([Record(1, "a.jpg", SIZE, ())], "left out", "--format coco", 0, id="no video"),
        pytest.param([frame(0), frame(0, id=9)], "left out", "comes twice", 1, id="a frame twice"),
        pytest.param([frame(0), frame(1, size=(9, 9))], "left out", "not of the size", 1, id="another size"),
        pytest.param([frame(0), frame(1, frame=None)], "left out", "which frame", 1, id="no number"),
        pytest.param([frame(0), frame(1, frame=-1)], "left out", "which frame", 1, id="below zero"),
        pytest.param(
            [
                VideoRecord(
                    1, "a.mp4", SIZE, 2, None, (Track("t", "x", {0: box(1, 1, 4, 4), 2: box(1, 1, 4, 4)}),)
                )
            ],
            "left out",
            "1 frames of track 't'",
            1,
            id="a frame after the end",
        ),
        pytest.param(
            [VideoRecord(1, "a.mp4", SIZE, 2, None, (Track("t", "x", {0: box(1, 1, 4, 4, (9, 9))}),))],
            "left out",
            "another size",
            1,
            id="a shape of another size",
        ),
        pytest.param(
            [VideoRecord(1, "a.mp4", SIZE, 1, None, (Track("t", "x", {0: box(1.6, 1.6, 0.5, 9)}),))],
            "left out",
            "no pixel in 1 frames",
            1,
            id="no pixel",
        ),
        pytest.param(
            [VideoRecord(1, "a.mp4", SIZE, 1, None, ()), VideoRecord(1, "b.mp4", SIZE, 1, None, ())],
            "mended",
            "id 1 is taken",
            2,
            id="an id twice",
        ),
    ],
)
def test_what_cannot_be_taken_is_told(
    tmp_path: Path, records: list[Record | VideoRecord], done: str, reason: str, videos: int
) -> None:
    made = write(YoutubeVisDataset, tmp_path, records)
    assert made.done == [done]
    assert reason in made.told[0].reason
    found = read(tmp_path)["videos"]
    assert len(found) == videos
    assert len({video["id"] for video in found}) == videos


def test_a_second_picture_of_a_frame_does_not_overwrite_the_first(tmp_path: Path) -> None:
    made = write(YoutubeVisDataset, tmp_path, [frame(0), frame(0, id=9)])
    assert made.pictures == [Path("JPEGImages/street/00000.png"), None]


def test_splits(tmp_path: Path) -> None:
    video = VideoRecord(1, "a.mp4", SIZE, 1, None, ())
    records = [(video, "val"), (frame(0), "train"), (frame(1), "val")]
    made = write(YoutubeVisDataset, tmp_path, records, splits=("train", "val", "test"))
    found = {split: read(tmp_path, f"instances-{split}.json")["videos"] for split in ("train", "val", "test")}
    assert [len(rows) for rows in found.values()] == [1, 1, 0]
    assert found["train"][0]["length"] == 2
    assert made.done == ["mended"]  # a frame does not leave its video


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        pytest.param(["a.mp4", "A.mp4", "a.avi"], ["a", "A-2", "a-3"], id="alike"),
        pytest.param(["../x y/ü.mp4"], ["x_y_ü"], id="odd"),
        pytest.param(["...", "?"], ["video", "video-2"], id="nothing left"),
        pytest.param(["v" * 300 + ".mp4"], ["v" * 120], id="long"),
    ],
)
def test_folders_are_safe_and_different(tmp_path: Path, names: list[str], folders: list[str]) -> None:
    records = [VideoRecord(n, name, SIZE, 1, None, ()) for n, name in enumerate(names, 1)]
    write(YoutubeVisDataset, tmp_path, records)
    assert [v["file_names"][0].split("/")[0] for v in read(tmp_path)["videos"]] == folders


def test_no_videos_is_still_a_data_set(tmp_path: Path) -> None:
    write(YoutubeVisDataset, tmp_path, [])
    data = read(tmp_path)
    assert data["videos"] == data["annotations"] == []
    assert [row["name"] for row in data["categories"]] == ["object"]
