"""Records to COCO, read back through pycocotools."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from exporters.categories import Categories
from exporters.coco.dataset import CocoDataset
from exporters.writer import Options
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask, encode
from labeler_backend.masks.shape import Polygons, to_mask
from labeler_backend.records import Instance, Keypoint, Problem, Record, VideoRecord
from tests.exporters.made import (
    BLOBS,
    RING,
    SIZE,
    VIDEO,
    disc,
    noisy_masks,
    painted,
    polygon,
    record,
    square,
    star_polygons,
    told,
)


def export(
    folder: Path,
    records: Iterable[Record | VideoRecord],
    options: Options | None = None,
    split: str | None = None,
    categories: Categories | None = None,
) -> tuple[dict[str, int], list[Problem]]:
    problems, tell = told()
    writer = CocoDataset(folder, categories or Categories(), options or Options(), tell)
    try:
        for one in records:
            writer.add(one, split)
        return writer.finish(), problems
    finally:
        writer.close()


def annotations(folder: Path, name: str = "annotations.json") -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = json.loads((folder / name).read_text("utf-8"))["annotations"]
    return written


def test_a_whole_data_set(tmp_path: Path) -> None:
    tilted = polygon((10.123456, 5), (30, 12.5), (20.5, 40), (8, 33.335))
    first = record(
        Instance(
            tilted, "car", "r1", 11, "a@b.c", 0.5, attributes={"labels": ["car", "möbel"], "region_id": "x"}
        ),
        painted(RING, "dog", track_id="t"),
        Instance(square(0, 0, 20), None),
        name="über/a.jpg",
        uri="https://me:pw@host/a.jpg?X-Amz-Signature=s",
    )
    options = Options(description="Ein Häuschen")
    counts, problems = export(tmp_path, [first, record(number=5, name="b.jpg")], options)
    assert counts == {"images": 2, "instances": 3, "categories": 3}
    assert problems == []
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.json"]
    coco = COCO(str(tmp_path / "annotations.json"))
    assert coco.dataset["info"]["description"] == "Ein Häuschen"
    assert coco.dataset["licenses"] == []
    assert coco.dataset["images"] == [
        {
            "id": 1,
            "file_name": "über/a.jpg",
            "width": 80,
            "height": 60,
            "coco_url": "https://host/a.jpg",
            "task_id": 1,
        },
        {"id": 5, "file_name": "b.jpg", "width": 80, "height": 60, "task_id": 5},
    ]
    assert [(c["id"], c["name"]) for c in coco.dataset["categories"]] == [
        (1, "car"),
        (2, "dog"),
        (3, "object"),
    ]
    car, dog, thing = coco.dataset["annotations"]
    assert (car["id"], car["image_id"], car["category_id"], car["score"], car["iscrowd"]) == (1, 1, 1, 0.5, 0)
    assert car["segmentation"] == [[10.12, 5, 30, 12.5, 20.5, 40, 8, 33.34]]
    assert car["attributes"] == {
        "labels": ["car", "möbel"],
        "region_id": "r1",
        "annotation_id": 11,
        "annotator": "a@b.c",
    }
    assert isinstance(dog["segmentation"], dict)
    assert dog["attributes"] == {"track_id": "t"}
    assert "score" not in dog
    assert "attributes" not in thing
    assert (thing["bbox"], thing["area"]) == ([0, 0, 20, 20], 400)


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        pytest.param("auto", [list, dict, dict], id="auto"),
        pytest.param("polygons", [list, list, dict], id="polygons"),
        pytest.param("rle", [dict, dict, dict], id="rle"),
    ],
)
def test_forms(tmp_path: Path, form: Any, kinds: list[type]) -> None:
    instances = [Instance(square(3, 4, 21), "a"), painted(RING), Instance(square(0, 0, 60), "b", crowd=True)]
    export(tmp_path, [record(*instances)], Options(segmentation=form))
    coco = COCO(str(tmp_path / "annotations.json"))
    written = coco.dataset["annotations"]
    assert [type(one["segmentation"]) for one in written] == kinds
    assert [one["iscrowd"] for one in written] == [0, 0, 1]
    for one, instance in zip(written, instances, strict=True):
        assert iou(coco.annToMask(one).astype(bool), to_mask(instance.shape)) > 0.97


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes=st.lists(st.one_of(star_polygons(), st.just(None)), min_size=1, max_size=4), rle=st.booleans())
def test_what_pycocotools_draws(tmp_path: Path, shapes: list[Polygons | None], rle: bool) -> None:
    size = (200, 300)
    given_shapes = [shape or encode(disc(120, 90, 40, size)) for shape in shapes]
    instances = [Instance(shape, "a") for shape in given_shapes]
    counts, problems = export(
        tmp_path, [record(*instances, size=size)], Options(segmentation="rle" if rle else "auto")
    )
    coco = COCO(str(tmp_path / "annotations.json"))
    assert counts["instances"] + len(problems) == len(instances)
    assert all(problem.done == "left out" for problem in problems)
    drawable = [one for one in given_shapes if to_mask(one).any()]
    if rle:
        assert len(drawable) == counts["instances"]
    for one in coco.dataset["annotations"]:
        mask = coco.annToMask(one).astype(bool)
        rows, columns = np.nonzero(mask)
        assert one["area"] == mask.sum()
        x, y = columns.min(), rows.min()
        assert one["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
    if not problems:
        for one, shape in zip(coco.dataset["annotations"], given_shapes, strict=True):
            truth, mask = to_mask(shape), coco.annToMask(one).astype(bool)
            if isinstance(one["segmentation"], dict) and rle:
                np.testing.assert_array_equal(mask, truth)
            elif isinstance(shape, Polygons):
                # only pixels whose centres are within the grid's reach of the border may differ
                assert (mask ^ truth).sum() <= 0.25 * _perimeter(shape) + 4


def _perimeter(shape: Polygons) -> float:
    return sum(float(np.hypot(*(np.roll(ring, -1, axis=0) - ring).T).sum()) for ring in shape.rings)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(masks=st.lists(noisy_masks(), min_size=1, max_size=3), form=st.sampled_from(["auto", "polygons"]))
def test_painted_masks(tmp_path: Path, masks: list[BoolMask], form: Any) -> None:
    records = [
        record(painted(mask), number=n, name=f"{n}.png", size=mask.shape) for n, mask in enumerate(masks, 1)
    ]
    counts, problems = export(tmp_path, records, Options(segmentation=form))
    assert problems == []
    assert counts["instances"] == len(masks)
    coco = COCO(str(tmp_path / "annotations.json"))
    for one, mask in zip(coco.dataset["annotations"], masks, strict=True):
        drawn = coco.annToMask(one).astype(bool)
        assert iou(drawn, mask) == 1 if form == "auto" else iou(drawn, mask) >= 0.98
        assert one["area"] == drawn.sum()


@pytest.mark.parametrize("mask", [RING, BLOBS, disc(40, 30, 25)], ids=["hole", "blobs", "disc"])
def test_painted_as_few_corners_as_do(tmp_path: Path, mask: BoolMask) -> None:
    large = np.kron(mask, np.ones((10, 10), bool))
    export(tmp_path, [record(painted(large), size=large.shape)], Options(segmentation="polygons"))
    coco = COCO(str(tmp_path / "annotations.json"))
    (one,) = coco.dataset["annotations"]
    assert iou(coco.annToMask(one).astype(bool), large) >= 0.98


def test_a_sliver_that_pycocotools_cannot_draw(tmp_path: Path) -> None:
    thin = polygon((10.45, 10.4), (50.45, 10.4), (50.45, 10.6), (10.45, 10.6))  # the centres of 40 pixels
    gone = polygon((10.6, 10.6), (10.9, 10.6), (10.9, 10.9), (10.6, 10.9))
    counts, problems = export(
        tmp_path, [record(Instance(thin, "a"), Instance(gone, "b", "r2"), name="x.jpg")]
    )
    assert counts["instances"] == 1
    assert [(p.done, p.region_id, p.file_name, p.task_id) for p in problems] == [
        ("left out", "r2", "x.jpg", 1)
    ]
    coco = COCO(str(tmp_path / "annotations.json"))
    assert coco.annToMask(coco.dataset["annotations"][0]).sum() >= to_mask(thin).sum()


def test_splits_have_the_same_categories(tmp_path: Path) -> None:
    problems, tell = told()
    writer = CocoDataset(tmp_path, Categories(), Options(splits=("train", "val", "test")), tell)
    writer.add(
        record(Instance(square(0, 0, 20), "a", keypoints=(Keypoint("nose", 1, 2),)), number=1), "train"
    )
    writer.add(record(Instance(square(0, 0, 20), "b"), number=2, name="b.jpg"), "val")
    writer.add(record(Instance(square(0, 0, 20), "a"), number=3, name="c.jpg"), "val")
    assert writer.finish() == {"images": 3, "instances": 3, "categories": 2}
    writer.close()
    parts = {name: json.loads((tmp_path / f"annotations-{name}.json").read_text()) for name in writer_names()}
    assert [[i["id"] for i in part["images"]] for part in parts.values()] == [[1], [2, 3], []]
    assert parts["train"]["categories"] == parts["val"]["categories"] == parts["test"]["categories"]
    assert [a["id"] for a in parts["val"]["annotations"]] == [1, 2]
    assert parts["val"]["annotations"][1]["keypoints"] == [0, 0, 0]
    assert problems == []


def writer_names() -> tuple[str, ...]:
    return ("train", "val", "test")


def test_keypoints_stand_in_one_order(tmp_path: Path) -> None:
    def person(*points: tuple[str, float, float]) -> Instance:
        return Instance(square(0, 0, 30), "person", keypoints=tuple(Keypoint(*point) for point in points))

    export(
        tmp_path,
        [
            record(person(("nose", 1.234, 2)), Instance(square(0, 0, 20), "car"), number=1),
            record(person(("ear", 3, 4), ("nose", 5, 6)), person(), number=2, name="b.jpg"),
        ],
    )
    coco = COCO(str(tmp_path / "annotations.json"))
    assert coco.loadCats(1)[0]["keypoints"] == ["nose", "ear"]
    assert coco.loadCats(1)[0]["skeleton"] == []
    assert "keypoints" not in coco.loadCats(2)[0]
    first, car, second, none = coco.dataset["annotations"]
    assert (first["num_keypoints"], first["keypoints"]) == (1, [1.23, 2, 2, 0, 0, 0])
    assert (second["num_keypoints"], second["keypoints"]) == (2, [5, 6, 2, 3, 4, 2])
    assert (none["num_keypoints"], none["keypoints"]) == (0, [0] * 6)
    assert "keypoints" not in car


def test_of_two_key_points_of_a_name_the_first_is_kept(tmp_path: Path) -> None:
    points = (Keypoint("nose", 1, 2), Keypoint("ear", 3, 4), Keypoint("nose", 5, 6))
    _, (problem,) = export(tmp_path, [record(Instance(square(0, 0, 30), "a", "r7", keypoints=points))])
    assert (problem.done, problem.region_id) == ("left out", "r7")
    (one,) = annotations(tmp_path)
    assert (one["num_keypoints"], one["keypoints"]) == (2, [1, 2, 2, 3, 4, 2])


@pytest.mark.parametrize(
    ("records", "said"),
    [
        pytest.param([VIDEO], "youtube-vis", id="a video"),
        pytest.param([record(number=3), record(number=3)], "comes twice", id="an image twice"),
        pytest.param([record(Instance(square(0, 0, 9, (9, 9)), "a"))], "9×9 pixels", id="of another image"),
        pytest.param([record(painted(np.zeros(SIZE, bool)))], "no pixel", id="empty"),
    ],
)
def test_left_out(tmp_path: Path, records: list[Record | VideoRecord], said: str) -> None:
    counts, (problem,) = export(tmp_path, records)
    assert said in problem.reason
    assert problem.done == "left out"
    assert problem.file_name == records[-1].file_name
    assert counts["instances"] == 0
    assert counts["images"] == (0 if records == [VIDEO] else 1)


def test_what_json_cannot_hold_goes_and_the_region_stays(tmp_path: Path) -> None:
    bad = Instance(square(0, 0, 20), "half \ud800", "r", score=float("nan"), attributes={"x": {1, 2}})
    _, (problem,) = export(tmp_path, [record(bad)])
    assert problem.done == "mended"
    (one,) = annotations(tmp_path)
    assert one["attributes"] == {"region_id": "r"}
    assert "score" not in one


def test_no_records_is_still_coco(tmp_path: Path) -> None:
    counts, _ = export(tmp_path, [])
    assert counts == {"images": 0, "instances": 0, "categories": 1}
    assert COCO(str(tmp_path / "annotations.json")).getImgIds() == []


def test_known_categories_keep_their_ids(tmp_path: Path) -> None:
    categories = Categories({"dog": 7}, ["cat"])
    export(tmp_path, [record(Instance(square(0, 0, 20), "car"))], categories=categories)
    coco = COCO(str(tmp_path / "annotations.json"))
    assert {c["name"]: c["id"] for c in coco.dataset["categories"]} == {"dog": 7, "cat": 8, "car": 9}


def test_pictures_lie_under_images(tmp_path: Path) -> None:
    _, tell = told()
    writer = CocoDataset(tmp_path, Categories(), Options(), tell)
    assert writer.picture_path(record(name="a/b.jpg"), None) == Path("images/a/b.jpg")
    assert writer.picture_path(VIDEO, None) is None
    writer.close()


def test_frames_say_of_which_video(tmp_path: Path) -> None:
    export(tmp_path, [replace(record(), video="clip.mp4", frame=3)])
    (image,) = json.loads((tmp_path / "annotations.json").read_text())["images"]
    assert (image["video"], image["frame"]) == ("clip.mp4", 3)


def test_a_writer_given_up_leaves_no_spool(tmp_path: Path) -> None:
    _, tell = told()
    writer = CocoDataset(tmp_path, Categories(), Options(), tell)
    writer.add(record(painted(RING)), None)
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.json"]


def test_hundreds_of_instances_in_one_image(tmp_path: Path) -> None:
    shapes = [square(4 * (n % 20), 4 * (n // 20), 2 + n % 2) for n in range(300)]
    export(tmp_path, [record(*(Instance(shape, "a") for shape in shapes))], Options(segmentation="rle"))
    coco = COCO(str(tmp_path / "annotations.json"))
    found = coco.dataset["annotations"]
    assert [one["area"] for one in found] == [(2 + n % 2) ** 2 for n in range(300)]
    assert all(coco.annToMask(one).sum() == one["area"] for one in found)


@pytest.mark.parametrize("form", ["auto", "polygons", "rle"])
def test_an_area_of_nothing_is_told(tmp_path: Path, form: Any) -> None:
    instances = Instance(Polygons((), SIZE), "a"), Instance(encode(np.zeros(SIZE, bool)), "a"), painted(RING)
    counts, problems = export(tmp_path, [record(*instances)], Options(segmentation=form))
    assert counts["instances"] == 1
    assert [problem.done for problem in problems] == ["left out"] * 2
