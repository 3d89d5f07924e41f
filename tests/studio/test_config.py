from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.errors import InputError
from labeler_backend.studio.config import ConfigError, ImageTag, LabelingConfig, read_config
from labeler_backend.studio.regions import Place
from tests.studio.made import config_of, control

IMAGE = ImageTag("image", "image", many=False)
PAGES = '<Image name="image" valueList="$pages"/>'

RECOMMENDED = """<View>
 <Image name="image" value="$image" zoom="true"/>
 <KeyPointLabels name="kp" toName="image" smart="true"><Label value="car"/><Label value="person"/></KeyPointLabels>
 <RectangleLabels name="box" toName="image" smart="true"><Label value="car"/><Label value="person"/></RectangleLabels>
 <PolygonLabels name="polygon" toName="image" smart="false"><Label value="car"/><Label value="person"/></PolygonLabels>
 <BrushLabels name="brush" toName="image" smart="false"><Label value="car"/><Label value="person"/></BrushLabels>
</View>"""  # noqa: E501


NAMES = control("Labels", "names", labels="x,y")


def bare(tag: str, name: str, attributes: str = "") -> str:
    return control(tag, name, labels="", attributes=attributes)


def notes_of(config: LabelingConfig, word: str) -> list[str]:
    return [note for note in config.notes if word in note]


@pytest.mark.parametrize(
    ("controls", "answers"),
    [
        pytest.param([control("PolygonLabels", "a"), control("BrushLabels", "b")], "a", id="the first"),
        pytest.param(
            [control("BrushLabels", "b"), control("PolygonLabels", "a")], "b", id="in document order"
        ),
        pytest.param(
            [control("RectangleLabels", "a", attributes='smart="true"'), control("BitmaskLabels", "b")],
            "b",
            id="not what is smart",
        ),
        pytest.param(
            [control(tag, tag, attributes='smart="true"') for tag in ("RectangleLabels", "PolygonLabels")],
            "RectangleLabels",
            id="the first where all are smart",
        ),
        pytest.param(
            [control("PolygonLabels", "a"), control("BrushLabels", "b", attributes='model_answer="true"')],
            "b",
            id="the one that says so",
        ),
        pytest.param(
            [
                control("PolygonLabels", "a"),
                control("RectangleLabels", "b", attributes='model_answer="true" smart="true"'),
            ],
            "b",
            id="the one that says so, smart or not",
        ),
        pytest.param([control("KeyPointLabels", "k"), control("EllipseLabels", "e")], None, id="none"),
        pytest.param([NAMES, bare("Brush", "a"), bare("Polygon", "b")], "a", id="the first of bare ones"),
        pytest.param([bare("Bitmask", "a"), NAMES], "a", id="a bare one before its labels"),
        pytest.param([bare("Brush", "a")], None, id="a bare one that nothing names"),
        pytest.param(
            [NAMES, bare("Rectangle", "a"), control("PolygonLabels", "b")], "b", id="not what is bare"
        ),
        pytest.param(
            [NAMES, control("RectangleLabels", "a", attributes='smart="true"'), bare("Polygon", "b")],
            "b",
            id="what is bare before what is smart",
        ),
        pytest.param(
            [NAMES, bare("Polygon", "a", 'model_answer="true"'), control("BrushLabels", "b")],
            "a",
            id="a bare one that says so",
        ),
        pytest.param([NAMES, bare("Rectangle", "a")], "a", id="a bare box"),
    ],
)
def test_which_tag_answers(controls: list[str], answers: str | None) -> None:
    answer = config_of(*controls).answer_for(IMAGE)
    assert (answer.name if answer else None) == answers


@pytest.mark.parametrize(
    ("labels", "label", "certain"),
    [
        pytest.param('<Label value="car"/>', "car", True, id="the only one"),
        pytest.param('<Label value="car"/><Label value="tree"/>', "car", False, id="the first is a guess"),
        pytest.param(
            '<Label value="car"/><Label value="thing" predicted_values="dog, Object"/>',
            "thing",
            True,
            id="object",
        ),
        pytest.param('<Label value="car"/><Label value="any" predicted_values="*"/>', "any", True, id="star"),
        pytest.param(
            '<Label value="car" predicted_values="auto"/><Label value="b"/>', "car", False, id="others"
        ),
        pytest.param('<Label value="car" alias="c"/>', "c", True, id="an alias is what is stored"),
        pytest.param('<Label value="$dynamic"/>', None, False, id="dynamic only"),
        pytest.param(
            '<Label value="$dynamic"/><Label value="car"/>', "car", True, id="static beside dynamic"
        ),
        pytest.param("", None, False, id="none at all"),
        pytest.param('<View><Label value="car" background="red"/></View>', "car", True, id="nested"),
    ],
)
def test_which_label_unnamed_proposals_take(labels: str, label: str | None, certain: bool) -> None:
    config = config_of(f'<PolygonLabels name="tag" toName="image">{labels}</PolygonLabels>')
    [answer] = config.answers
    assert (answer.label, answer.certain) == (label, certain)
    assert bool(notes_of(config, "tag")) is (not certain)
    config = config_of(bare("Brush", "answer"), f'<Labels name="tag" toName="image">{labels}</Labels>')
    [answer] = config.answers
    assert (answer.label, answer.certain) == (label, certain)
    assert len(config.notes) == (not certain)


@pytest.mark.parametrize(
    ("kind", "labels", "named"),
    [
        pytest.param("polygonlabels", ["a"], None, id="labels of its own"),
        pytest.param("polygon", ["a"], "first", id="the first that knows it"),
        pytest.param("brush", ["c"], "second", id="the second that knows it"),
        pytest.param("brush", ["b", "c"], "second", id="both labels"),
        pytest.param("bitmask", ["a", "c"], "first", id="no one knows both"),
        pytest.param("rectangle", ["?"], "first", id="no one knows it"),
    ],
)
def test_which_labels_name_a_region(kind: str, labels: list[str], named: str | None) -> None:
    config = config_of(
        control("Labels", "other", labels="a,b,c", to="right"),
        control("Labels", "first", labels="a,b"),
        control("Labels", "second", labels="b,c"),
        image='<Image name="image" value="$image"/><Image name="right" value="$other"/>',
    )
    place = config.place("tag", kind, IMAGE, 1, labels)
    assert place == Place("tag", "image", 1, named)


@pytest.mark.parametrize(
    ("attributes", "extra", "expected", "noted"),
    [
        pytest.param("", None, (None, None, 60), "", id="defaults"),
        pytest.param(
            'model_max_points="30" model_score_threshold="0.4"', None, (None, 0.4, 30), "", id="attributes"
        ),
        pytest.param("", {"model_max_proposals": 5, "other": 1}, (5, None, 60), "", id="extra params"),
        pytest.param("", '{"model_max_proposals": "5"}', (5, None, 60), "", id="extra params as text"),
        pytest.param(
            'model_max_proposals="7"', {"model_max_proposals": 5}, (7, None, 60), "", id="the tag wins"
        ),
        pytest.param(
            'model_max_points="400"', None, (None, None, 80), "between 4 and 80", id="too many points"
        ),
        pytest.param('model_max_points="1"', None, (None, None, 4), "between 4 and 80", id="too few points"),
        pytest.param('model_max_proposals="0"', None, (1, None, 60), "between 1 and 200", id="no proposals"),
        pytest.param('model_score_threshold="lots"', None, (None, None, 60), "not a number", id="text"),
        pytest.param('model_score_threshold="nan"', None, (None, None, 60), "not a number", id="NaN"),
        pytest.param("", {"model_max_points": [1]}, (None, None, 60), "not a number", id="a list"),
        pytest.param("", {"model_max_points": True}, (None, None, 60), "not a number", id="a bool"),
        pytest.param("", "threshold=1", (None, None, 60), "not a JSON object", id="no JSON"),
        pytest.param("", "[1]", (None, None, 60), "not a JSON object", id="no object"),
        pytest.param("", " ", (None, None, 60), "", id="blank"),
        pytest.param("", {}, (None, None, 60), "", id="empty"),
    ],
)
def test_numbers_that_tune(
    attributes: str, extra: Any, expected: tuple[int | None, float | None, int], noted: str
) -> None:
    xml = f'<View><Image name="image" value="$image"/>{control("BrushLabels", attributes=attributes)}</View>'
    config = read_config(xml, extra)
    [answer] = config.answers
    assert (answer.max_proposals, answer.min_score, answer.max_points) == expected
    assert [noted in note for note in config.notes] == ([True] if noted else [])


def test_prompts() -> None:
    config = config_of(
        control("PolygonLabels", "polygon"),
        control("KeyPointLabels", "kp", labels="a,b"),
        control("RectangleLabels", "box", attributes='smart="true"'),
        control("RectangleLabels", "plain", attributes='smart="false"'),
        '<KeyPoint name="bare" toName="image"/><Rectangle name="frame" toName="image" smart="true"/>',
        control("Labels", "names", labels="x,y"),
    )
    assert [(p.name, p.kind, p.labels) for p in config.prompts] == [
        ("kp", "keypointlabels", ("a", "b")),
        ("box", "rectanglelabels", ("car",)),
        ("bare", "keypoint", ("x", "y")),
        ("frame", "rectangle", ("x", "y")),
    ]


def test_a_box_answer_that_is_not_switched_off_also_prompts() -> None:
    config = config_of(control("RectangleLabels", "box"))
    assert [p.name for p in config.prompts] == [a.name for a in config.answers] == ["box"]


@pytest.mark.parametrize(
    ("xml", "note"),
    [
        pytest.param(control("Choices", "c"), "until a head has been trained", id="choices"),
        pytest.param(control("EllipseLabels", "e"), "only masks and boxes", id="ellipse"),
        pytest.param('<Polygon name="p" toName="image"/>', "add <Labels>", id="nothing names a bare polygon"),
        pytest.param(
            '<Polygon name="p" toName="image"/>' + control("Labels", "n"), "model_answer", id="a bare second"
        ),
        pytest.param(control("BrushLabels", "b", to="gone"), "'gone'", id="toName of nothing"),
        pytest.param(
            '<Video name="v" value="$v"/>' + control("TimelineLabels", "r", to="v"),
            "only masks and boxes",
            id="spans of a video",
        ),
        pytest.param(
            '<Video name="v" value="https://host/$v"/>', "'https://host/$v'", id="a template of a video"
        ),
        pytest.param(
            '<Audio name="a" value="$a"/>' + control("Labels", "l", to="a") + control("Choices", "c", to="a"),
            "only pictures and videos",
            id="sound",
        ),
        pytest.param(
            '<Text name="t" value="$t"/>' + control("Labels", "n", to="t"), "", id="labels of a text"
        ),
        pytest.param('<Image name="b" value="https://host/$file"/>', "'https://host/$file'", id="a template"),
        pytest.param('<Image name="b" value="$pages[{{i}}]"/>', "$pages[{{i}}]", id="repeater"),
        pytest.param(control("BrushLabels", "second"), "model_answer", id="a second answer"),
    ],
)
def test_what_gets_no_answer_is_noted(xml: str, note: str) -> None:
    config = config_of(control("PolygonLabels", "first"), xml)
    assert [a.name for a in config.answers] == ["first"]
    if note:
        [found] = config.notes
        assert note in found
    else:
        assert config.notes == ()


@pytest.mark.parametrize(
    "xml",
    [
        pytest.param("<View/>", id="empty"),
        pytest.param('<View><Text name="t" value="$t"/></View>', id="text only"),
        pytest.param('<View><Image name="i" value="$i"/></View>', id="no control"),
        pytest.param(f"<View>{control('PolygonLabels')}</View>", id="no image"),
    ],
)
def test_a_config_without_use_is_no_error(xml: str) -> None:
    config = read_config(xml)
    assert config.answers == ()
    assert "can hold proposals" in config.notes[-1]


def test_each_picture_has_its_own_answer() -> None:
    config = config_of(
        control("PolygonLabels", "a", to="image"),
        control("BrushLabels", "b", to="right"),
        image='<Image name="image" value="$image"/><Image name="right" value="$other"/>',
    )
    assert [(a.name, a.image.key) for a in config.answers] == [("a", "image"), ("b", "other")]
    assert config.notes == ()


def test_the_recommended_config() -> None:
    config = read_config(RECOMMENDED)
    assert [a.name for a in config.answers] == ["polygon"]
    assert [p.name for p in config.prompts] == ["kp", "box"]


@pytest.mark.parametrize("start", ['<?xml version="1.0" encoding="utf-8"?>\n', "\n  ", "<!-- a comment -->"])
def test_what_may_stand_before_the_config(start: str) -> None:
    assert read_config(start + RECOMMENDED).answers == read_config(RECOMMENDED).answers


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("  \n", "empty", id="blank"),
        pytest.param(None, "empty", id="null"),
        pytest.param("View", "cannot be read", id="text"),
        pytest.param("<View><Image></View>", "cannot be read", id="not closed"),
        pytest.param("<View>\x00</View>", "cannot be read", id="NUL"),
        pytest.param("<View>\ud800</View>", "cannot be read", id="surrogate"),
        pytest.param("<View>&unknown;</View>", "cannot be read", id="unknown entity"),
        pytest.param("<View>" * 5000 + "</View>" * 5000, "cannot be read", id="deep"),
    ],
)
def test_what_is_no_config_is_a_sentence(xml: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_config(xml)


def test_entities_are_not_expanded_and_files_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2")
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
    for declaration in (f'<!ENTITY l0 "lol">{laughs}', f'<!ENTITY l12 SYSTEM "{secret.as_uri()}">'):
        xml = f'<!DOCTYPE View [{declaration}]><View><Header value="&l12;"/>&l12;</View>'
        with pytest.raises(ConfigError, match="DOCTYPE") as caught:
            read_config(xml)
        assert "hunter2" not in str(caught.value)


def test_ten_thousand_labels_are_quick_and_read_once() -> None:
    labels = ",".join(f"label {n}" for n in range(10_000))
    xml = f'<View><Image name="image" value="$image"/>{control("PolygonLabels", labels=labels)}</View>'
    start = time.perf_counter()
    config = read_config(xml)
    assert time.perf_counter() - start < 5
    assert len(config.answers[0].labels) == 10_000
    assert read_config(xml) is config
    assert read_config(xml, {"model_max_points": 20}) is not config


@pytest.mark.parametrize(
    ("image", "data", "expected"),
    [
        pytest.param('value="$image"', {"image": "/a.jpg"}, ["/a.jpg"], id="one"),
        pytest.param(
            'value="$image"', {"image": ["/a.jpg", "/b.jpg"]}, ["/a.jpg"], id="the editor shows the first"
        ),
        pytest.param('valueList="$p"', {"p": ["/a.jpg", "/b.jpg"]}, ["/a.jpg", "/b.jpg"], id="pages"),
        pytest.param('valueList="$p"', {"p": "/a.jpg"}, ["/a.jpg"], id="one page"),
        pytest.param('value="$a.b"', {"a": {"b": "/a.jpg"}}, ["/a.jpg"], id="a path"),
        pytest.param('value="$a.b"', {"a.b": "/a.jpg"}, ["/a.jpg"], id="a key with a dot"),
        pytest.param('value="$a[1].url"', {"a": [{}, {"url": "/b.jpg"}]}, ["/b.jpg"], id="an index"),
        pytest.param('value="$my-image"', {"my-image": "/a.jpg"}, ["/a.jpg"], id="a dash"),
    ],
)
def test_pages(image: str, data: dict[str, Any], expected: list[str]) -> None:
    config = config_of(control("PolygonLabels"), image=f'<Image name="image" {image}/>')
    assert config.pages(data, config.images[0]) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param({}, "no 'pages'", id="no key"),
        pytest.param({"pages": None}, "holds nothing", id="null"),
        pytest.param({"pages": ""}, "holds nothing", id="empty"),
        pytest.param({"pages": "  "}, "holds a blank text", id="blank"),
        pytest.param({"pages": []}, "holds nothing", id="no page"),
        pytest.param({"pages": ["/a.jpg", {"url": "/b.jpg"}]}, "holds an object", id="objects"),
        pytest.param({"pages": 7}, "holds a number", id="a number"),
        pytest.param([], "a list instead of an object", id="no object"),
        pytest.param(None, "nothing instead of an object", id="nothing"),
    ],
)
def test_data_without_a_picture_is_a_sentence(data: Any, reason: str) -> None:
    config = config_of(control("PolygonLabels"), image=PAGES)
    with pytest.raises(InputError, match=reason) as caught:
        config.pages(data, config.images[0])
    assert "import the task again" in str(caught.value)


def test_validation_is_label_studios_own() -> None:
    config = config_of(control("RectangleLabels"))
    region = {"from_name": "tag", "to_name": "image", "type": "rectanglelabels"}
    value = {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["car"]}
    assert config.validate({"result": [{**region, "value": value}]}) == []
    assert (
        len(config.validate({"result": [{**region, "value": {**value, "rectanglelabels": ["tree"]}}]})) == 1
    )
