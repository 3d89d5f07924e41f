from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask, encode
from labeler_backend.proposals.types import Proposal
from labeler_backend.studio.config import LabelingConfig
from labeler_backend.studio.prediction import GUESSED, Prediction
from labeler_backend.studio.predictions import Page, prediction
from labeler_backend.studio.results import read_result
from tests.studio.made import SIZE, config_of, control, ellipse, ring, through_json

LARGE, SMALL = ellipse(), ellipse(centre=(60, 45), radii=(12, 8))
ASIDE = ellipse(centre=(120, 70), radii=(12, 12))
KEYPOINTS = control("KeyPointLabels", "kp", labels="car,tree", attributes='smart="true"')
POLYGONS = control("PolygonLabels", "polygon", labels="car,tree", attributes='smart="false"')
NESTED = control("PolygonLabels", "polygon", labels="car,tree", attributes='smart="false" model_overlap="1"')


def found(mask: BoolMask, score: float = 0.8, label: str | None = None) -> Proposal:
    return Proposal(encode(mask), score, "attention", label)


def page(*proposals: Proposal, index: int | None = None) -> Page:
    return Page(index, SIZE, proposals, 0.7)


def predicted(config: LabelingConfig, *proposals: Proposal, task: int = 1) -> Prediction:
    answer = prediction(task, config, {"image": [page(*proposals)]}, "v1")
    assert config.validate(through_json(answer.model_dump())) == []
    return answer


@pytest.mark.parametrize("tag", ["PolygonLabels", "BrushLabels", "BitmaskLabels", "RectangleLabels"])
def test_proposals_become_regions_of_the_answer_tag(tag: str) -> None:
    answer = predicted(config_of(control(tag)), found(ASIDE, 0.5), found(ring(), 0.81236))
    reading = read_result(through_json(answer.result))
    objects, dropped = reading.objects, reading.notes
    assert [o.labels for o in objects] == [("car",), ("car",)]
    assert [o.score for o in objects] == [0.8124, 0.5]
    assert answer.score == 0.7
    assert answer.model_version == "v1"
    assert dropped == []
    if tag != "RectangleLabels":
        assert iou(objects[0].mask, ring()) > 0.95


@pytest.mark.parametrize("tag", ["Polygon", "Brush", "Bitmask", "Rectangle"])
def test_proposals_in_a_bare_tag_are_named_by_the_labels_beside_it(tag: str) -> None:
    config = config_of(control(tag, "shape", ""), control("Labels", "names", "car"))
    answer = predicted(config, found(ASIDE, 0.5), found(ring(), 0.8))
    assert [(r["type"], r["from_name"]) for r in answer.result] == [
        (tag.lower(), "shape"),
        ("labels", "names"),
    ] * 2
    assert [r["id"] for r in answer.result[::2]] == [r["id"] for r in answer.result[1::2]]
    reading = read_result(through_json(answer.result))
    assert [(o.labels, o.score) for o in reading.objects] == [(("car",), 0.8), (("car",), 0.5)]
    assert (reading.others, reading.notes) == ([], [])


def test_a_box_is_that_of_the_mask() -> None:
    [region] = predicted(config_of(control("RectangleLabels")), found(ring())).result
    x, y, w, h = found(ring()).box
    value = region["value"]
    drawn = [value["x"] * 1.4, value["y"] * 0.9, value["width"] * 1.4, value["height"] * 0.9]
    assert drawn == pytest.approx([x, y, w, h], abs=1e-4)


def test_weak_and_surplus_proposals_are_left_out() -> None:
    tuned = control(
        "BrushLabels", attributes='model_max_proposals="2" model_score_threshold="0.3" model_overlap="1"'
    )
    many = [found(ellipse(radii=(10 + n, 10)), score) for n, score in enumerate((0.2, 0.5, 0.9, 0.7))]
    assert [r["score"] for r in predicted(config_of(tuned), *many).result] == [0.9, 0.7]


@pytest.mark.parametrize(
    ("labels", "named", "expected", "score"),
    [
        pytest.param("car", None, "car", 0.8, id="the only label"),
        pytest.param("car,tree", None, "car", 0.8 * GUESSED, id="a guess"),
        pytest.param("car,tree", "tree", "tree", 0.8, id="named by a head"),
        pytest.param("car,tree", "dog", "car", 0.8 * GUESSED, id="named otherwise"),
        pytest.param("", "dog", "dog", 0.8, id="dynamic labels"),
    ],
)
def test_labels_and_scores(labels: str, named: str | None, expected: str, score: float) -> None:
    answer = predicted(config_of(control("PolygonLabels", labels=labels)), found(ring(), 0.8, named))
    assert [r["value"]["polygonlabels"] for r in answer.result] == [[expected]]
    assert [r["score"] for r in answer.result] == [pytest.approx(score)]


def test_a_guess_does_not_fall_below_the_threshold() -> None:
    config = config_of(control("PolygonLabels", labels="car,tree", attributes='model_score_threshold="0.5"'))
    assert predicted(config, found(ring(), 0.6)).result[0]["score"] == pytest.approx(0.3)


def test_without_a_label_nothing_is_sent() -> None:
    answer = predicted(config_of(control("PolygonLabels", labels="")), found(ring()))
    assert (answer.result, answer.score) == ([], 0.7)


@pytest.mark.parametrize(
    "proposals",
    [pytest.param([], id="none"), pytest.param([found(np.zeros(SIZE, bool))], id="an empty mask")],
)
def test_nothing_found_is_an_empty_answer(proposals: list[Proposal]) -> None:
    answer = predicted(config_of(POLYGONS), *proposals)
    assert (answer.result, answer.score, answer.model_version) == ([], 0.7, "v1")


def test_the_score_is_the_confidence_of_the_least_certain_picture() -> None:
    config = config_of(control("PolygonLabels"))
    pages = [Page(n, SIZE, [found(ring(), 0.9)], sure) for n, sure in enumerate((0.8, 0.25, 0.6))]
    assert prediction(1, config, {"image": pages}, "v1").score == 0.25
    assert prediction(1, config, {"image": []}, "v1").score == 0.0


def test_a_region_that_label_studio_would_refuse_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    validate = LabelingConfig.validate

    def refuse_weak(config: LabelingConfig, answer: dict[str, Any]) -> list[str]:
        weak = any(region["score"] < 0.5 for region in answer["result"])
        return ["refused"] if weak else validate(config, answer)

    monkeypatch.setattr(LabelingConfig, "validate", refuse_weak)
    answer = prediction(
        1, config_of(control("BrushLabels")), {"image": [page(found(LARGE), found(SMALL, 0.4))]}, "v1"
    )
    assert [r["score"] for r in answer.result] == [0.8]


def test_ids_are_unique_and_stable() -> None:
    config = config_of(NESTED)
    proposals = [found(LARGE, 0.9), found(ring(), 0.6), found(SMALL, 0.3)]
    ids = [r["id"] for r in predicted(config, *proposals).result]
    assert len(set(ids)) == 3
    assert [r["id"] for r in predicted(config, *proposals[1:]).result] == ids[1:]
    assert not {r["id"] for r in predicted(config, *proposals, task=2).result} & set(ids)


def test_pages_carry_their_index() -> None:
    config = config_of(control("BrushLabels"), image='<Image name="image" valueList="$pages"/>')
    pages = [page(found(ring()), index=0), page(index=1), page(found(ring()), index=2)]
    answer = prediction(1, config, {"image": pages}, "v1")
    assert [r["item_index"] for r in answer.result] == [0, 2]
    assert len({r["id"] for r in answer.result}) == 2
    assert config.validate(answer.model_dump()) == []


def test_two_pictures_have_their_own_tags() -> None:
    config = config_of(
        control("PolygonLabels", "a"),
        control("BrushLabels", "b", to="right"),
        image='<Image name="image" value="$image"/><Image name="right" value="$other"/>',
    )
    answer = prediction(1, config, {name: [page(found(ring()))] for name in ("image", "right", "gone")}, "v1")
    assert [(r["from_name"], r["to_name"]) for r in answer.result] == [("a", "image"), ("b", "right")]
    assert answer.result[0]["id"] != answer.result[1]["id"]


def test_a_picture_without_answer_tag_gets_nothing() -> None:
    assert predicted(config_of(KEYPOINTS), found(ring())).result == []


@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
def test_objects_are_shown_side_by_side_unless_asked(overlap: float) -> None:
    tag = control("BrushLabels", attributes=f'model_overlap="{overlap}"')
    answer = predicted(config_of(tag), found(LARGE, 0.9), found(SMALL, 0.8), found(ASIDE, 0.7))
    assert [r["score"] for r in answer.result] == ([0.9, 0.8, 0.7] if overlap == 1 else [0.9, 0.7])


def test_objects_that_do_not_touch_are_regions_of_their_own() -> None:
    answer = predicted(config_of(POLYGONS), found(ring() | ASIDE, 0.9))
    objects = read_result(through_json(answer.result)).objects
    assert len({o.id for o in objects}) == 2
    assert iou(objects[1].mask, ASIDE) > 0.9
