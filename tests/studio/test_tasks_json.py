import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.categories import Categories
from exporters.writer import Options
from labeler_backend.errors import LabelerError
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons, to_mask
from labeler_backend.records import Instance, Keypoint, Problem, Record, VideoRecord
from labeler_backend.studio.config import LabelingConfig, read_config
from labeler_backend.studio.regions import region_to_shape
from labeler_backend.studio.results import read_result
from labeler_backend.studio.tasks_json import Kind, TasksDataset
from tests.exporters.drawn import SIZE, box, disc, shapes

H, W = SIZE
DISC = encode(disc(20, 20, 9))
MANY = Polygons(
    (np.stack([30 + 9 * np.cos(t := np.linspace(0, 6.2, 90)), 20 + 9 * np.sin(t)], axis=1),), SIZE
)
KINDS: list[Kind] = ["auto", "polygon", "brush", "box", "bitmask"]


def write(
    folder: Path, *records: Record | VideoRecord, names: tuple[str, ...] = (), **extra: Any
) -> tuple[list[dict[str, Any]], LabelingConfig, list[Problem]]:
    """The tasks, the config and what was told."""
    told: list[Problem] = []
    dataset = TasksDataset(folder, Categories(names=names), Options(), told.append, **extra)
    for record in records:
        dataset.add(record, None)
    dataset.finish()
    dataset.close()
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    return tasks, read_config((folder / "config.xml").read_text("utf-8")), told


def image(*instances: Instance, **fields: Any) -> Record:
    return Record(**{"id": 4, "file_name": "a/b c#1.jpg", "size": SIZE, "instances": instances, **fields})


def regions(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [region for task in tasks for p in task["predictions"] for region in p["result"]]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.lists(
        st.builds(Instance, shape=shapes(), label=st.sampled_from(["car", "dog", None])), max_size=4
    ),
    kind=st.sampled_from(["auto", "brush", "bitmask"]),
)
def test_masks_come_back(tmp_path: Path, found: list[Instance], kind: Kind) -> None:
    tasks, config, told = write(tmp_path, image(*found), kind=kind)
    assert told == []
    items = regions(tasks)
    assert len(items) == len(found)
    for region, instance in zip(items, found, strict=True):
        assert region["value"][region["type"]] == [instance.label or "object"]
        if region["type"] == "polygonlabels":
            corners = np.array(region["value"]["points"]) * (W / 100, H / 100)
            np.testing.assert_allclose(corners, instance.shape.rings[0], atol=1e-3)  # type: ignore[union-attr]
        else:
            np.testing.assert_array_equal(to_mask(region_to_shape(region)), to_mask(instance.shape))
    for task in tasks:
        for prediction in task["predictions"]:
            assert config.validate(prediction) == []


@pytest.mark.parametrize("kind", KINDS)
def test_label_studio_accepts_every_kind(tmp_path: Path, kind: Kind) -> None:
    instances = (
        Instance(DISC, 'a "b" <c> & é', score=0.7, keypoints=(Keypoint("nose", 3, 4),)),
        Instance(box(1.25, 2, 9, 7), "dog", score=0.2),
        Instance(Polygons((box(1, 1, 5, 5).rings[0], box(20, 20, 5, 5).rings[0]), SIZE), "dog"),
    )
    (task,), config, told = write(tmp_path, image(*instances), kind=kind, names=("unused",))
    assert told == []
    (prediction,) = task["predictions"]
    assert config.validate(prediction) == []
    assert prediction["score"] == 0.7
    assert [region.get("score") for region in prediction["result"]][:2] == [
        0.7,
        None,
    ]  # the key point has none
    reading = read_result([r for r in prediction["result"] if r["type"] != "keypointlabels"])
    assert reading.notes == []
    assert len(reading.objects) == 3  # the one of two rings is one again
    for one, instance in zip(reading.objects, instances, strict=True):
        mask = to_mask(instance.shape)
        if kind == "box":
            rows, columns = np.nonzero(mask)
            mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
        found = to_mask(one.shape)
        overlap = (found & mask).sum() / (found | mask).sum()
        assert overlap > 0.9 if kind in ("polygon", "box") else overlap == 1
    root = ElementTree.parse(tmp_path / "config.xml").getroot()
    expected = {
        "auto": ["PolygonLabels", "BrushLabels"],
        "polygon": ["PolygonLabels"],
        "brush": ["BrushLabels"],
        "box": ["RectangleLabels"],
        "bitmask": ["BitmaskLabels"],
    }
    assert [tag.tag for tag in root] == ["Image", *expected[kind], "KeyPointLabels"]
    assert [label.get("value") for label in root[1]] == ["unused", 'a "b" <c> & é', "dog"]
    assert all(tag.get("smart") == "false" for tag in root if tag.tag != "Image")
    assert root[0].get("smoothing") == ("false" if kind == "bitmask" else None)


def test_layout(tmp_path: Path) -> None:
    instance = Instance(
        box(6, 4, 30, 20),
        "car",
        "own",
        3,
        "ann",
        0.5,
        "7",
        True,
        (Keypoint("nose", 15, 10),),
        {"text": "a\nb"},
    )
    (task,), _, told = write(tmp_path, image(instance, uri="s3://x/y.jpg"), model_version="v1")
    assert told == []
    same = {"to_name": "image", "original_width": W, "original_height": H, "image_rotation": 0}
    corners = [[10.0, 10.0], [60.0, 10.0], [60.0, 60.0], [10.0, 60.0]]
    polygon = {
        "id": "own",
        "type": "polygonlabels",
        "from_name": "polygon",
        **same,
        "value": {"points": corners, "closed": True, "polygonlabels": ["car"]},
        "score": 0.5,
        "meta": {"text": ["a", "b", "track: 7", "iscrowd"]},
    }
    point = {
        "id": "own-k0",
        "type": "keypointlabels",
        "from_name": "keypoint",
        **same,
        "parentID": "own",
        "value": {"x": 25.0, "y": 25.0, "width": 0.5, "keypointlabels": ["nose"]},
    }
    assert task == {
        "data": {"image": "s3://x/y.jpg"},
        "predictions": [{"model_version": "v1", "score": 0.5, "result": [polygon, point]}],
    }


@pytest.mark.parametrize(
    ("fields", "prefix", "data"),
    [
        pytest.param({}, "", {"image": "a/b c#1.jpg"}, id="a bare name"),
        pytest.param(
            {"uri": "https://h/x.jpg"}, "", {"image": "https://h/x.jpg"}, id="what the record knows"
        ),
        pytest.param(
            {"uri": "https://h/x.jpg"},
            "/data/local-files/?d=photos/",
            {"image": "/data/local-files/?d=photos/a/b%20c%231.jpg"},
            id="local files",
        ),
        pytest.param(
            {"video": "v.mp4", "frame": 3},
            "s3://b/",
            {"image": "s3://b/a/b%20c%231.jpg", "video": "v.mp4", "frame": 3},
            id="a frame",
        ),
    ],
)
def test_addresses(tmp_path: Path, fields: dict[str, Any], prefix: str, data: dict[str, Any]) -> None:
    (task,), _, _ = write(tmp_path, image(**fields), image_prefix=prefix)
    assert task == {"data": data, "predictions": []}


def test_ids_are_the_same_each_time_and_different_from_each_other(tmp_path: Path) -> None:
    two = Polygons((box(1, 1, 5, 5).rings[0], box(20, 20, 5, 5).rings[0]), SIZE)
    instances = [
        Instance(box(1, 1, 5, 5)),
        Instance(DISC),
        Instance(DISC, region_id="r"),
        Instance(DISC, region_id="r"),
    ]
    instances += [Instance(two, region_id="r2"), Instance(two), Instance(two, region_id="el0123456789ab")]
    ids = []
    for name in "ab":
        (tmp_path / name).mkdir()
        ids.append([r["id"] for r in regions(write(tmp_path / name, image(*instances))[0])])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0]) == 10
    assert "r" in ids[0]
    assert ids[0][-2:] == ["el0123456789ab", "el0123456789ab-1"]
    assert regions(write(tmp_path, image(*instances, id=5))[0])[0]["id"] != ids[0][0]


@pytest.mark.parametrize(
    ("record", "kind", "done", "reason", "count"),
    [
        pytest.param(
            VideoRecord(1, "v.mp4", SIZE, 1, None, ()), "auto", "left out", "frames as images", 0, id="video"
        ),
        pytest.param(
            image(Instance(box(1.6, 1.6, 0.5, 0.5))), "brush", "left out", "no pixel", 0, id="no pixel"
        ),
        pytest.param(
            image(Instance(MANY)), "auto", "kept", "1 objects .* over 80 points", 1, id="many points"
        ),
        pytest.param(image(Instance(DISC, "$x\x00")), "auto", "mended", "became 'x'", 1, id="odd label"),
    ],
)
def test_what_cannot_be_taken_as_it_is_is_told(
    tmp_path: Path, record: Record | VideoRecord, kind: Kind, done: str, reason: str, count: int
) -> None:
    tasks, config, told = write(tmp_path, record, kind=kind)
    (problem,) = told
    assert problem.done == done
    assert re.search(reason, problem.reason)
    assert len(regions(tasks)) == count
    assert all(config.validate(prediction) == [] for task in tasks for prediction in task["predictions"])


def test_a_forced_polygon_is_simple_enough_for_the_editor(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random(SIZE) < 0.5
    tasks, _, told = write(tmp_path, image(Instance(encode(noise))), kind="polygon")
    assert told == []
    assert sum(len(region["value"]["points"]) for region in regions(tasks)) <= 80


def test_splits_have_files_of_their_own(tmp_path: Path) -> None:
    dataset = TasksDataset(tmp_path, Categories(), Options(splits=("train", "val")), print)
    dataset.add(image(Instance(DISC)), "val")
    assert dataset.picture_path(image(), "val") == Path("images/a/b c#1.jpg")
    assert dataset.finish() == {"images": 1, "instances": 1, "categories": 1}
    dataset.close()
    assert json.loads((tmp_path / "tasks-train.json").read_text()) == []
    assert len(json.loads((tmp_path / "tasks-val.json").read_text())) == 1


def test_an_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(LabelerError, match="'blob' is no kind of region"):
        TasksDataset(tmp_path, Categories(), Options(), print, kind="blob")  # type: ignore[arg-type]


def test_what_a_region_cannot_hold_is_told_once(tmp_path: Path) -> None:
    one = Instance(box(1, 1, 9, 9), "a", attributes={"text": "hi", "occluded": True, "relations": []})
    _, _, told = write(tmp_path, image(one, one))
    assert [problem.done for problem in told] == ["left out"]
    assert "occluded (2), relations (2)" in told[0].reason
