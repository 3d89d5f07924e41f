from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_backend import merging
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.shape import Polygons, size_of, to_mask
from labeler_backend.records import Keypoint, Problem, Record, VideoRecord
from labeler_backend.studio.export_json import Policy, records
from labeler_backend.studio.regions import Place, mask_to_regions
from labeler_backend.studio.tags import read_tags
from labeler_backend.video.info import VideoInfo
from tests.studio.made import SIZE, ellipse, ring, through_json
from tests.studio.test_regions import BARE, TAGS, anything, results

INFO = VideoInfo((100, 200), 50, 25.0)


def read(*tasks: Any, policy: Policy | None = None, **rest: Any) -> tuple[list[Any], list[Problem]]:
    problems: list[Problem] = []
    found = list(records(tasks, policy or Policy(), problems.append, **rest))
    return found, problems


def region(name: str = "r1", at: float = 10, labels: Any = ("car",), **rest: Any) -> dict[str, Any]:
    return {
        "id": name,
        "type": "polygonlabels",
        "from_name": "tag",
        "to_name": "image",
        "original_width": 100,
        "original_height": 50,
        "origin": "manual",
        "value": {
            "points": [[at, 10], [at + 20, 10], [at + 20, 50], [at, 50]],
            "polygonlabels": list(labels),
        },
    } | rest


def annotation(*items: Any, number: int = 1, by: Any = 1, **rest: Any) -> dict[str, Any]:
    return {"id": number, "completed_by": by, "result": list(items), "was_cancelled": False} | rest


def task(*annotations: Any, number: int = 1, data: Any = None, **rest: Any) -> dict[str, Any]:
    shown = data or {"image": f"/data/upload/1/im{number}.jpg"}
    return {"id": number, "data": shown, "annotations": list(annotations)} | rest


def point(name: str = "k1", x: float = 15, y: float = 20, **rest: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": ["nose"]}
    return region(name, value=value, **{"type": "keypointlabels", **rest})


def relation(start: str, end: str) -> dict[str, Any]:
    return {"type": "relation", "from_id": start, "to_id": end, "direction": "right", "labels": ["has"]}


def test_a_task_becomes_a_record() -> None:
    [record], problems = read(task(annotation(region(), number=7, by={"id": 3, "email": "a@b.c"}), number=5))
    assert problems == []
    assert isinstance(record, Record)
    assert (record.id, record.task_id, record.group, record.size) == (5, 5, "5", (50, 100))
    assert (record.file_name, record.uri) == ("im5.jpg", "/data/upload/1/im5.jpg")
    [one] = record.instances
    assert (one.label, one.region_id, one.annotation_id, one.annotator) == ("car", "r1", 7, "a@b.c")
    assert isinstance(one.shape, Polygons)
    np.testing.assert_allclose(one.shape.rings[0], [[10, 5], [30, 5], [30, 25], [10, 25]])
    assert one.attributes == {"origin": "manual"}


@pytest.mark.parametrize(
    ("about", "bulk"),
    [
        pytest.param({"parent_prediction": 3, "lead_time": None}, True, id="created from predictions"),
        pytest.param({"parent_prediction": 3, "lead_time": 4.2}, False, id="submitted by a person"),
        pytest.param({"parent_prediction": None, "lead_time": None}, False, id="imported"),
        pytest.param({}, False, id="nothing said"),
    ],
)
def test_what_was_accepted_in_bulk_is_known(about: dict[str, Any], bulk: bool) -> None:
    [record], _ = read(task(annotation(region(), **about)))
    assert record.bulk is bulk


def test_what_nobody_annotated_is_not_accepted_in_bulk() -> None:
    [record], _ = read(task(), policy=Policy(unlabeled=True))
    assert record.bulk is False


@pytest.mark.parametrize("kind", [*TAGS, *BARE])
def test_every_type_that_is_written_comes_back(kind: str) -> None:
    mask = ring() if kind.startswith(("brush", "bitmask")) else ellipse()
    place = Place("tag", "image", None, None if kind in TAGS else "names")
    items = mask_to_regions(mask, kind, place, object_id="r", labels=["car"], score=0.5)
    [record], problems = read(through_json(task(annotation(*items))))
    assert problems == []
    [one] = record.instances
    assert (one.label, one.score) == ("car", 0.5)
    box = np.zeros(SIZE, bool)
    rows, columns = np.nonzero(mask)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    assert iou(to_mask(one.shape), box if "rectangle" in kind else mask) > 0.96
    assert isinstance(one.shape, Polygons) == (not kind.startswith(("brush", "bitmask")))


CLOSED = {"closed": True, "vertices": [{"x": x, "y": y} for x, y in ((10, 10), (50, 10), (50, 50))]}


@pytest.mark.parametrize(
    ("item", "reason", "done"),
    [
        pytest.param(region(value={"points": [[1, 1], [2, 2]]}), "has 2 points", "left out", id="two points"),
        pytest.param(region(value={"x": 1, "y": 1}), "does not fit", "left out", id="another value"),
        pytest.param(region(original_width=None), "not a picture's size", "left out", id="no size"),
        pytest.param(region("r2", 90), "leaves the picture", "mended", id="out of frame"),
        pytest.param(region(at=300), "no pixel", "left out", id="outside"),
        pytest.param(region(type="hologram"), "marks no area", "left out", id="unknown type"),
        pytest.param(region(type=None), "marks no area", "left out", id="no type"),
        pytest.param(
            region(type="timelinelabels", value={"ranges": []}), "marks no area", "left out", id="time"
        ),
        pytest.param("text", "not an object", "left out", id="no object"),
        pytest.param(
            region(type="vectorlabels", value={**CLOSED, "closed": False}), "open", "left out", id="line"
        ),
        pytest.param(
            region(value={"points": [[1, 1]] * 3, "closed": False}), "closed", "left out", id="unclosed"
        ),
        pytest.param(point(), "belongs to no region", "left out", id="loose key point"),
        pytest.param(
            region(type="keypointlabels", value={**region()["value"], "keypointlabels": ["car"]}),
            "does not fit",
            "left out",
            id="the editor's double",
        ),
        pytest.param(
            region(type="labels", value={"labels": ["x"], "points": []}), "ignored", "left out", id="stray"
        ),
        pytest.param(
            region(type="brushlabels", value={"rle": [1, 2]}), "size", "left out", id="corrupt brush"
        ),
        pytest.param(region(at=30), "id of another region", "kept", id="an id twice"),
        pytest.param(relation("x", "y"), "starts at no region", "left out", id="relation of nothing"),
        pytest.param(
            {"id": "q", "type": "choices", "from_name": "c", "value": {"choices": ["a"]}},
            "about whole tasks",
            "left out",
            id="answer about the picture",
        ),
        pytest.param(region("r2", original_width=200), "200×50", "mended", id="sizes disagree"),
        pytest.param(
            region("r2", value={"points": [[float("nan"), 1], [5, 5], [9, 1]]}),
            "far outside",
            "left out",
            id="NaN",
        ),
    ],
)
def test_what_cannot_be_taken_is_told_and_the_rest_kept(item: Any, reason: str, done: str) -> None:
    [record], problems = read(task(annotation(region(), item, region("r9", 50), number=7)))
    [problem] = problems
    assert reason in problem.reason
    assert problem.reason.endswith(".")
    assert (problem.done, problem.task_id) == (done, 1)
    assert problem.annotation_id in (7, None)
    names = [one.region_id for one in record.instances]
    assert (names[0], names[-1]) == ("r1", "r9")
    assert len(names) == 2 + (done != "left out")
    assert all(size_of(one.shape) == (50, 100) for one in record.instances)


def test_a_second_region_of_one_id_gets_an_id_of_its_own() -> None:
    [record], _ = read(task(annotation(region(), region(at=40), region(at=60))))
    assert [one.region_id for one in record.instances] == ["r1", "r1#2", "r1#3"]


FIRST = annotation(region("a"), number=1, by=1, updated_at="2026-01-01T10:00:00Z")
LATER = annotation(region("b"), number=2, by=2, updated_at="2026-01-01T10:00:00.500000Z")
TRUE = annotation(region("c"), number=3, by=1, updated_at="2025-01-01T10:00:00Z", ground_truth=True)
SKIPPED = annotation(region("d"), number=4, by=3, updated_at="2027-01-01T10:00:00Z", was_cancelled=True)
EMPTY = annotation(number=5, updated_at="2028-01-01T10:00:00Z")
GUESS = {"id": 8, "score": 0.25, "result": [region("p", score=0.75), region("q", 50)], "created_at": "2026"}


@pytest.mark.parametrize(
    ("annotations", "policy", "found"),
    [
        pytest.param([FIRST, LATER, TRUE], Policy(), [["c"]], id="ground truth first"),
        pytest.param([FIRST, LATER], Policy(), [["b"]], id="else the latest"),
        pytest.param([LATER, FIRST, TRUE], Policy(annotations="latest"), [["b"]], id="the latest"),
        pytest.param([FIRST, SKIPPED], Policy(), [["a"]], id="skipped out"),
        pytest.param([FIRST, SKIPPED], Policy(skipped=True), [["d"]], id="skipped in"),
        pytest.param([SKIPPED], Policy(), [], id="only skipped"),
        pytest.param([], Policy(), [], id="nobody"),
        pytest.param([], Policy(unlabeled=True), [[]], id="nobody, wanted"),
        pytest.param([FIRST, EMPTY], Policy(), [[]], id="nothing in it"),
        pytest.param(
            [FIRST, LATER, TRUE], Policy(annotations="per-annotator"), [["a"], ["b"]], id="by annotator"
        ),
        pytest.param([FIRST], Policy(annotations="consensus"), [["a"]], id="consensus of one"),
        pytest.param([], Policy(predictions="missing"), [["p", "q"]], id="predictions where missing"),
        pytest.param([FIRST], Policy(predictions="missing"), [["a"]], id="predictions not missing"),
        pytest.param([FIRST], Policy(predictions="only"), [["p", "q"]], id="only predictions"),
    ],
)
def test_policies(annotations: list[Any], policy: Policy, found: list[list[str]]) -> None:
    got, problems = read(
        task(*annotations, predictions=[GUESS], drafts=[{"result": [region("x")]}]), policy=policy
    )
    assert [[one.region_id for one in record.instances] for record in got] == found
    assert problems == []
    if policy.annotations == "per-annotator":
        assert [record.annotator for record in got] == ["1", "2"]
        assert {record.id for record in got} == {1}


def test_predictions_have_scores_and_no_annotator() -> None:
    [record], _ = read(task(predictions=[GUESS]), policy=Policy(predictions="only"))
    assert [(one.score, one.annotator, one.annotation_id) for one in record.instances] == [
        (0.75, None, 8),
        (0.25, None, 8),
    ]


def test_a_consensus_is_asked_of_the_latest_of_each_annotator(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(merging, "consensus", lambda by: asked.append(by) or list(by[0]))
    wide = annotation(region("w", original_width=200), number=9, by=4)
    read(task(FIRST, LATER, TRUE, wide), policy=Policy(annotations="consensus"))
    [by_annotator] = asked
    assert [[one.region_id for one in found] for found in by_annotator] == [["w"], ["a"], ["b"]]
    assert {size_of(one.shape) for found in by_annotator for one in found} == {(50, 100)}


CONFIG = read_tags(
    '<View><Image name="left" value="$a"/><Image name="right" valueList="$b"/>'
    '<PolygonLabels name="tag" toName="left"><Label value="car"/></PolygonLabels></View>'
)
PAGED = {"a": "s3://b/x.jpg", "b": ["s3://b/y.jpg", "s3://b/z.jpg"], "c": "s3://b/unused.jpg"}


def test_several_pictures_are_a_record_each() -> None:
    items = [region(to_name="left"), region("r2", to_name="right", item_index=1)]
    found, problems = read(task(annotation(*items), data=PAGED, number=3), config=CONFIG)
    assert problems == []
    assert [record.file_name for record in found] == ["x.jpg", "y.jpg", "z.jpg"]
    assert [[one.region_id for one in record.instances] for record in found] == [["r1"], [], ["r2"]]
    assert [record.id for record in found] == [2**40 + 3 * 4096 + n for n in range(3)]
    assert {(record.task_id, record.group) for record in found} == {(3, "3")}


def test_pages_are_known_from_the_data_without_a_config() -> None:
    data = {"image": ["s3://b/y.jpg", "s3://b/z.jpg"]}
    found, _ = read(task(annotation(region(item_index=1)), data=data))
    assert [len(record.instances) for record in found] == [0, 1]
    [_, _], [problem] = read(task(annotation(region(item_index=5)), data=data))
    assert problem.done == "left out"
    assert "picture 6" in problem.reason


def test_more_pages_than_there_are_ids_are_told() -> None:
    found, [problem] = read(task(annotation(), data={"image": [f"s3://b/{n}.jpg" for n in range(4100)]}))
    assert len(found) == 4096
    assert problem.done == "left out"


@pytest.mark.parametrize(
    ("data", "uri"),
    [
        pytest.param({"x": "no", "image": "photo"}, "photo", id="named like the tag"),
        pytest.param({"t": "a text", "url": "https://h/a.png"}, "https://h/a.png", id="looks like a picture"),
        pytest.param({"t": "a text", "url": "https://h/a"}, "https://h/a", id="looks like an address"),
        pytest.param({"only": "photo 17"}, "photo 17", id="the only text"),
        pytest.param({"p": "a.png", "q": "b.png"}, None, id="nobody knows"),
        pytest.param({"n": 3}, None, id="no text"),
    ],
)
def test_which_key_holds_the_picture(data: dict[str, Any], uri: str | None) -> None:
    [record], problems = read(task(annotation(region()), data=data))
    assert record.uri == uri
    assert len(record.instances) == 1
    assert bool(problems) == (uri is None)
    assert all(problem.done == "kept" for problem in problems)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"text": "hello"}, id="text"),
        pytest.param({"audio": "https://h/a.wav"}, id="sound"),
        pytest.param({"n": 1}, id="number"),
    ],
)
def test_tasks_of_no_pictures_are_told(data: dict[str, Any]) -> None:
    found, [problem] = read(task(annotation(), data=data))
    assert (found, problem.done, problem.task_id) == ([], "left out", 1)


def test_a_frame_of_a_video_knows_which() -> None:
    data = {"image": "s3://b/f/00004.jpg", "video": "clip.mp4", "frame": 4}
    item = region(meta={"text": ["track: 3\nfast", "iscrowd"], "weather": "rain"})
    [record], problems = read(task(annotation(item), data=data))
    assert (record.video, record.frame, problems) == ("clip.mp4", 4, [])
    [one] = record.instances
    assert (one.track_id, one.crowd) == ("3", True)
    assert one.attributes == {"origin": "manual", "text": "fast", "meta": {"weather": "rain"}}


@pytest.mark.parametrize(
    ("meta", "track", "crowd"),
    [
        pytest.param({"text": ["track=7"]}, "7", False, id="equals"),
        pytest.param({"text": "track_id: car 7"}, "car 7", False, id="text alone"),
        pytest.param({"track": 3}, "3", False, id="a key"),
        pytest.param({"track_id": "x"}, "x", False, id="another key"),
        pytest.param({"text": ["iscrowd: 1"]}, None, True, id="crowd"),
        pytest.param({"text": ["crowd=true"]}, None, True, id="crowd=true"),
        pytest.param({"text": ["iscrowd: 0"]}, None, False, id="no crowd"),
        pytest.param({"iscrowd": 1}, None, True, id="crowd as a key"),
        pytest.param({"text": ["tracking is fun", "crowded"]}, None, False, id="words"),
        pytest.param("text", None, False, id="no object"),
        pytest.param({"text": [None, 3]}, None, False, id="no texts"),
    ],
)
def test_meta(meta: Any, track: str | None, crowd: bool) -> None:
    [record], _ = read(task(annotation(region(meta=meta))))
    assert (record.instances[0].track_id, record.instances[0].crowd) == (track, crowd)


def test_a_label_may_mean_a_crowd() -> None:
    items = [region("a", labels=["group", "car"]), region("b", 50, labels=["group"])]
    [record], _ = read(task(annotation(*items)), policy=Policy(crowd_label="group"))
    assert [(one.label, one.crowd) for one in record.instances] == [("car", True), (None, True)]


def test_what_else_is_known_of_a_region() -> None:
    items = [
        region("a", labels=["car", "red"], parentID="b"),
        region("b", 50),
        relation("a", "b"),
        region("a", type="choices", from_name="state", value={"x": 1, "choices": ["new"]}),
        region("a", type="textarea", from_name="note", value={"text": ["hm"]}),
        region("a", type="number", from_name="age", value={"number": 3}),
    ]
    [record], problems = read(task(annotation(*items)))
    assert problems == []
    assert record.instances[0].attributes == {
        "labels": ["car", "red"],
        "origin": "manual",
        "parent": "b",
        "answers": {"state": ["new"], "note": ["hm"], "age": 3},
        "relations": [{"to": "b", "direction": "right", "labels": ["has"]}],
    }


@pytest.mark.parametrize(
    ("items", "policy"),
    [
        pytest.param([point(parentID="r1")], Policy(), id="by its parent"),
        pytest.param([point(), relation("k1", "r1")], Policy(), id="by a relation"),
        pytest.param([point(), relation("r1", "k1")], Policy(), id="by a relation the other way"),
        pytest.param([point()], Policy(keypoints="inside"), id="by where it lies"),
    ],
)
def test_key_points_belong_to_instances(items: list[Any], policy: Policy) -> None:
    around = region("r0", value={"points": [[0, 0], [99, 0], [99, 99], [0, 99]], "polygonlabels": ["room"]})
    [record], problems = read(task(annotation(around, region(), *items)), policy=policy)
    assert problems == []
    assert [one.keypoints for one in record.instances] == [(), (Keypoint("nose", 15.0, 10.0),)]


def test_labels_that_the_config_lacks_are_kept_and_told() -> None:
    [record, *_], [problem] = read(
        task(annotation(region(to_name="left", labels=["tree"])), data=PAGED), config=CONFIG
    )
    assert (record.instances[0].label, problem.done) == ("tree", "kept")
    assert "'tree'" in problem.reason


def box(name: str = "t1", **value: Any) -> dict[str, Any]:
    start = {"frame": 2, "x": 10, "y": 10, "width": 20, "height": 30, "rotation": 0, "enabled": True}
    shown = {"framesCount": 40, "duration": 2.0, "sequence": [start], "labels": ["ball"]} | value
    return {"id": name, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": shown}


CLIP = {"video": "/data/upload/1/clip.mp4"}


def test_a_video_becomes_tracks() -> None:
    asked = []
    items = [
        box(meta={"text": ["x"]}),
        box("t2", labels=None),
        {**box("t2"), "type": "labels"},
        relation("t1", "t2"),
    ]
    [record], problems = read(
        task(annotation(*items), data=CLIP),
        video_info=lambda *a: asked.append(a) or INFO,  # type: ignore[func-returns-value]
    )
    assert problems == []
    assert asked == [("/data/upload/1/clip.mp4", 1)]
    assert isinstance(record, VideoRecord)
    assert (record.size, record.frame_count, record.frame_rate) == ((100, 200), 40, 25.0)
    assert record.file_name == "clip.mp4"
    assert [(track.id, track.label, min(track.shapes), max(track.shapes)) for track in record.tracks] == [
        ("t1", "ball", 1, 39),
        ("t2", "ball", 1, 39),
    ]
    assert record.tracks[0].attributes["relations"][0]["to"] == "t2"


def test_a_video_of_unknown_size_is_told() -> None:
    found, [problem] = read(task(annotation(box()), data=CLIP))
    assert (found, problem.done) == ([], "left out")
    assert "give the folder" in problem.reason


def test_a_video_of_unknown_length_ends_at_its_last_key() -> None:
    item = {**box(framesCount=None), "original_width": 200, "original_height": 100}
    [record], [problem] = read(task(annotation(item), data=CLIP))
    assert (record.frame_count, problem.done) == (2, "kept")


def test_two_tracks_of_one_id_are_both_kept() -> None:
    [record], [problem] = read(task(annotation(box(), box()), data=CLIP), video_info=lambda *_: INFO)
    assert [track.id for track in record.tracks] == ["t1", "t1#2"]
    assert problem.done == "kept"


def test_a_size_may_stand_only_in_predictions() -> None:
    [record], _ = read(task(annotation(), predictions=[{"result": [region()]}]))
    assert (record.size, record.instances) == ((50, 100), ())


@pytest.mark.parametrize(
    ("tasks", "count", "reasons"),
    [
        pytest.param([task(FIRST), task(LATER)], 1, ["comes twice"], id="a task twice"),
        pytest.param([{"id": 3}], 0, ["no data"], id="no data"),
        pytest.param([7], 0, ["no data"], id="no object"),
        pytest.param([task(7, FIRST)], 1, ["no objects"], id="an annotation that is none"),
        pytest.param([task(annotations={"a": 1})], 0, ["no objects"], id="annotations that are no list"),
        pytest.param([task(annotation(result="[]"))], 0, ["not a list"], id="a result that is no list"),
        pytest.param(
            [task(FIRST, number=True), task(FIRST, number=-4, data={"image": "b.jpg"})], 2, [], id="ids"
        ),
    ],
)
def test_bad_tasks_are_told(tasks: list[Any], count: int, reasons: list[str]) -> None:
    found, problems = read(*tasks)
    assert len(found) == count
    assert len(problems) == len(reasons)
    assert all(reason in problem.reason for reason, problem in zip(reasons, problems, strict=True))
    assert all(0 < record.id <= 2**53 for record in found)


def test_groups_come_from_the_data() -> None:
    data = {"image": "a.jpg", "patient": 12}
    [record], _ = read(task(FIRST, data=data), policy=Policy(group_by="patient"))
    assert record.group == "12"


def test_parts_of_a_proposal_are_one_instance() -> None:
    items = [region("el0123456789ab"), region("el0123456789ab-1", 50)]
    [record], _ = read(task(annotation(*items, relation("el0123456789ab-1", "el0123456789ab"))))
    [one] = record.instances
    assert one.region_id == "el0123456789ab"
    assert len(one.shape.rings) == 2
    assert one.attributes["relations"][0]["to"] == "el0123456789ab"


def test_real_envelopes() -> None:
    """Tasks as Label Studio 1.23.2 sent them."""
    lines = (Path(__file__).parents[2] / "server" / "recorded.jsonl").read_text().splitlines()
    bodies = [body for line in lines if isinstance(body := json.loads(line).get("body"), dict)]
    tasks = [one for body in bodies for one in body.get("tasks", ()) if isinstance(one, dict)]
    assert tasks
    found, _ = read(*{one["id"]: one for one in tasks}.values(), policy=Policy(unlabeled=True))
    assert found
    assert all(record.file_name for record in found)


sequences = st.lists(st.fixed_dictionaries({"frame": st.integers(-2, 20) | anything}) | anything, max_size=4)
videos = st.fixed_dictionaries(
    {"type": st.just("videorectangle"), "value": st.fixed_dictionaries({"sequence": sequences | anything})},
    optional={"id": anything, "to_name": anything, "original_width": st.integers(1, 50)},
)
entries = st.fixed_dictionaries(
    {"result": st.lists(results | videos | st.just(relation("a", "b")) | anything, max_size=4) | anything},
    optional=dict.fromkeys(("id", "completed_by", "score", "updated_at", "was_cancelled"), anything),
)
policies = st.builds(
    Policy,
    annotations=st.sampled_from(["ground-truth", "latest", "per-annotator"]),
    predictions=st.sampled_from(["never", "missing", "only"]),
    unlabeled=st.booleans(),
    keypoints=st.sampled_from(["linked", "inside"]),
    group_by=st.sampled_from([None, "image"]),
)


@given(
    data=st.dictionaries(st.sampled_from(["image", "video", "frame", "x"]), st.text(max_size=9) | anything)
    | anything,
    annotations=st.lists(entries | anything, max_size=3) | anything,
    predictions=st.lists(entries | anything, max_size=2) | anything,
    number=anything,
    policy=policies,
    config=st.sampled_from([None, CONFIG]),
)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_gives_records_or_is_told(
    data: Any, annotations: Any, predictions: Any, number: Any, policy: Policy, config: Any
) -> None:
    bad = {"id": number, "data": data, "annotations": annotations, "predictions": predictions}
    found, problems = read(bad, policy=policy, config=config, video_info=lambda *_: INFO)
    for record in found:
        assert 0 < record.id <= 2**53
        assert record.file_name
        for one in getattr(record, "instances", ()):
            assert size_of(one.shape) == record.size
            json.dumps(dict(one.attributes))
    assert all(problem.reason.endswith(".") for problem in problems)


@pytest.mark.parametrize("drawn", [("A", "B"), ("B", "A")])
def test_ids_of_pages_do_not_depend_on_who_drew_first(drawn: tuple[str, str]) -> None:
    items = [region(f"r{name}", to_name=name) for name in drawn]
    found, problems = read(task(annotation(*items), data={"A": "a.jpg", "B": "b.jpg"}))
    assert [(one.id - 2**40, one.file_name) for one in found] == [(4096, "a.jpg"), (4097, "b.jpg")]
    assert [one.instances[0].region_id for one in found] == ["rA", "rB"]
    assert problems == []


def test_a_picture_that_nothing_shows_is_told_once() -> None:
    data = {"A": "a.jpg", "B": "b.jpg"}
    tasks = [task(annotation(region(to_name="A")), number=n, data=data) for n in (1, 2)]
    found, [problem] = read(*tasks)
    assert len(found) == 2
    assert (problem.done, problem.task_id) == ("kept", 1)
    assert "'B'" in problem.reason


def test_a_group_key_that_is_not_there_is_told_once() -> None:
    found, [problem] = read(task(FIRST), task(FIRST, number=2), policy=Policy(group_by="patien"))
    assert [one.group for one in found] == ["1", "2"]
    assert (problem.done, "--split-by" in problem.reason) == ("kept", True)


@pytest.mark.parametrize("page", [1, 1.0, "1"])
def test_a_page_may_be_written_in_several_ways(page: Any) -> None:
    found, _ = read(task(annotation(region(item_index=page)), data={"image": ["a.jpg", "b.jpg"]}))
    assert [len(one.instances) for one in found] == [0, 1]


def test_a_video_that_one_of_two_left_empty_is_told() -> None:
    both = [annotation(box(), by=1), annotation(number=2, by=2)]
    policy = Policy(annotations="consensus")
    [record], [problem] = read(task(*both, data=CLIP), policy=policy, video_info=lambda *_: INFO)
    assert len(record.tracks) == 1
    assert (problem.done, "no consensus" in problem.reason) == ("kept", True)


def test_one_unreadable_annotation_costs_only_its_annotator_the_record() -> None:
    both = [annotation(region(), by=1), {"id": 2, "completed_by": 2, "result": "x"}]
    [record], [problem] = read(task(*both), policy=Policy(annotations="per-annotator"))
    assert (record.annotator, problem.annotation_id) == ("1", 2)
