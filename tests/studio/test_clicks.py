"""Clicks and boxes of Label Studio's editor, answered: which object is meant, and in whose place it goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.types import Answer, Answered, Prompt
from labeler_backend.studio.prediction import Prediction
from tests.prompts.made import LEFT, RIGHT, SIZE, disc
from tests.studio.clicked import (
    BOXES,
    CONFIG,
    NAMES,
    POINTS,
    POLYGONS,
    accepted,
    asked,
    box,
    masks,
    point,
    region,
    task,
)
from tests.studio.made import config_of, control

OLD = "elaaaaaaaaaaaa"
HALF = LEFT & (np.arange(SIZE[1]) < 90)
"""Somewhat more than half of the left disc."""
MOST = LEFT & (np.arange(SIZE[1]) < 105)
LARGER = LEFT | disc(80, 130, 22)
"""The left disc with something hanging below it."""


def only(found: Any) -> dict[str, Any]:
    [one] = found.result
    assert isinstance(one, dict)
    return one


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param([point(80, 84)], LEFT, id="click"),
        pytest.param([point(80, 84, None)], LEFT, id="a click without a sign is positive"),
        pytest.param([point(200, 84)], RIGHT, id="click on another"),
        pytest.param([point(80, 84), point(200, 84)], LEFT | RIGHT, id="two clicks before they are accepted"),
        pytest.param([box(38, 42, 84, 84)], LEFT, id="box"),
        pytest.param([box(158, 42, 84, 84), box(38, 42, 84, 84)], LEFT, id="the last box"),
        pytest.param([point(10, 10, False), point(80, 84)], LEFT, id="begins with a negative one nowhere"),
    ],
)
def test_prompts(items: list[Any], expected: BoolMask) -> None:
    found, notes = asked(*items)
    assert iou(np.any(masks(found), axis=0), expected) > 0.9
    assert notes == []
    assert 0 < found.score <= 1


def test_clicks_before_they_are_accepted_are_one_object_with_one_id() -> None:
    first = only(asked(point(80, 84))[0])
    second = only(asked(point(80, 84), point(80, 60, False))[0])
    assert second["id"] == first["id"]
    again = only(asked(point(80, 84), point(80, 60, False))[0])
    assert again == second


@pytest.mark.parametrize("state", ["drafts", "annotations", "predictions"])
def test_a_negative_click_makes_the_region_it_lies_in_smaller(state: str) -> None:
    body = task(**{state: [*region(LARGER), *region(RIGHT, "elbbbbbbbbbbbb")]})
    found, notes = asked(point(80, 142, False), body=body)
    assert only(found)["id"] == OLD
    [mask] = masks(found)
    assert not mask[142, 80]
    assert mask.sum() < LARGER.sum()
    assert iou(mask, LEFT) > 0.85
    assert notes == []


def test_a_negative_click_leaves_most_of_a_region_that_is_one_thing() -> None:
    """The clicks that made it are not in the request."""
    found, _ = asked(point(200, 60, False), body=task(drafts=region(RIGHT)))
    [mask] = masks(found)
    assert not mask[60, 200]
    assert mask.sum() > 0.3 * RIGHT.sum()


def test_a_draft_stands_before_what_was_predicted() -> None:
    body = task(drafts=region(RIGHT), predictions=region(LARGER))
    found, notes = asked(point(80, 142, False), body=body)
    assert found.result == []
    assert "no region" in notes[0]


def test_with_auto_accept_each_click_replaces_the_region() -> None:
    """Each request has the newest click alone, and the regions only as the editor saved them."""
    canvas: list[dict[str, Any]] = []
    sizes = []
    for click in (point(80, 84), point(80, 52, False), point(80, 116, False), point(80, 52)):
        found, _ = asked(click, body=task(drafts=canvas))
        canvas = accepted(canvas, found)
        assert len(canvas) == 1
        sizes.append(int(masks(found)[0].sum()))
        assert masks(found)[0][int(click["value"]["y"] * 1.68), 80] == click["is_positive"]
    assert sizes[1] < sizes[0]
    assert sizes[2] < sizes[1]


def test_before_a_draft_is_written_the_last_answer_counts() -> None:
    first, _ = asked(point(80, 84), body=task(drafts=[]))
    second, _ = asked(point(80, 52, False), body=task(drafts=[]), remembered=first.result)
    assert only(second)["id"] == only(first)["id"]
    assert not masks(second)[0][52, 80]
    nothing, notes = asked(point(80, 52, False), body=task(drafts=[]))
    assert nothing.result == []
    assert notes


def test_a_remembered_answer_stands_for_the_older_one_in_the_draft() -> None:
    draft, newer = region(RIGHT), region(LEFT)
    found, _ = asked(point(200, 84, False), body=task(drafts=draft), remembered=newer)
    assert found.result == []


@pytest.mark.parametrize(
    ("drawn", "label", "click", "replaces"),
    [
        pytest.param(MOST, "car", point(70, 84), True, id="inside, much the same"),
        pytest.param(MOST, "tree", point(70, 84), True, id="inside, and of another label"),
        pytest.param(disc(80, 84, 9), "car", point(80, 84), False, id="inside, and only a part of it"),
        pytest.param(HALF, "car", point(100, 84), False, id="beside, adds much"),
        pytest.param(MOST, "car", point(113, 84), True, id="beside, adds little"),
        pytest.param(HALF, "car", point(90.5, 84), True, id="at the border"),
        pytest.param(MOST, "tree", point(113, 84), False, id="beside one of another label"),
        pytest.param(RIGHT, "car", point(80, 84), False, id="far away"),
        pytest.param(MOST, "car", box(38, 42, 84, 84), True, id="a box, much the same"),
        pytest.param(MOST, "tree", box(38, 42, 84, 84), True, id="a box, of another label"),
        pytest.param(RIGHT, "car", box(38, 42, 84, 84), False, id="a box elsewhere"),
        pytest.param(
            (LEFT & ~disc(80, 84, 34)).astype(bool),
            "car",
            box(38, 42, 84, 84),
            True,
            id="a box around a bad one",
        ),
    ],
)
def test_which_region_is_replaced(drawn: BoolMask, label: str, click: dict[str, Any], replaces: bool) -> None:
    found, _ = asked(click, body=task(drafts=region(drawn, label=label)))
    answer = only(found)
    assert (answer["id"] == OLD) == replaces
    assert answer["value"]["polygonlabels"] == ["car"]


def test_a_missing_part_is_added_and_the_rest_stays() -> None:
    corrected = MOST & ~disc(52, 84, 8)  # by hand
    found, _ = asked(point(113, 84), body=task(drafts=region(corrected)))
    assert only(found)["id"] == OLD
    [mask] = masks(found)
    assert mask[84, 113]
    assert not mask[84, 52]


@pytest.mark.parametrize(
    ("radius", "off", "grows"),
    [
        pytest.param(6, 46, True, id="small and touching"),
        pytest.param(6, 60, False, id="small and apart"),
        pytest.param(26, 66, False, id="large and touching"),
    ],
)
def test_what_is_small_and_touches_a_region_is_a_part_of_it(radius: int, off: int, grows: bool) -> None:
    """As a foot that is seen as a thing of its own."""
    thing = disc(80 + off, 84, radius)
    whole = [{**one, "id": OLD} for one in region(LEFT)]

    def things(prompt: Prompt) -> Answer:
        mask = thing if prompt.previous is None else thing | prompt.previous
        return Answer((Answered(mask, 0.9),))

    found, _ = asked(point(80 + off, 84), body=task(drafts=whole), click=things)
    assert (only(found)["id"] == OLD) == grows


def test_another_object_of_the_kind_leaves_its_neighbour_out() -> None:
    found, _ = asked(point(104, 84), body=task(drafts=region(HALF)))
    [mask] = masks(found)
    assert mask[84, 104]
    assert (mask & HALF).sum() < 0.05 * HALF.sum()


def test_a_negative_click_keeps_the_label_and_a_positive_one_gives_its_own() -> None:
    body = task(drafts=region(LARGER, label="tree"))
    assert only(asked(point(80, 142, False), body=body)[0])["value"]["polygonlabels"] == ["tree"]
    assert only(asked(point(80, 84), body=body)[0])["value"]["polygonlabels"] == ["car"]
    assert only(asked(point(80, 84, label="unknown"))[0])["value"]["polygonlabels"] == ["car"]


def test_the_smallest_region_of_the_label_is_meant() -> None:
    both = [
        *region(LARGER),
        *region(LEFT, "elbbbbbbbbbbbb", "tree"),
        *region(disc(80, 84, 60), "elcccccccccccc"),
    ]
    assert only(asked(point(80, 52, False), body=task(drafts=both))[0])["id"] == OLD
    assert only(asked(point(80, 52, False, "tree"), body=task(drafts=both))[0])["id"] == "elbbbbbbbbbbbb"


@pytest.mark.parametrize("tag", ["PolygonLabels", "BrushLabels", "BitmaskLabels", "RectangleLabels"])
def test_answers_are_of_the_config_s_tag(tag: str) -> None:
    config = config_of(POINTS, control(tag, "answer", "car,tree", 'smart="false"'))
    found, _ = asked(point(80, 84, label="tree"), config=config)
    answer = only(found)
    assert (answer["type"], answer["from_name"]) == (tag.lower(), "answer")
    assert answer["value"][tag.lower()] == ["tree"]
    least = 0.7 if tag == "RectangleLabels" else 0.9
    assert iou(masks(found)[0], LEFT) > least


@pytest.mark.parametrize("tag", ["Polygon", "Brush", "Bitmask", "Rectangle"])
def test_answers_in_a_bare_tag_are_named_by_the_labels_beside_it(tag: str) -> None:
    """As the editor writes them: two items of one id, the second with the labels."""
    config = config_of(POINTS, control(tag, "answer", "", 'smart="false"'), NAMES)
    shape, labels = asked(point(80, 84, label="tree"), config=config)[0].result
    assert (shape["type"], shape["from_name"]) == (tag.lower(), "answer")
    assert (labels["type"], labels["from_name"]) == ("labels", "names")
    assert labels["value"] == {**shape["value"], "labels": ["tree"]}
    same = ("id", "to_name", "original_width", "original_height", "image_rotation")
    assert [labels[key] for key in same] == [shape[key] for key in same]

    drawn = region(LARGER, kind=tag.lower(), tag="answer", names="names")
    found, notes = asked(point(80, 142, False, "tree"), config=config, body=task(drafts=drawn))
    assert [one["id"] for one in found.result] == [OLD, OLD]
    assert [one["type"] for one in found.result] == [tag.lower(), "labels"]
    assert found.result[1]["value"]["labels"] == ["car"]
    assert masks(found)[0].sum() < masks(Prediction(result=drawn, score=0.0, model_version=""))[0].sum()
    assert notes == []


def test_a_bare_region_that_nothing_names_goes_to_the_answering_tag() -> None:
    config = config_of(POINTS, control("Brush", "brush", "", 'smart="false"'), POLYGONS)
    drawn = region(LARGER, kind="brush", tag="brush")
    answer = only(asked(point(80, 142, False), config=config, body=task(drafts=drawn))[0])
    assert (answer["id"], answer["type"], answer["from_name"]) == (OLD, "polygonlabels", "polygon")


def test_a_region_of_another_tag_stays_of_it() -> None:
    config = config_of(POINTS, POLYGONS, control("BrushLabels", "brush", "car,tree", 'smart="false"'))
    brush = region(LARGER, kind="brushlabels", tag="brush")
    answer = only(asked(point(80, 142, False), config=config, body=task(drafts=brush))[0])
    assert (answer["id"], answer["type"], answer["from_name"]) == (OLD, "brushlabels", "brush")
    ellipse = {**region(LARGER)[0], "type": "ellipselabels", "from_name": "gone"}
    ellipse["value"] = {
        "x": 29,
        "y": 50,
        "radiusX": 15,
        "radiusY": 25,
        "rotation": 0,
        "ellipselabels": ["car"],
    }
    answer = only(asked(point(80, 56, False), config=config, body=task(drafts=[ellipse]))[0])
    assert (answer["id"], answer["type"], answer["from_name"]) == (OLD, "polygonlabels", "polygon")
    config = config_of(POINTS, POLYGONS, control("Brush", "bare", "", 'smart="false"'), NAMES)
    drawn = region(LARGER, kind="brush", tag="bare", names="names")
    found, _ = asked(point(80, 142, False), config=config, body=task(drafts=drawn))
    assert [(one["id"], one["from_name"]) for one in found.result] == [(OLD, "bare"), (OLD, "names")]


def test_a_negative_click_in_a_box_cuts_the_object_in_it() -> None:
    config = config_of(POINTS, control("RectangleLabels", "answer", "car", 'smart="false"'))
    drawn = region(LARGER, kind="rectanglelabels", tag="answer")
    answer = only(asked(point(80, 148, False), config=config, body=task(drafts=drawn))[0])
    assert answer["id"] == OLD
    assert answer["value"]["height"] < drawn[0]["value"]["height"]


def test_one_part_of_an_object_changes_alone() -> None:
    drawn = region(LARGER | RIGHT | disc(200, 130, 16))
    assert [one["id"] for one in drawn] == [OLD, f"{OLD}-1"]
    found, _ = asked(point(200, 138, False), body=task(drafts=drawn))
    assert only(found)["id"] == f"{OLD}-1"
    assert iou(masks(found)[0], RIGHT) > 0.85


@pytest.mark.parametrize(
    ("kind", "names", "types"),
    [
        pytest.param("polygonlabels", None, ["polygonlabels"], id="with labels of its own"),
        pytest.param("polygon", "names", ["polygon", "labels"], id="with labels beside it"),
    ],
)
def test_parts_of_an_answer_take_ids_that_are_free(kind: str, names: str | None, types: list[str]) -> None:
    labels = "" if names else "car,tree"
    tag = control("Polygon" if names else "PolygonLabels", "answer", labels, 'smart="false"')
    config = config_of(POINTS, tag, *([NAMES] if names else []))
    canvas = [(LEFT, OLD), (disc(20, 20, 9), f"{OLD}-1")]
    drawn = [one for mask, name in canvas for one in region(mask, name, "car", kind, "answer", names)]
    halves = Answer((Answered(LEFT & (np.abs(np.arange(SIZE[1]) - 80) > 3), 0.5),))
    found, _ = asked(
        point(80, 84, False), config=config, body=task(drafts=drawn), click=lambda prompt: halves
    )
    wanted = [(name, one) for name in (OLD, f"{OLD}-2") for one in types]
    assert [(one["id"], one["type"]) for one in found.result] == wanted


def test_a_new_object_never_takes_the_id_of_another_region() -> None:
    first = only(asked(point(80, 84))[0])
    elsewhere = region(disc(240, 140, 12), first["id"])
    assert only(asked(point(80, 84), body=task(drafts=elsewhere))[0])["id"] != first["id"]


def test_prompts_that_were_not_accepted_are_no_regions() -> None:
    """The editor writes them into the draft."""
    body = task(drafts=[box(38, 42, 84, 84), point(80, 84)])
    found, notes = asked(point(80, 60, False), body=body)
    assert found.result == []
    assert "no region" in notes[0]


@pytest.mark.parametrize(
    ("items", "answers", "said"),
    [
        pytest.param([point(-5, 84)], None, "outside the image", id="outside the picture"),
        pytest.param(
            [point(80, 84), point(400, 84, False)], True, "outside the image", id="one of two outside"
        ),
        pytest.param(
            [point(80, 84), point(80, 84, False, id="n")],
            None,
            "the later click counts",
            id="both at one place",
        ),
        pytest.param([box(80, 84, 0, 0)], False, "holds nothing", id="an empty box"),
        pytest.param([box(122, 126, -84, -84)], True, "the other way round", id="an inverted box"),
        pytest.param([box(300, 200, 20, 20)], False, "holds nothing", id="a box outside"),
        pytest.param(
            [point(80, 84), box(80, 84, 0, 0)], True, "holds nothing", id="an empty box and a click"
        ),
        pytest.param([point(80, 84, False)], False, "lies in no region", id="only negative"),
        pytest.param([point(80, 84, value={"x": "a", "y": 1})], False, "not a number", id="no numbers"),
        pytest.param([point(80, 84, value={"x": 1})], False, "does not fit", id="no y"),
        pytest.param([point(80, 84, from_name="other")], False, "asks for nothing", id="another tag"),
        pytest.param([point(80, 84, to_name="other")], False, "asks for nothing", id="another picture"),
        pytest.param([*region(LEFT), point(80, 84)], True, "asks for nothing", id="a polygon beside it"),
        pytest.param(["?", point(80, 84)], True, "not an object", id="a text beside it"),
        pytest.param(
            [point(80, 84, type="brushlabels")], False, "does not fit", id="a type that is not true"
        ),
        pytest.param([point(80, 84, item_index=1), point(80, 84)], True, "several pages", id="two pages"),
        pytest.param([], False, None, id="nothing"),
    ],
)
def test_what_cannot_be_used_is_said_and_the_rest_answered(
    items: list[Any], answers: bool | None, said: str | None
) -> None:
    found, notes = asked(*items)
    if answers is not None:
        assert bool(found.result) == answers
    assert (said is None and not notes) or any(said in note for note in notes if said)


def test_a_bare_key_point_is_named_by_the_labels_beside_it() -> None:
    config = config_of(
        '<KeyPoint name="kp" toName="image"/>', control("Labels", "names", "car,tree"), POLYGONS
    )
    click = point(80, 84)
    value = {"x": click["value"]["x"], "y": click["value"]["y"], "width": 0.2}
    bare = {**click, "type": "keypoint", "value": value}
    name = {**click, "type": "labels", "from_name": "names", "value": {**value, "labels": ["tree"]}}
    found, notes = asked(bare, name, config=config)
    assert only(found)["value"]["polygonlabels"] == ["tree"]
    assert notes == []


def test_the_page_that_was_clicked_is_answered() -> None:
    config = config_of(POINTS, BOXES, POLYGONS, image='<Image name="image" valueList="$pages"/>')
    there = [{**one, "item_index": 1} for one in region(LARGER)]
    found, _ = asked(point(80, 142, False, item_index=1), config=config, body=task(drafts=there))
    assert (only(found)["id"], only(found)["item_index"]) == (OLD, 1)
    found, _ = asked(point(80, 142, False), config=config, body=task(drafts=there))
    assert found.result == []


def test_pictures_of_another_size_than_a_region_says() -> None:
    drawn = [{**one, "original_width": 2 * SIZE[1], "original_height": 2 * SIZE[0]} for one in region(LARGER)]
    found, _ = asked(point(80, 142, False), body=task(drafts=drawn))
    assert only(found)["id"] == OLD
    assert only(found)["original_width"] == SIZE[1]


def test_without_an_answering_tag_nothing_is_answered() -> None:
    found, _ = asked(point(80, 84), config=config_of(POINTS))
    assert found.result == []
    assert CONFIG.answer_for(CONFIG.images[0]) is not None
