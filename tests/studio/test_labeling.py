"""Configs that `labeler config` prints: valid, answered by the backend, with tools that do something."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface

from labeler_backend.errors import LabelerError
from labeler_backend.studio.config import read_config
from labeler_backend.studio.labeling import Kind, color_of, labeling_config, split_labels

CONTROLS = {"KeyPointLabels", "RectangleLabels", "PolygonLabels", "BrushLabels", "VideoRectangle"}


def tags(xml: str) -> list[tuple[str, str, str | None]]:
    """(tag, name, smart) of the controls in document order."""
    return [
        (element.tag, element.get("name", ""), element.get("smart"))
        for element in ET.fromstring(xml).iter()
        if element.tag in CONTROLS
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param(
            "polygon",
            [
                ("KeyPointLabels", "click", "true"),
                ("RectangleLabels", "frame", "true"),
                ("PolygonLabels", "polygon", "false"),
            ],
            id="polygon",
        ),
        pytest.param(
            "brush",
            [
                ("KeyPointLabels", "click", "true"),
                ("RectangleLabels", "frame", "true"),
                ("BrushLabels", "brush", "false"),
            ],
            id="brush",
        ),
        pytest.param(
            "box",
            [("KeyPointLabels", "click", "true"), ("RectangleLabels", "box", "false")],
            id="box",
        ),
        pytest.param("video", [("VideoRectangle", "box", "false")], id="video"),
    ],
)
def test_prompts_are_smart_and_answers_are_not(
    kind: Kind, expected: list[tuple[str, str, str | None]]
) -> None:
    xml = labeling_config(["cat", "dog"], kind)
    assert tags(xml) == expected
    assert LabelInterface(xml).is_valid


@pytest.mark.parametrize(
    ("kind", "region"),
    [("polygon", "polygonlabels"), ("brush", "brushlabels"), ("box", "rectanglelabels")],
)
def test_the_backend_answers_it(kind: Kind, region: str) -> None:
    config = read_config(labeling_config(["cat", "dog"], kind))
    (answer,) = config.answers
    assert (answer.kind, answer.labels) == (region, ("cat", "dog"))
    assert {prompt.name for prompt in config.prompts} == {"click"} | ({"frame"} if kind != "box" else set())


def test_one_label_leaves_nothing_to_guess() -> None:
    config = read_config(labeling_config(["cat"], "polygon"))
    assert (config.answers[0].label, config.answers[0].certain, config.notes) == ("cat", True, ())


def test_a_label_is_the_same_colour_in_every_tag() -> None:
    root = ET.fromstring(labeling_config(["cat", "dog"], "polygon"))
    colors = {(label.get("value"), label.get("background")) for label in root.iter("Label")}
    assert colors == {("cat", color_of(0)), ("dog", color_of(1))}


def test_colours_differ() -> None:
    colors = [color_of(number) for number in range(300)]
    assert len(set(colors)) == 300
    assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colors)


def test_video_carries_its_frame_rate() -> None:
    video = ET.fromstring(labeling_config(["ball"], "video", 29.97)).find("Video")
    assert video is not None
    assert video.get("frameRate") == "29.97"


names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=12).map(str.strip)


@given(labels=st.lists(names.filter(lambda n: n and n[0] != "$"), min_size=1, max_size=5, unique=True))
def test_any_label_comes_back_as_it_was(labels: list[str]) -> None:
    root = ET.fromstring(labeling_config(labels, "box"))
    found = [label.get("value") for label in root.findall("RectangleLabels/Label")]
    assert found == labels


@pytest.mark.parametrize(
    ("labels", "kind", "rate", "sentence"),
    [
        pytest.param([], "box", 25.0, "No labels were given", id="none"),
        pytest.param([""], "box", 25.0, "No labels were given", id="empty text"),
        pytest.param(["a", " "], "box", 25.0, "One of the labels is empty", id="one empty"),
        pytest.param(["a", "b", "a "], "box", 25.0, "'a' is given twice", id="twice"),
        pytest.param(["a\x00b"], "box", 25.0, "holds a character that XML cannot", id="control character"),
        pytest.param(["$name"], "box", 25.0, "would be read as a variable", id="variable"),
        pytest.param(["a"], "circle", 25.0, "'circle' is no kind of region", id="kind"),
        pytest.param(["a"], "video", 0.0, "is no frame rate", id="frame rate 0"),
        pytest.param(["a"], "video", float("nan"), "is no frame rate", id="frame rate nan"),
    ],
)
def test_what_cannot_be_is_a_sentence(labels: list[str], kind: Kind, rate: float, sentence: str) -> None:
    with pytest.raises(LabelerError, match=sentence):
        labeling_config(labels, kind, rate)


def test_split_labels() -> None:
    assert split_labels("cat, big dog ,,x") == ["cat", "big dog", "", "x"]
