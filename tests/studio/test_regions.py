from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_backend.errors import InputError
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.masks.shape import to_mask
from labeler_backend.studio.brush import encode_brush
from labeler_backend.studio.regions import (
    Place,
    fits_type,
    mask_to_regions,
    region_labels,
    region_to_shape,
)
from tests.studio.made import SIZE, blobs, config_of, control, ellipse, noise, ring, through_json

TAGS = {
    "polygonlabels": "PolygonLabels",
    "brushlabels": "BrushLabels",
    "bitmasklabels": "BitmaskLabels",
    "rectanglelabels": "RectangleLabels",
    "ellipselabels": "EllipseLabels",
}
BARE = {kind.removesuffix("labels"): tag.removesuffix("Labels") for kind, tag in TAGS.items()}


def region_to_mask(result: Mapping[str, Any]) -> BoolMask:
    return to_mask(region_to_shape(result))


def regions(mask: BoolMask, kind: str, **place: Any) -> list[dict[str, Any]]:
    where = Place("tag", "image", **place)
    return through_json(
        mask_to_regions(mask, kind, where, object_id="el0123456789ab", labels=["car"], score=0.7)
    )


def union(items: list[dict[str, Any]]) -> BoolMask:
    return np.logical_or.reduce([region_to_mask(item) for item in items])


@pytest.mark.parametrize("kind", TAGS)
def test_a_region_is_what_label_studio_expects(kind: str) -> None:
    [region] = regions(ellipse(), kind)
    value = region.pop("value")
    assert value[kind] == ["car"]
    assert region == {
        "id": "el0123456789ab",
        "type": kind,
        "from_name": "tag",
        "to_name": "image",
        "original_width": 140,
        "original_height": 90,
        "image_rotation": 0,
        "score": 0.7,
    }


@pytest.mark.parametrize("kind", TAGS)
def test_label_studio_validates_the_regions(kind: str) -> None:
    config = config_of(control(TAGS[kind]))
    for mask in (ellipse(), ring(), np.ones(SIZE, bool), np.eye(*SIZE, dtype=bool)):
        assert config.validate({"result": regions(mask, kind)}) == []


@pytest.mark.parametrize("shape", BARE)
def test_a_pair_with_labels_is_two_items_of_one_id(shape: str) -> None:
    config = config_of(f'<{BARE[shape]} name="tag" toName="image"/>', control("Labels", "names"))
    drawn, named = regions(ellipse(), shape, labels_name="names")
    assert (drawn["type"], named["type"], named["from_name"]) == (shape, "labels", "names")
    assert drawn["id"] == named["id"]
    assert named["value"] == {**drawn["value"], "labels": ["car"]}
    assert config.validate({"result": [drawn, named]}) == []


@given(mask=noise(), kind=st.sampled_from(["brushlabels", "bitmasklabels"]))
@settings(max_examples=30, deadline=None)
def test_pixels_come_back_exactly(mask: BoolMask, kind: str) -> None:
    [region] = regions(mask, kind)
    np.testing.assert_array_equal(region_to_mask(region), mask)


@given(mask=blobs())
@settings(max_examples=30, deadline=None)
def test_polygons_come_back_nearly(mask: BoolMask) -> None:
    assert iou(union(regions(mask, "polygonlabels")), mask) > 0.95


@given(mask=noise())
@settings(max_examples=30, deadline=None)
def test_polygons_of_anything_stay_in_the_frame_and_within_the_cap(mask: BoolMask) -> None:
    items = regions(mask, "polygonlabels")
    points = [point for item in items for point in item["value"]["points"]]
    assert 3 <= len(points) <= 60
    assert all(0 <= x <= 100 and 0 <= y <= 100 for x, y in points)
    assert len({item["id"] for item in items}) == len(items)


@given(mask=noise())
@settings(max_examples=30, deadline=None)
def test_boxes_come_back_exactly(mask: BoolMask) -> None:
    [region] = regions(mask, "rectanglelabels")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.zeros_like(mask)
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    np.testing.assert_array_equal(region_to_mask(region), box)


def test_blobs_become_polygons_with_ids_of_their_own() -> None:
    two = ellipse(radii=(20, 12)) | ellipse(centre=(120, 70), radii=(12, 12))
    items = regions(two, "polygonlabels")
    assert [item["id"] for item in items] == ["el0123456789ab", "el0123456789ab-1"]
    assert items[0]["score"] == items[1]["score"]
    assert region_to_mask(items[0]).sum() > region_to_mask(items[1]).sum()
    assert len(regions(two, "brushlabels")) == len(regions(two, "bitmasklabels")) == 1


def test_pages_are_numbered() -> None:
    assert regions(ellipse(), "polygonlabels", item_index=2)[0]["item_index"] == 2


@pytest.mark.parametrize("kind", TAGS)
def test_an_empty_mask_is_no_region(kind: str) -> None:
    assert regions(np.zeros(SIZE, bool), kind) == []


@pytest.mark.parametrize("kind", ["vectorlabels", "choices", "keypointlabels"])
def test_other_kinds_cannot_be_written(kind: str) -> None:
    with pytest.raises(ValueError, match=kind):
        regions(ellipse(), kind)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_view_changes_nothing(degrees: int) -> None:
    """The editor stores coordinates, sizes and brush masks of the unturned image (Image.js, canvas.js)."""
    for kind in ("polygonlabels", "brushlabels"):
        [region] = regions(ellipse(), kind)
        turned = {**region, "image_rotation": degrees}
        np.testing.assert_array_equal(region_to_mask(turned), region_to_mask(region))


def test_a_magic_wand_is_a_brush() -> None:
    region = {**regions(ring(), "brush")[0], "type": "magicwand"}
    np.testing.assert_array_equal(region_to_mask(region), ring())


POINTS = {"points": [[10, 10], [50, 10], [50, 50]], "closed": True}


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        pytest.param("polygonlabels", {**POINTS, "polygonlabels": ["car"]}, True, id="polygon"),
        pytest.param("polygon", POINTS, True, id="bare polygon"),
        pytest.param(
            "keypointlabels", {**POINTS, "keypointlabels": ["car"]}, False, id="the editor's double"
        ),
        pytest.param("keypointlabels", {"x": 1, "y": 2, "width": 0.2}, True, id="key point"),
        pytest.param("rectanglelabels", {"x": 1, "y": 2, "width": 0.2}, False, id="key point as rectangle"),
        pytest.param("rectanglelabels", POINTS, False, id="polygon as rectangle"),
        pytest.param("ellipselabels", {"x": 1, "y": 2, "width": 3, "height": 4}, False, id="not an ellipse"),
        pytest.param("brushlabels", {"format": "rle", "touches": []}, False, id="a draft's strokes"),
        pytest.param("labels", {**POINTS, "labels": ["car"]}, True, id="labels"),
        pytest.param("labels", POINTS, False, id="labels without any"),
        pytest.param("choices", {"choices": ["a"]}, True, id="no region"),
        pytest.param("polygonlabels", None, False, id="no value"),
        pytest.param(None, POINTS, False, id="no type"),
        pytest.param(["polygon"], POINTS, False, id="a list as type"),
    ],
)
def test_fits_type(kind: Any, value: Any, fits: bool) -> None:
    assert fits_type({"type": kind, "value": value}) is fits


@pytest.mark.parametrize(
    ("result", "labels"),
    [
        pytest.param({"type": "polygonlabels", "value": {"polygonlabels": ["a", "b"]}}, ("a", "b"), id="own"),
        pytest.param({"type": "labels", "value": {"labels": ["a"]}}, ("a",), id="labels"),
        pytest.param({"type": "keypoint", "value": {"labels": ["a"]}}, ("a",), id="bare"),
        pytest.param({"type": "polygonlabels", "value": {"polygonlabels": [1, None]}}, (), id="no texts"),
        pytest.param({"type": "polygonlabels", "value": {"polygonlabels": "a"}}, ("a",), id="a text"),
        pytest.param({"type": "polygonlabels", "value": {"labels": ["a"]}}, ("a",), id="under labels"),
        pytest.param({"type": "polygonlabels", "value": {"polygonlabels": {"a": 1}}}, (), id="no list"),
        pytest.param({"type": "polygonlabels"}, (), id="no value"),
    ],
)
def test_region_labels(result: dict[str, Any], labels: tuple[str, ...]) -> None:
    assert region_labels(result) == labels


def region(kind: str = "polygonlabels", value: Any = None, **rest: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "type": kind,
        "value": value or POINTS,
        "original_width": 140,
        "original_height": 90,
    } | rest


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        pytest.param({}, "does not fit its type", id="nothing"),
        pytest.param(region("choices", {"choices": ["a"]}), "marks no area", id="choices"),
        pytest.param(region("keypointlabels", {"x": 1, "y": 2}), "encloses no area", id="key point"),
        pytest.param(region("keypointlabels"), "does not fit its type", id="the editor's double"),
        pytest.param(region(original_width=None), "not a picture's size", id="no width"),
        pytest.param(region(original_height=math.nan), "not a picture's size", id="NaN height"),
        pytest.param(region(original_height=-5), "not a picture's size", id="negative height"),
        pytest.param(region(original_height=90_000, original_width=90_000), "more than", id="huge"),
        pytest.param(region(value={"points": [[1, 1], [2, 2]]}), "has 2 points", id="two points"),
        pytest.param(region(value={"points": [[1, 1], [2, 2], [3, 3]]}), "no area", id="a line"),
        pytest.param(
            region(value={"points": [[110, 1], [120, 2], [130, 90]]}), "no pixel", id="out of frame"
        ),
        pytest.param(
            region("rectangle", {"x": 1, "y": 1, "width": 0, "height": 5}), "no area", id="no width"
        ),
        pytest.param(
            region("brushlabels", {"rle": encode_brush(np.zeros(SIZE, bool))}), "no pixel", id="empty brush"
        ),
        pytest.param(region("brushlabels", {"rle": [0, 1]}), "not of the picture's size", id="damaged brush"),
    ],
)
def test_a_bad_region_is_a_sentence(result: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        region_to_mask(result)
    assert str(caught.value).endswith("draw it again or delete it.")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
coordinates = st.floats(-120, 220) | st.integers(-100, 200) | anything
point = st.tuples(coordinates, coordinates).map(list) | st.lists(coordinates, max_size=3)
vertex = st.fixed_dictionaries(
    {"x": coordinates, "y": coordinates},
    optional={
        "isBezier": st.booleans(),
        "controlPoint1": st.dictionaries(st.sampled_from("xy"), coordinates),
    },
)
values = st.fixed_dictionaries(
    {},
    optional={
        "points": st.lists(point, max_size=8) | anything,
        "closed": st.booleans() | anything,
        "rle": st.lists(st.integers(0, 255), max_size=20) | anything,
        "imageDataURL": st.binary(max_size=20).map(lambda b: f"data:image/png;base64,{b.hex()}") | anything,
        "vertices": st.lists(vertex, max_size=6) | anything,
        **dict.fromkeys(("x", "y", "width", "height", "radiusX", "radiusY", "rotation"), coordinates),
    },
)
results = st.fixed_dictionaries(
    {"type": st.sampled_from([*TAGS, *BARE, "vectorlabels", "labels", "keypoint", "choices"]) | anything},
    optional={
        "id": st.text(max_size=5) | anything,
        "value": values | anything,
        "original_width": st.integers(1, 60) | anything,
        "original_height": st.integers(1, 60) | anything,
        "to_name": anything,
        "item_index": anything,
        "score": anything,
        "origin": anything,
    },
)


@given(result=results)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_gives_a_mask_or_a_sentence(result: dict[str, Any]) -> None:
    try:
        mask = region_to_mask(result)
    except InputError:
        return
    assert mask.shape == (int(result["original_height"]), int(result["original_width"]))
    assert mask.any()


@given(points=st.lists(st.tuples(st.floats(-20, 120), st.floats(-20, 120)), min_size=3, max_size=12))
@settings(max_examples=150, deadline=None)
def test_any_ring_however_it_crosses_itself_is_read(points: list[tuple[float, float]]) -> None:
    try:
        mask = region_to_mask(region(value={"points": points}))
    except InputError as error:
        mask = np.full(SIZE, "encloses no" in str(error))
    assert mask.shape == SIZE
    assert mask.any()
