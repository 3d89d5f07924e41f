from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_backend.errors import InputError
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.studio.identity import object_ids
from labeler_backend.studio.regions import Place, mask_to_regions
from labeler_backend.studio.results import LabeledObject, Note
from labeler_backend.studio.results import read_result as read
from tests.studio.made import SIZE, ellipse, ring, through_json
from tests.studio.test_regions import POINTS, results

TWO = ellipse(radii=(20, 12)) | ellipse(centre=(120, 70), radii=(12, 12))
[TWO_ID] = object_ids(1, "image", None, [TWO])


def drawn(mask: BoolMask, kind: str = "brushlabels", name: str = "r1", **rest: Any) -> list[dict[str, Any]]:
    place = Place("tag", "image", rest.pop("item_index", None), rest.pop("labels_name", None))
    items = mask_to_regions(mask, kind, place, object_id=name, labels=rest.pop("labels", ["car"]), score=0.7)
    return through_json([{**item, **rest} for item in items])


def read_result(items: Any) -> tuple[list[LabeledObject], list[Note]]:
    reading = read(items)
    return reading.objects, reading.notes


def test_a_region_becomes_an_object() -> None:
    [one], dropped = read_result(drawn(ring(), origin="prediction", item_index=3))
    assert dropped == []
    assert (one.id, one.region_ids, one.labels, one.type) == ("r1", ("r1",), ("car",), "brushlabels")
    assert (one.to_name, one.item_index, one.score, one.origin) == ("image", 3, 0.7, "prediction")
    np.testing.assert_array_equal(one.mask, ring())


def test_parts_of_one_object_become_one() -> None:
    items = drawn(TWO, "polygonlabels", TWO_ID)
    others = drawn(ring(), name="other")
    [whole, other], dropped = read_result([items[0], *others, items[1]])
    assert (whole.id, whole.region_ids, other.id) == (TWO_ID, (TWO_ID, f"{TWO_ID}-1"), "other")
    assert iou(whole.mask, TWO) > 0.94
    assert dropped == []


def test_a_part_that_was_renamed_is_an_object_of_its_own() -> None:
    items = drawn(TWO, "polygonlabels", TWO_ID)
    items[1]["value"]["polygonlabels"] = ["tree"]
    objects, _ = read_result(items)
    assert [(o.id, o.labels) for o in objects] == [(TWO_ID, ("car",)), (f"{TWO_ID}-1", ("tree",))]


def test_ids_of_the_editor_that_look_like_parts_stay_apart() -> None:
    objects, _ = read_result(drawn(ring(), name="c5l4WidM-1") + drawn(ellipse(), name="c5l4WidM-2"))
    assert [o.id for o in objects] == ["c5l4WidM-1", "c5l4WidM-2"]


@pytest.mark.parametrize("kind", ["polygon", "brush", "bitmask", "rectangle", "ellipse"])
def test_labels_beside_a_bare_shape_name_it(kind: str) -> None:
    [one], dropped = read_result(drawn(ellipse(), kind, labels_name="names"))
    assert (one.labels, one.type, dropped) == (("car",), kind, [])


def test_a_bare_shape_without_labels_has_none() -> None:
    [one], _ = read_result(drawn(ellipse(), "polygon"))
    assert one.labels == ()


def test_two_tags_on_one_region_are_one_object_with_both_labels() -> None:
    objects, _ = read_result(drawn(ring()) + drawn(ring(), labels=["red"]))
    assert [o.labels for o in objects] == [("car", "red")]


def test_regions_without_an_id_stay_apart() -> None:
    items = drawn(ring()) + drawn(ellipse())
    for item in items:
        del item["id"]
    assert len(read_result(items)[0]) == 2


DOUBLE = {
    "id": "r1",
    "type": "keypointlabels",
    "from_name": "kp",
    "to_name": "image",
    "original_width": SIZE[1],
    "original_height": SIZE[0],
    "value": {**POINTS, "keypointlabels": ["car"]},
}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        pytest.param(DOUBLE, "does not fit its type", id="the editor's double"),
        pytest.param(
            {**DOUBLE, "type": "labels", "value": {**POINTS, "labels": ["car"]}},
            "can be ignored",
            id="stray labels",
        ),
        pytest.param({**DOUBLE, "type": "brushlabels"}, "does not fit its type", id="no brush"),
        pytest.param("text", "not an object", id="no object"),
    ],
)
def test_what_is_no_object_is_dropped_with_the_reason(item: Any, reason: str) -> None:
    objects, [dropped] = read_result([*drawn(ellipse(), "polygonlabels"), item])
    assert [o.labels for o in objects] == [("car",)]
    assert reason in dropped.reason
    if isinstance(item, dict):
        assert (dropped.id, dropped.type) == ("r1", item["type"])


@pytest.mark.parametrize(
    "item",
    [
        pytest.param({"id": "r1", "type": "choices", "value": {"choices": ["a"]}}, id="choices"),
        pytest.param({"type": "relation", "from_id": "a", "to_id": "b"}, id="relation"),
        pytest.param(
            {"id": "x", "type": "labels", "value": {"start": 0, "end": 1, "labels": ["a"]}}, id="of a text"
        ),
        pytest.param({"id": "x", "type": "videorectangle", "value": {"sequence": []}}, id="video"),
    ],
)
def test_what_marks_no_picture_is_passed_over(item: dict[str, Any]) -> None:
    assert read_result([item]) == ([], [])


@pytest.mark.parametrize("result", [None, {}, "[]"])
def test_a_result_must_be_a_list(result: Any) -> None:
    with pytest.raises(InputError, match="not a list"):
        read_result(result)


@given(items=st.lists(results, max_size=4))
@settings(max_examples=150, deadline=None)
def test_whatever_comes_is_read_or_dropped(items: list[Any]) -> None:
    objects, dropped = read_result(items)
    assert len(objects) + len(dropped) <= len(items)
    assert all(o.mask.any() for o in objects)
