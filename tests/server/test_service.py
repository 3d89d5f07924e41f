"""The service behind the HTTP app: one element per task, deadlines, and who goes first."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from labeler_backend.errors import LabelerError
from labeler_backend.server.protocol import SetupRequest, WebhookEvent
from labeler_backend.server.service import Limits, Service
from labeler_backend.studio.config import ConfigError
from tests.server.standin import POLYGONS, VERSION, Control, make_service, picture, request, task
from tests.studio.web import Handler, serving

CLICK = {
    "result": [
        {
            "id": "k",
            "type": "keypointlabels",
            "from_name": "kp",
            "to_name": "image",
            "original_width": 64,
            "original_height": 64,
            "image_rotation": 0,
            "is_positive": True,
            "value": {"x": 50, "y": 50, "width": 0.3, "keypointlabels": ["disc"]},
        }
    ]
}


async def stays() -> bool:
    return False


def play(
    folder: Path,
    scenario: Callable[[Service, Control], Awaitable[None]],
    limits: Limits | None = None,
    held: bool = False,
    capacity: int = 100,
    seconds: float = 30,
) -> Control:
    """Runs a scenario against a fresh service; `held` has the model wait until it is let go."""
    control = Control()
    if not held:
        control.open.set()

    async def main() -> None:
        service = make_service(folder, control, limits, capacity)
        try:
            await asyncio.wait_for(scenario(service, control), seconds)
        finally:
            control.open.set()
            await service.stop(5)

    asyncio.run(main())
    return control


def result(element: bytes) -> Any:
    """`pending`, `nothing` or the regions' original widths."""
    answer = json.loads(element)
    if answer == []:
        return "pending"
    assert answer["model_version"] == VERSION
    return [region["original_width"] for region in answer["result"]] or "nothing"


async def begun(control: Control) -> None:
    assert await asyncio.to_thread(control.begun.acquire, timeout=10)


def test_every_task_has_its_own_answer_in_order(tmp_path: Path) -> None:
    tasks = [task(n, picture(tmp_path, n)) for n in range(40)]

    async def scenario(service: Service, control: Control) -> None:
        elements = await service.predict(request(tasks), stays)
        assert [result(e) for e in elements] == [[64 + n] for n in range(40)]

    play(tmp_path, scenario)


def broken(folder: Path) -> Path:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder / "broken.png"


@pytest.mark.parametrize(
    ("bad", "expected", "reason"),
    [
        pytest.param(lambda f: {"id": 2, "data": {}}, "nothing", "no 'image'", id="no-data-key"),
        pytest.param(lambda f: {"id": 2}, "nothing", "without data", id="no-data"),
        pytest.param(lambda f: {"data": {"image": "x"}}, "nothing", "whole number", id="no-id"),
        pytest.param(lambda f: "task", "nothing", "not an object", id="no-task"),
        pytest.param(lambda f: None, "nothing", "not an object", id="null"),
        pytest.param(
            lambda f: task(2, broken(f)), "nothing", "broken.png is not an image", id="broken-image"
        ),
        pytest.param(lambda f: task(2, f / "none.png"), "nothing", "none.png", id="missing-file"),
        pytest.param(lambda f: task(2, "ftp://host/a.png"), "nothing", "ftp", id="scheme"),
        pytest.param(
            lambda f: task(2, "http://192.0.2.1/a.png"), "pending", "LABELER_ALLOWED_HOSTS", id="host"
        ),
        pytest.param(
            lambda f: task(2, "/data/upload/1/a.png"), "pending", "Label Studio", id="unknown-studio"
        ),
        pytest.param(lambda f: {"id": 2, "data": {"image": [1]}}, "nothing", "image", id="no-url"),
    ],
)
def test_a_wrong_task_costs_only_itself(
    tmp_path: Path, bad: Callable[[Path], Any], expected: str, reason: str
) -> None:
    good = [task(1, picture(tmp_path, 1)), task(3, picture(tmp_path, 3))]

    async def scenario(service: Service, control: Control) -> None:
        elements = await service.predict(request([good[0], bad(tmp_path), good[1]]), stays)
        assert [result(e) for e in elements] == [[65], expected, [67]]
        [failure] = service.status().failures
        assert reason in failure.reason
        assert failure.final == (expected == "nothing")
        assert str(tmp_path / "cache") not in failure.reason

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(LabelerError("Mend this."), "Mend this.", id="can-be-mended"),
        pytest.param(ZeroDivisionError("x"), "please report", id="a-mistake-of-ours"),
    ],
)
def test_a_failing_model_leaves_tasks_to_be_asked_again(
    tmp_path: Path, error: Exception, reason: str
) -> None:
    asked = request([task(1, picture(tmp_path, 1))])

    async def scenario(service: Service, control: Control) -> None:
        control.failure = error
        assert [result(e) for e in await service.predict(asked, stays)] == ["pending"]
        assert reason in service.status().failures[0].reason
        control.failure = None
        assert [result(e) for e in await service.predict(asked, stays)] == [[65]]

    play(tmp_path, scenario)


def test_at_the_deadline_what_is_ready_is_answered_and_the_rest_goes_on(tmp_path: Path) -> None:
    tasks = [task(n, picture(tmp_path, n)) for n in range(12)]

    async def scenario(service: Service, control: Control) -> None:
        done = tasks[:3]
        control.open.set()
        await service.predict(request(done), stays)
        control.open.clear()
        elements = await service.predict(request(tasks), stays)
        assert [result(e) for e in elements] == [[64], [65], [66]] + ["pending"] * 9
        control.open.set()
        while service.status().queue.done < 15:  # 3, the same 3 again, and the other 9 without anybody asking
            await asyncio.sleep(0.01)
        seen = len(control.seen)
        elements = await service.predict(request(tasks), stays)
        assert [result(e) for e in elements] == [[64 + n] for n in range(12)]
        assert len(control.seen) == seen == 12

    play(tmp_path, scenario, Limits(deadline=1), held=True)


def test_a_client_that_hung_up_frees_its_place(tmp_path: Path) -> None:
    many = [task(n, picture(tmp_path, n)) for n in range(30)]

    async def scenario(service: Service, control: Control) -> None:
        gone = threading.Event()

        async def hung_up() -> bool:
            return gone.is_set()

        abandoned = asyncio.create_task(service.predict(request(many), hung_up))
        await begun(control)
        gone.set()
        await abandoned
        assert service.status().queue.batch == 0
        control.open.set()
        await asyncio.sleep(0.2)
        assert len(control.seen) < 10  # what had begun, and no more

    play(tmp_path, scenario, held=True)


@pytest.mark.parametrize(
    "more", [pytest.param({}, id="opened"), pytest.param({"params": {"context": CLICK}}, id="click")]
)
def test_who_looks_at_the_screen_goes_first(tmp_path: Path, more: dict[str, Any]) -> None:
    batch = [task(n, picture(tmp_path, n)) for n in range(2, 30)]

    async def scenario(service: Service, control: Control) -> None:
        slow = asyncio.create_task(service.predict(request(batch), stays))
        await begun(control)
        urgent = asyncio.create_task(service.predict(request([task(1, picture(tmp_path, 1))], **more), stays))
        while not service.status().queue.running > torch.get_num_threads():  # as many do a batch
            await asyncio.sleep(0.01)
        control.open.set()
        [element] = await urgent
        assert not slow.done()
        assert result(element) == [65]
        assert len(await slow) == 28

    play(tmp_path, scenario, held=True)


def test_a_click_answers_with_the_id_of_the_shown_region(tmp_path: Path) -> None:
    tasks = [task(1, picture(tmp_path, 1))]

    async def scenario(service: Service, control: Control) -> None:
        [shown] = await service.predict(request(tasks), stays)
        [clicked] = await service.predict(request(tasks, params={"context": CLICK}), stays)
        assert json.loads(shown)["result"][0]["id"] == json.loads(clicked)["result"][0]["id"]

    control = play(tmp_path, scenario)
    assert len(control.seen) == 1


def test_two_projects_never_see_each_others_labels(tmp_path: Path) -> None:
    tasks = [task(n, picture(tmp_path, n)) for n in range(10)]
    cat = POLYGONS.replace("disc", "cat")

    async def scenario(service: Service, control: Control) -> None:
        both = await asyncio.gather(
            service.predict(request(tasks, project="1.1"), stays),
            service.predict(request(tasks, cat, project="2.1"), stays),
        )
        for elements, label in zip(both, ("disc", "cat"), strict=True):
            regions = [r for e in elements for r in json.loads(e)["result"]]
            assert [r["value"]["polygonlabels"] for r in regions] == [[label]] * 10

    play(tmp_path, scenario)


def test_more_proposals_are_looked_for_where_a_tag_asks(tmp_path: Path) -> None:
    config = POLYGONS.replace("<PolygonLabels", '<PolygonLabels model_max_proposals="50"')

    async def scenario(service: Service, control: Control) -> None:
        await service.predict(request([task(1, picture(tmp_path, 1))], config), stays)

    assert play(tmp_path, scenario).most_wanted == [50]


def test_pages_and_nothing_to_answer(tmp_path: Path) -> None:
    pages = POLYGONS.replace('value="$image"', 'valueList="$image"')
    paths = [str(picture(tmp_path, n)) for n in (1, 2)]
    choices = (
        '<View><Image name="image" value="$image"/>'
        '<Choices name="c" toName="image"><Choice value="a"/></Choices></View>'
    )

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(request([{"id": 1, "data": {"image": paths}}], pages), stays)
        assert result(element) == [65, 66]
        assert [r["item_index"] for r in json.loads(element)["result"]] == [0, 1]
        [element] = await service.predict(request([task(1, paths[0])], choices, project="2.1"), stays)
        assert result(element) == "nothing"
        assert service.status().projects[-1].notes
        with pytest.raises(ConfigError):
            await service.predict(request([task(1, paths[0])], "<View>"), stays)
        assert await service.predict(request([]), stays) == []

    play(tmp_path, scenario)


def test_too_much_at_once_is_left_for_later(tmp_path: Path) -> None:
    tasks = [task(n, picture(tmp_path, n)) for n in range(20)]

    async def scenario(service: Service, control: Control) -> None:
        asked = asyncio.create_task(service.predict(request(tasks), stays))
        await begun(control)
        await asyncio.sleep(0.2)
        control.open.set()
        elements = [result(e) for e in await asked]
        assert "pending" in elements
        while "pending" in elements:
            elements = [result(e) for e in await service.predict(request(tasks), stays)]
        assert elements == [[64 + n] for n in range(20)]

    play(tmp_path, scenario, held=True, capacity=5)


def test_stopping_answers_with_what_is_ready(tmp_path: Path) -> None:
    async def scenario(service: Service, control: Control) -> None:
        asked = asyncio.create_task(
            service.predict(request([task(n, picture(tmp_path, n)) for n in range(2)]), stays)
        )
        await begun(control)
        stopping = asyncio.create_task(service.stop(5))
        assert [result(e) for e in await asked] == ["pending", "pending"]
        control.open.set()
        await stopping

    control = Control()

    async def main() -> None:
        await scenario(make_service(tmp_path, control), control)

    asyncio.run(main())


def test_setup_is_remembered_over_a_restart_and_kept_private(tmp_path: Path) -> None:
    said = SetupRequest(
        project="7.1", schema=POLYGONS, hostname="http://127.0.0.1:1", access_token="secret-token"
    )

    async def first(service: Service, control: Control) -> None:
        assert service.setup(said) == VERSION

    async def second(service: Service, control: Control) -> None:
        # the token's host is known, so the failure is that nobody answers there, not that nobody is known
        [element] = await service.predict(request([task(1, "/data/upload/1/a.png")], project="7.1"), stays)
        assert result(element) == "pending"
        [failure] = service.status().failures
        assert failure.link == "http://127.0.0.1:1/projects/7/data?task=1"
        assert "127.0.0.1" in failure.reason
        assert "secret-token" not in service.status().model_dump_json()

    play(tmp_path, first)
    kept = tmp_path / "data" / "connections.json"
    assert kept.stat().st_mode & 0o077 == 0
    play(tmp_path, second)
    kept.write_text("{")  # damaged: as if nothing had been said
    play(tmp_path, lambda service, control: asyncio.sleep(0))


def test_events_are_counted_for_their_project(tmp_path: Path) -> None:
    tasks = [task(1, picture(tmp_path, 1))]

    async def scenario(service: Service, control: Control) -> None:
        project = "1.1795428142"
        [element] = await service.predict(request(tasks, project=project), stays)
        regions = json.loads(element)["result"]
        about = {"id": 1, "title": "Discs", "created_at": "2026-11-23T10:02:22.841344Z"}
        annotation = {
            "id": 5,
            "task": 1,
            "result": regions,
            "was_cancelled": False,
            "parent_prediction": 1,
            "created_at": "2026-11-23T11:00:00Z",
            "updated_at": "2026-11-23T11:00:00Z",
        }
        service.webhook(
            WebhookEvent.model_validate(
                {"action": "ANNOTATION_CREATED", "annotation": annotation, "project": about}
            )
        )
        service.webhook(WebhookEvent.model_validate({"action": "START_TRAINING", "project": about}))
        service.webhook(WebhookEvent.model_validate({"action": "WHO_KNOWS"}))
        while not (found := [p for p in service.status().projects if p.id == project and p.annotated_tasks]):
            await asyncio.sleep(0.01)
        assert (found[0].accepted, found[0].edited, found[0].rejected, found[0].title) == (1, 0, 0, "Discs")

    play(tmp_path, scenario)


def test_an_answer_that_the_disk_damaged_is_made_again(tmp_path: Path) -> None:
    """It would make the JSON of the whole batch unreadable, and be found again each time."""
    tasks = [task(n, picture(tmp_path, n)) for n in range(2)]

    async def first(service: Service, control: Control) -> None:
        await service.predict(request(tasks), stays)

    async def again(service: Service, control: Control) -> None:
        elements = await service.predict(request(tasks), stays)
        assert [result(e) for e in elements] == [[64], [65]]

    play(tmp_path, first)
    kept = sorted((tmp_path / "cache" / "answers").rglob("*.json"))
    assert len(kept) == 2
    for path in kept:
        path.write_bytes(path.read_bytes()[:-20])
    play(tmp_path, again)
    assert all(json.loads(path.read_bytes()) for path in kept)


def test_a_picture_that_left_the_cache_is_asked_for_again(tmp_path: Path) -> None:
    """Final would mean that Label Studio never asks for the task again."""
    path = picture(tmp_path, 1)
    data = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()

    async def scenario(service: Service, control: Control) -> None:
        batch = [task(n, picture(tmp_path, n)) for n in range(2, 12)]
        slow = asyncio.create_task(service.predict(request([*batch, task(1, data)]), stays))
        media = tmp_path / "cache" / "media"
        while not (kept := list(media.rglob("*.json"))):
            await asyncio.sleep(0.01)
        kept[0].unlink()  # as another process does to make room
        control.open.set()
        assert result((await slow)[-1]) in ("pending", [65])
        assert not any(failure.final for failure in service.status().failures)
        assert [result(e) for e in await service.predict(request([task(1, data)]), stays)] == [[65]]

    play(tmp_path, scenario, held=True)


@pytest.mark.parametrize("hostname", ["http://[", "http://[::1", "http://a b", "http://\x00", "//x", "7"])
def test_a_hostname_that_is_none_costs_nothing_but_itself(tmp_path: Path, hostname: str) -> None:
    async def scenario(service: Service, control: Control) -> None:
        service.setup(SetupRequest(project="1.1", schema=POLYGONS, hostname=hostname))
        tasks = [task(1, picture(tmp_path, 1)), task(2, "/data/upload/1/a.png")]
        elements = await service.predict(request(tasks), stays)
        assert [result(e) for e in elements] == [[65], "pending"]

    play(tmp_path, scenario)


def test_what_is_remembered_of_projects_is_bounded(tmp_path: Path) -> None:
    """Whoever may ask can think of any number of names."""
    choices = (
        '<View><Image name="image" value="$image"/>'
        '<Choices name="c" toName="image"><Choice value="a"/></Choices></View>'
    )

    async def scenario(service: Service, control: Control) -> None:
        async def ask(number: int) -> None:
            name = f"{number}.1"
            service.setup(SetupRequest(project=name, schema=choices, hostname="http://127.0.0.1:1"))
            await service.predict(request([task(1, "x")], choices, project=name), stays)
            service.webhook(
                WebhookEvent.model_validate(
                    {"action": "PROJECT_UPDATED", "project": {"id": number, "title": "t" * 10_000}}
                )
            )

        for first in range(0, 1050, 50):
            await asyncio.gather(*map(ask, range(first, first + 50)))
        await asyncio.to_thread(service.status)
        sizes = _sizes(service)
        assert sizes
        assert max(sizes.values()) <= 1000, sizes

    play(tmp_path, scenario)


def _sizes(service: Service) -> dict[str, int]:
    """Of every container that hangs on the service, its journal and its connections."""
    parts = {"service": service, "journal": service._journal, "connections": service._connections}
    return {
        f"{name}.{field}": len(value)
        for name, part in parts.items()
        for field, value in vars(part).items()
        if isinstance(value, dict | list | set)
    }


def test_two_tasks_with_one_address_in_a_bucket_do_not_share_a_refusal(tmp_path: Path) -> None:
    """Label Studio signs an address for a task: for one that was deleted it says 404."""
    with serving() as studio:

        def sign(handler: Handler) -> None:
            time.sleep(0.2)
            good = handler.path.startswith("/tasks/2/")
            handler.reply(200 if good else 404, picture(tmp_path, 1).read_bytes() if good else b"")

        studio.routes["/tasks/1/presign/"] = studio.routes["/tasks/2/presign/"] = sign

        async def scenario(service: Service, control: Control) -> None:
            service.setup(SetupRequest(project="1.1", schema=POLYGONS, hostname=studio.url))
            tasks = [task(n, "s3://bucket/a.png") for n in (1, 2)]
            elements = await service.predict(request(tasks), stays)
            assert [result(e) for e in elements] == ["nothing", [65]]

        play(tmp_path, scenario)


def test_requests_that_outlive_the_end_cause_no_errors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        control = Control()
        control.open.set()
        service = make_service(tmp_path, control)
        await service.stop(1)
        service.setup(SetupRequest(project="1.1", schema=POLYGONS, hostname="http://127.0.0.1:1"))
        service.webhook(WebhookEvent.model_validate({"action": "PROJECT_UPDATED", "project": {"id": 1}}))
        tasks = [task(1, picture(tmp_path, 1)), 5]
        assert len(await service.predict(request(tasks), stays)) == 2

    asyncio.run(main())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_batch_of_very_many_tasks_never_holds_the_event_loop(tmp_path: Path) -> None:
    """/health is given up after a second, and Label Studio sends a whole project at once."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - begun)

    async def scenario(service: Service, control: Control) -> None:
        good = [task(n, picture(tmp_path, n)) for n in range(3)]
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.05)
        elements = await service.predict(request([*good, *[0] * 100_000, *good]), stays)
        watching.cancel()
        assert len(elements) == 100_006
        assert [result(e) for e in elements[:4] + elements[-1:]] == [[64], [65], [66], "nothing", [66]]
        assert longest < 0.5

    play(tmp_path, scenario)
