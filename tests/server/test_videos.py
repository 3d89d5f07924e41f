"""Tasks with videos: boxes that people drew are followed, also longer than Label Studio waits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.masks.rle import BoolMask
from labeler_backend.server.body import PredictBody, parse
from labeler_backend.server.following import _few
from labeler_backend.server.protocol import WebhookEvent
from labeler_backend.server.service import Limits, Service
from labeler_backend.studio.export_json.tracks import path_of
from labeler_backend.studio.labeling import labeling_config
from labeler_backend.studio.video.seals import to_follow
from labeler_backend.video.frames import BrokenFrame, Frame, VideoFrames
from tests.server import test_service
from tests.server.standin import Control, picture, request, task
from tests.server.test_service import stays
from tests.video import moving

COUNT = 16
CONFIG = labeling_config(["cat", "dog"], "video", 25)
PATIENT = Limits(opening=90)
play = partial(test_service.play, seconds=120)  # a busy machine takes its time


@pytest.fixture(scope="module")
def cats(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[BoolMask], list[BoolMask]]:
    """A video of a cat that goes right above one that goes left; where each of them is."""
    paths = [[(35, 40 + 8 * t) for t in range(COUNT)], [(105, 170 - 8 * t) for t in range(COUNT)]]
    frames, labels = moving.video(paths)
    path = moving.film(tmp_path_factory.mktemp("videos") / "cats.mp4", [frame.image for frame in frames])
    return path, [one == 1 for one in labels], [one == 2 for one in labels]


@pytest.fixture
def film(tmp_path: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]) -> Path:
    """Where the service may read it."""
    path = tmp_path / "cats.mp4"
    path.write_bytes(cats[0].read_bytes())
    return path


def region(name: str, label: str | None, boxes: Mapping[int, BoolMask], **more: Any) -> dict[str, Any]:
    """A box drawn on some frames (from 1), as the editor writes it."""
    sequence = []
    for frame, mask in boxes.items():
        x, y, w, h = moving.around(mask)
        box = {"x": x / 2.1, "y": y / 1.4, "width": w / 2.1, "height": h / 1.4, "rotation": 0}
        sequence.append({"frame": frame, "enabled": True, "time": frame / 25} | box)
    value = {"framesCount": COUNT, "duration": COUNT / 25, "sequence": sequence}
    value |= {"labels": [label]} if label else {}
    return {
        "id": name,
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "value": value,
    } | more


def video_task(number: int, path: Path, *drawn: dict[str, Any], **more: Any) -> dict[str, Any]:
    annotations = [{"id": 1, "result": list(drawn), "updated_at": "2026-11-28T17:00:00Z"}] if drawn else []
    return {"id": number, "data": {"video": str(path)}, "annotations": annotations} | more


def ask(*tasks: Any, config: str = CONFIG, **more: Any) -> Any:
    """A request as it is after it has come in over HTTP, which leaves out what is not used."""
    return parse(PredictBody, request(list(tasks), config, **more).model_dump_json().encode())


def regions(element: bytes) -> Any:
    answer = json.loads(element)
    return "pending" if answer == [] else answer["result"]


def fits(found: Mapping[str, Any], truth: list[BoolMask]) -> float:
    """The least IoU of its box with the box around what is there, over all frames."""
    shapes = path_of(found, moving.SIZE, COUNT).shapes
    assert list(shapes) == list(range(COUNT))
    return min(_iou(shapes[n], moving.around(truth[n])) for n in range(COUNT))


def _iou(shape: Any, box: tuple[float, float, float, float]) -> float:
    (x0, y0), (x1, y1) = shape.rings[0].min(axis=0), shape.rings[0].max(axis=0)
    x, y, w, h = box
    shared = max(0, min(x1, x + w) - max(x0, x)) * max(0, min(y1, y + h) - max(y0, y))
    return float(shared / ((x1 - x0) * (y1 - y0) + w * h - shared))


def test_objects_that_people_drew_are_followed_each_with_its_label(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    _, first, second = cats
    drawn = region("a", "cat", {1: first[0]}), region("b", "dog", {1: second[0], 11: second[10]})

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(ask(video_task(1, film, *drawn)), stays)
        found = {one["id"]: one for one in regions(element)}
        assert {name: one["value"]["labels"] for name, one in found.items()} == {"a": ["cat"], "b": ["dog"]}
        assert fits(found["a"], first) > 0.7
        assert fits(found["b"], second) > 0.7
        keys = {key["frame"]: key for key in found["b"]["value"]["sequence"]}
        for key in drawn[1]["value"]["sequence"]:  # what a person drew stays to the number
            assert keys[key["frame"]] == {name: pytest.approx(value) for name, value in key.items()}
        assert 0 < json.loads(element)["score"] <= 1

    play(tmp_path, scenario, PATIENT)


def test_without_a_box_proposals_of_the_first_frame_are_followed(tmp_path: Path, film: Path) -> None:
    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(ask(video_task(1, film)), stays)
        [found] = regions(element)
        assert found["type"] == "videorectangle"
        assert found["value"]["labels"] == ["cat"]  # a guess, at half the score
        assert found["value"]["framesCount"] == COUNT
        assert all("carried" in key for key in found["value"]["sequence"])
        seen = control.frames
        assert seen == COUNT
        [again] = await service.predict(ask(video_task(1, film)), stays)
        assert again == element
        assert control.frames == seen
        [other] = await service.predict(ask(video_task(2, film)), stays)
        assert regions(other)[0]["id"] != found["id"]

    play(tmp_path, scenario, PATIENT)


def test_a_box_drawn_right_now_is_followed_and_answered_under_its_id(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    _, first, second = cats
    context = {"result": [region("new", "dog", {1: second[0]})]}
    body = video_task(1, film, region("old", "cat", {1: first[0]}))

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(ask(body, params={"context": context}), stays)
        [found] = regions(element)
        assert (found["id"], found["value"]["labels"]) == ("new", ["dog"])
        assert fits(found, second) > 0.7

    play(tmp_path, scenario, PATIENT)


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({"result": []}, id="the editor leaves a task"),
        pytest.param({}, id="nothing"),
        pytest.param({"result": [{"to_name": "video", "type": "labels", "id": "x"}]}, id="no box"),
    ],
)
def test_where_nothing_was_drawn_nothing_is_followed(tmp_path: Path, film: Path, context: Any) -> None:
    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(ask(video_task(1, film), params={"context": context}), stays)
        assert regions(element) == []
        assert control.frames == 0

    play(tmp_path, scenario, PATIENT)


def test_another_label_costs_nothing(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    async def scenario(service: Service, control: Control) -> None:
        for label in ("cat", "dog"):
            body = video_task(1, film, region("a", label, {1: cats[1][0]}))
            [element] = await service.predict(ask(body), stays)
            assert regions(element)[0]["value"]["labels"] == [label]
        assert control.frames == COUNT

    play(tmp_path, scenario, PATIENT)


def test_the_latest_annotation_counts(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    _, first, second = cats
    annotations = [
        {"result": [region("new", "cat", {1: first[0]})], "updated_at": "2026-11-28T18:00:00Z"},
        {"result": [region("old", "cat", {1: second[0]})], "updated_at": "2026-11-28T17:00:00Z"},
        {"result": [region("skipped", "cat", {1: second[0]})], "updated_at": "2027", "was_cancelled": True},
        None,
    ]

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(ask(video_task(1, film, annotations=annotations)), stays)
        assert [one["id"] for one in regions(element)] == ["new"]

    play(tmp_path, scenario, PATIENT)


def test_of_very_many_boxes_some_are_enough() -> None:
    box = (0.0, 0.0, 9.0, 9.0)
    assert _few({7: box}) == {7: box}
    assert list(_few(dict.fromkeys(range(100), box))) == list(range(100))
    picked = list(_few(dict.fromkeys(range(0, 900, 3), box)))
    assert (len(picked), picked[0], picked[-1]) == (100, 0, 897)
    assert set(np.diff(picked)) <= {9, 12}


async def until(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def test_what_is_not_ready_in_time_goes_on_and_is_served_at_the_next_call(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    drawn = region("a", "cat", {1: cats[1][0]})

    async def scenario(service: Service, control: Control) -> None:
        control.frames_let = 5
        control.open.clear()
        asked = ask(video_task(7, film, drawn), video_task(8, tmp_path / "none.mp4"))
        elements = await service.predict(asked, stays)
        assert [regions(one) for one in elements] == ["pending", []]
        await until(lambda: service.status().videos[0].done == 5)
        [status] = service.status().videos
        assert (status.task, status.running, status.total) == (7, True, COUNT)
        control.open.set()
        await until(lambda: not service.status().videos)
        [element] = await service.predict(ask(video_task(7, film, drawn)), stays)
        assert fits(regions(element)[0], cats[1]) > 0.7
        assert control.frames == COUNT

    play(tmp_path, scenario, Limits(deadline=2))


def test_a_box_drawn_right_now_is_answered_with_what_is_known_by_then(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    context = {"result": [region("a", "cat", {1: cats[1][0]})]}

    async def scenario(service: Service, control: Control) -> None:
        control.frames_let = 6
        control.open.clear()
        [element] = await service.predict(ask(video_task(1, film), params={"context": context}), stays)
        [found] = regions(element)
        assert to_follow([found])  # there is more to be known
        shapes = path_of(found, moving.SIZE, COUNT).shapes
        assert 0 < len(shapes) <= 6
        assert list(shapes) == list(range(len(shapes)))  # and it ends there
        control.open.set()
        await until(lambda: not service.status().videos)
        [element] = await service.predict(ask(video_task(1, film), params={"context": context}), stays)
        assert fits(regions(element)[0], cats[1]) > 0.7
        assert not to_follow(regions(element))

    play(tmp_path, scenario, Limits(deadline=8))


def test_videos_are_followed_one_after_another_but_for_those_that_somebody_looks_at(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    _, first, second = cats
    many = [video_task(n, film, region(f"r{n}", "cat", {1: first[0]})) for n in (1, 2, 3)]
    opened = video_task(4, film, region("r4", "dog", {1: second[0]}))

    async def scenario(service: Service, control: Control) -> None:
        control.frames_let = 3
        control.open.clear()
        slow = asyncio.create_task(service.predict(ask(*many), stays))
        await until(lambda: len(service.status().videos) == 3)
        assert [one.running for one in service.status().videos] == [True, False, False]
        first_one = service.status().videos[0].task
        quick = asyncio.create_task(service.predict(ask(opened), stays))
        await until(lambda: len(service.status().videos) == 4)
        assert {one.task for one in service.status().videos if one.running} == {first_one, 4}
        control.open.set()
        [element] = await quick
        assert fits(regions(element)[0], second) > 0.7
        assert [len(regions(one)) for one in await slow] == [1, 1, 1]

    play(tmp_path, scenario, PATIENT)


def test_a_client_that_hung_up_ends_it(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    tasks = [video_task(n, film, region(f"r{n}", "cat", {1: cats[1][0]})) for n in (1, 2)]

    async def scenario(service: Service, control: Control) -> None:
        control.frames_let = 2
        control.open.clear()
        gone = False

        async def hung_up() -> bool:
            return gone

        asked = asyncio.create_task(service.predict(ask(*tasks), hung_up))
        await until(lambda: control.frames == 2)
        gone = True
        await asked
        control.open.set()
        await until(lambda: not service.status().videos)
        assert control.frames <= 3

    play(tmp_path, scenario, PATIENT)


def test_nobody_waits_for_what_cannot_be_ready_in_time(
    tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labeler_backend.server.following.Following.seconds_left", lambda self: 600.0)

    async def scenario(service: Service, control: Control) -> None:
        control.frames_let = 8
        control.open.clear()
        began = time.monotonic()
        [element] = await service.predict(ask(video_task(1, film)), stays)
        assert regions(element) == "pending"
        assert time.monotonic() - began < 5
        assert [one.seconds_left for one in service.status().videos] == [600.0]

    play(tmp_path, scenario, PATIENT)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "no video that can be read", id="empty"),
        pytest.param(b"no video at all", "no video that can be read", id="no video"),
        pytest.param(None, "copy it again", id="cut off"),
    ],
)
def test_a_video_that_cannot_be_read_costs_only_itself(
    tmp_path: Path, film: Path, content: bytes | None, reason: str
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(film.read_bytes()[:4000] if content is None else content)

    async def scenario(service: Service, control: Control) -> None:
        elements = await service.predict(ask(video_task(1, bad), video_task(2, film)), stays)
        assert regions(elements[0]) == []
        assert len(regions(elements[1])) == 1
        [failure] = service.status().failures
        assert (failure.task, failure.final) == (1, True)
        assert reason in failure.reason
        assert failure.reason.count("bad.mp4") == 1
        assert failure.reason.endswith(".")

    play(tmp_path, scenario, PATIENT)


def test_damaged_frames_cost_nothing_but_a_word(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]], monkeypatch: Any
) -> None:
    read = VideoFrames._read

    def damaged(self: VideoFrames, index: int) -> Frame:
        if index in (6, 7):
            raise BrokenFrame(index, None, f"Frame {index} is damaged.")
        return read(self, index)

    monkeypatch.setattr(VideoFrames, "_read", damaged)
    body = video_task(1, film, region("a", "cat", {1: cats[1][0]}))

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(ask(body), stays)
        shapes = path_of(regions(element)[0], moving.SIZE, COUNT).shapes
        assert list(shapes) == list(range(COUNT))
        assert _iou(shapes[COUNT - 1], moving.around(cats[1][-1])) > 0.7
        await until(lambda: service.status().failures)
        [failure] = service.status().failures
        assert "cats.mp4 is damaged at frame 7, 8 (counted from 1)" in failure.reason

    play(tmp_path, scenario, PATIENT)


def test_a_model_that_fails_leaves_it_to_be_asked_again(tmp_path: Path, film: Path) -> None:
    async def scenario(service: Service, control: Control) -> None:
        control.failure = LabelerError("Mend this.")
        [element] = await service.predict(ask(video_task(1, film)), stays)
        assert regions(element) == "pending"
        assert "Mend this." in service.status().failures[0].reason
        control.failure = None
        [element] = await service.predict(ask(video_task(1, film)), stays)
        assert len(regions(element)) == 1

    play(tmp_path, scenario, PATIENT)


def test_a_wrong_frame_rate_is_said_and_boxes_stand_where_the_editor_shows_the_frame(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    body = video_task(1, film, region("a", "cat", {1: cats[1][0]}))

    async def scenario(service: Service, control: Control) -> None:
        config = CONFIG.replace('frameRate="25"', 'frameRate="50"')
        [element] = await service.predict(ask(body, config=config), stays)
        [found] = regions(element)
        assert found["value"]["framesCount"] == 2 * COUNT
        shapes = path_of(found, moving.SIZE, 2 * COUNT).shapes
        assert min(_iou(shapes[2 * n], moving.around(cats[1][n])) for n in range(COUNT)) > 0.7
        [project] = service.status().projects
        assert "has 25 frames per second" in " ".join(project.notes)
        await service.predict(ask(body), stays)
        assert service.status().projects[0].notes == []

    play(tmp_path, scenario, PATIENT)


def test_pictures_and_videos_of_one_task_are_answered_together(tmp_path: Path, film: Path) -> None:
    image = '<Image name="image" value="$image"/>'
    polygons = (
        '<PolygonLabels name="polygon" toName="image" smart="false"><Label value="disc"/></PolygonLabels>'
    )
    config = CONFIG.replace("<View>", f"<View>{image}{polygons}")
    both = task(1, picture(tmp_path, 1))
    both["data"]["video"] = str(film)

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(ask(both, config=config), stays)
        assert {one["type"] for one in regions(element)} == {"polygonlabels", "videorectangle"}

    play(tmp_path, scenario, PATIENT)


def test_what_was_found_outlives_a_restart(tmp_path: Path, film: Path) -> None:
    answers: list[bytes] = []

    async def scenario(service: Service, control: Control) -> None:
        answers.extend(await service.predict(ask(video_task(1, film)), stays))

    first, second = play(tmp_path, scenario, PATIENT), play(tmp_path, scenario, PATIENT)
    assert answers[0] == answers[1]
    assert (first.frames, second.frames) == (COUNT, 0)


def test_what_was_submitted_is_followed_before_anybody_asks(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    annotation = {"result": [region("a", "cat", {1: cats[1][0]})], "updated_at": "2026-11-28T17:00:00Z"}
    event = {
        "action": "ANNOTATION_CREATED",
        "annotation": annotation,
        "project": {"id": 1, "label_config": CONFIG},
        "task": {"id": 1, "data": {"video": str(film)}},
    }

    async def scenario(service: Service, control: Control) -> None:
        await service.start()
        service.webhook(WebhookEvent.model_validate(event))
        await until(lambda: control.frames == COUNT and not service.status().videos)
        body = video_task(1, film, annotations=[annotation])
        [element] = await service.predict(ask(body, project="1"), stays)
        assert fits(regions(element)[0], cats[1]) > 0.7
        assert control.frames == COUNT

    play(tmp_path, scenario, PATIENT)


def test_stopping_the_server_does_not_wait_for_a_video(
    tmp_path: Path, film: Path, cats: tuple[Path, list[BoolMask], list[BoolMask]]
) -> None:
    drawn = region("a", "cat", {1: cats[1][0]})

    async def scenario(service: Service, control: Control) -> None:
        control.frames_let = 2
        asked = asyncio.create_task(service.predict(ask(video_task(1, film, drawn)), stays))
        control.open.clear()
        await until(lambda: control.frames == 2)
        began = time.monotonic()
        await service.stop(1)
        assert [regions(one) for one in await asked] == ["pending"]
        assert time.monotonic() - began < 8

    play(tmp_path, scenario, PATIENT)


def test_truth_moves() -> None:
    """The control: a box that stays does not fit."""
    paths = [[(35, 40 + 8 * t) for t in range(COUNT)]]
    _, labels = moving.video(paths)
    stays_put = region("a", "cat", {1: labels[0] == 1})
    assert fits(stays_put, [np.asarray(one == 1) for one in labels]) < 0.1
