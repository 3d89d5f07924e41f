"""A project's head in what Label Studio is told and answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.types import Answer
from labeler_backend.heads.versions import Versions
from labeler_backend.projects import project_folder, studio_project
from labeler_backend.proposals.types import Proposal
from labeler_backend.server.protocol import SetupRequest, WebhookEvent, project_uid
from labeler_backend.server.service import Service
from tests.heads.made_heads import trained
from tests.server.standin import CONFIDENCE, VERSION, Control, make_service, picture, request, task

STUDIO = "http://127.0.0.1:8080"
UID, OTHER = "1.1795428142", "2.1795428142"


@dataclass(frozen=True)
class StandInHead:
    """Changes nothing but how sure it is, which tells its number."""

    number: int
    other: bool

    def answer(self, image: Any, features: Any, proposals: Sequence[Proposal]) -> Answer:
        if self.other:
            raise HeadError("This head is of another model.")
        return Answer(tuple(proposals), self.number / 10)


@pytest.fixture(autouse=True)
def _made_up_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(versions: Versions, number: int) -> StandInHead:
        folder = versions.folder / f"{number:06d}"
        if (folder / "broken").exists():
            raise HeadError(f"Head {number} is damaged.")
        return StandInHead(number, (folder / "other").exists())

    monkeypatch.setattr("labeler_backend.server.live.Versions.load", load)


def heads(folder: Path, uid: str = UID) -> Versions:
    return Versions(project_folder(folder / "data", studio_project(STUDIO, uid)) / "heads")


def publish(folder: Path, uid: str = UID) -> int:
    found = heads(folder, uid)
    return found.publish(trained(), instead_of=found.serving()).number


def play(folder: Path, scenario: Callable[[Service], Awaitable[None]]) -> Control:
    control = Control()
    control.open.set()

    async def main() -> None:
        service = make_service(folder, control)
        try:
            await asyncio.wait_for(scenario(service), 30)
        finally:
            await service.stop(5)

    asyncio.run(main())
    return control


def setup(service: Service, uid: str = UID) -> str:
    return service.setup(SetupRequest(project=uid, hostname=STUDIO, access_token="t" * 40))


async def stays() -> bool:
    return False


async def answer(service: Service, *tasks: Any, uid: str = UID) -> list[Any]:
    return [json.loads(one) for one in await service.predict(request(tasks, project=uid), stays)]


def told(answers: Sequence[Any]) -> list[tuple[str, float]]:
    return [(one["model_version"], one["score"]) for one in answers]


def test_a_promoted_head_answers_at_the_next_request(tmp_path: Path) -> None:
    one = task(1, picture(tmp_path, 1))

    async def scenario(service: Service) -> None:
        assert (setup(service), setup(service, OTHER)) == (VERSION, VERSION)
        assert told(await answer(service, one)) == [(VERSION, CONFIDENCE)]
        publish(tmp_path)
        assert (setup(service), setup(service, OTHER)) == (f"{VERSION}-h1", VERSION)
        assert service.versions() == [VERSION, f"{VERSION}-h1"]
        assert told(await answer(service, one)) == [(f"{VERSION}-h1", 0.1)]
        assert told(await answer(service, one, uid=OTHER)) == [(VERSION, CONFIDENCE)]
        publish(tmp_path)
        assert told(await answer(service, one)) == [(f"{VERSION}-h2", 0.2)]
        heads(tmp_path).rollback(1)
        assert setup(service) == f"{VERSION}-h1"
        assert told(await answer(service, one)) == [(f"{VERSION}-h1", 0.1)]
        [status] = [found for found in service.status().projects if found.id == UID]
        assert status.head is not None
        assert (status.head.number, status.head.model_version) == (1, f"{VERSION}-h1")
        assert status.head.after is not None
        assert status.head.after.miou is None  # it was not measured, and JSON has no NaN

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("mark", "first"),
    [
        pytest.param("broken", [(f"{VERSION}-h1", 0.1)], id="damaged"),
        pytest.param("other", [], id="of another model"),
    ],
)
def test_a_head_that_cannot_answer_gives_way_to_the_one_before(
    tmp_path: Path, mark: str, first: list[tuple[str, float]]
) -> None:
    one = task(1, picture(tmp_path, 1))

    async def scenario(service: Service) -> None:
        setup(service)
        publish(tmp_path)
        number = publish(tmp_path)
        (heads(tmp_path).folder / f"{number:06d}" / mark).touch()
        found = await answer(service, one)
        assert told(found) == first if first else found == [[]]
        assert told(await answer(service, one)) == [(f"{VERSION}-h1", 0.1)]
        assert setup(service) == f"{VERSION}-h1"
        [status] = service.status().projects
        assert status.head_problem
        assert status.head is not None
        assert status.head.number == 1

    play(tmp_path, scenario)


def test_what_cannot_be_answered_bears_the_version_of_the_head(tmp_path: Path) -> None:
    async def scenario(service: Service) -> None:
        setup(service)
        publish(tmp_path)
        found = await answer(service, task(1, tmp_path / "none.png"), {"id": 2, "data": {}})
        assert told(found) == [(f"{VERSION}-h1", 0.0)] * 2

    play(tmp_path, scenario)


def test_start_training_is_noted_and_shown(tmp_path: Path) -> None:
    about = {"id": 1, "created_at": "2026-11-23T10:02:22Z", "title": "Cells"}

    async def scenario(service: Service) -> None:
        uid = project_uid(about)
        setup(service, uid)
        service.webhook(WebhookEvent(action="START_TRAINING", project=about))
        for _ in range(200):
            found = [one for one in service.status().projects if one.id == uid]
            if found and found[0].training and found[0].training.state == "queued":
                break
            await asyncio.sleep(0.02)
        [status] = found
        assert status.title == "Cells"
        assert status.training is not None
        assert (status.training.state, status.training.left) == ("queued", 10)

    play(tmp_path, scenario)
