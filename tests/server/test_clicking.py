"""Clicks through the whole service, in bodies as Label Studio sends them."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.features import Features
from labeler_backend.media import RGB
from labeler_backend.server.build import make_service as real_service
from labeler_backend.server.protocol import PredictRequest
from labeler_backend.server.service import Service
from labeler_backend.settings import ServerSettings
from tests.server.standin import POLYGONS, Control, picture, request, task
from tests.server.test_service import CLICK, play, result, stays

RECORDED = Path(__file__).with_name("recorded.jsonl")
NEGATIVE: Any = copy.deepcopy(CLICK)
NEGATIVE["result"][0] |= {"id": "n", "is_positive": False}
PAGES = POLYGONS.replace('value="$image"', 'valueList="$image"')


def context(**changes: Any) -> dict[str, Any]:
    """A click with some of it changed."""
    return {"context": {"result": [CLICK["result"][0] | changes]}}


def regions(element: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(element)["result"]
    return found


def test_the_region_that_is_shown_is_replaced_click_by_click(tmp_path: Path) -> None:
    """The prediction and the answers of the last seconds are all there is to know it by."""
    plain = task(1, picture(tmp_path, 1))

    async def scenario(service: Service, control: Control) -> None:
        [shown] = await service.predict(request([plain]), stays)
        sent = plain | {"predictions": [json.loads(shown)], "drafts": [], "annotations": []}
        [first] = await service.predict(request([sent], params={"context": CLICK}), stays)
        [second] = await service.predict(request([sent], params={"context": NEGATIVE}), stays)
        ids = [[region["id"] for region in regions(element)] for element in (shown, first, second)]
        assert ids[0] == ids[1] == ids[2]
        assert len(regions(second)[0]["value"]["points"]) > len(regions(first)[0]["value"]["points"]) // 2
        assert regions(second)[0]["value"] != regions(first)[0]["value"]

    assert play(tmp_path, scenario).clicks == 2


@pytest.mark.parametrize(
    ("params", "said"),
    [
        pytest.param({"context": NEGATIVE}, "lies in no region", id="a negative click nowhere"),
        pytest.param(
            context(item_index=2), "Page 3 was clicked, and there are 2", id="a page that is not there"
        ),
        pytest.param(context(type="brushlabels"), "does not fit its type", id="not what its type says"),
        pytest.param(context(from_name="gone"), "asks for nothing", id="an unknown tag"),
        pytest.param({"context": {"result": {"a": 1}}}, "not a list", id="not a list"),
        pytest.param({"context": {"result": [None]}}, "not an object", id="null"),
        pytest.param({"context": {"result": []}}, None, id="nothing asked"),
        pytest.param({"context": {"other": 1}}, None, id="something else"),
    ],
)
def test_what_cannot_be_used_is_on_the_status_page(tmp_path: Path, params: Any, said: str | None) -> None:
    body = {"id": 5, "data": {"image": [str(picture(tmp_path, n)) for n in (1, 2)]}}

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(request([body], PAGES, params=params), stays)
        assert result(element) == "nothing"
        assert service.status().failures == []
        notes = [note for project in service.status().projects for note in project.notes]
        assert (said is None and notes == []) or [
            note for note in notes if f"task 5: {said}" in note or str(said) in note
        ]

    play(tmp_path, scenario)


def test_only_the_page_that_was_clicked_is_looked_at(tmp_path: Path) -> None:
    missing = {"id": 5, "data": {"image": [str(tmp_path / "gone.png"), str(picture(tmp_path, 2))]}}

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(request([missing], PAGES, params=context(item_index=1)), stays)
        assert result(element) == [66]
        assert regions(element)[0]["item_index"] == 1

    play(tmp_path, scenario)


def test_a_click_as_it_was_recorded(tmp_path: Path) -> None:
    """Polygon, brush, key point and box in one config; nobody had predicted the task."""
    bodies = [json.loads(line)["body"] for line in RECORDED.read_text().splitlines() if '"/predict"' in line]
    [body, *_] = [one for one in bodies if ((one["params"].get("context") or {}).get("result"))]
    body["tasks"][0]["data"]["image"] = str(picture(tmp_path, 1))

    async def scenario(service: Service, control: Control) -> None:
        [element] = await service.predict(PredictRequest.model_validate(body), stays)
        [region] = regions(element)
        assert (region["type"], region["from_name"]) == ("polygonlabels", "poly")
        assert region["value"]["polygonlabels"] == ["car"]

    play(tmp_path, scenario)


@pytest.mark.parametrize("predicted", [pytest.param(True, id="predicted"), pytest.param(False, id="new")])
def test_a_picture_is_encoded_once(
    tmp_path: Path, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch, predicted: bool
) -> None:
    """The features of a batch answer the first click; a picture that nobody saw is encoded at it."""
    encoded: list[int] = []
    forward = Encoder._forward

    def counting(self: Encoder, images: Sequence[RGB], size: tuple[int, int]) -> list[Features]:
        encoded.append(len(images))
        return forward(self, images, size)

    allowed = settings.model_copy(update={"media_roots": (tmp_path,)})
    tasks = [task(1, picture(tmp_path, 1))]

    async def scenario() -> None:
        service = real_service(allowed)
        service._proposing.labeler()  # finds the roles of its heads, which takes pictures of its own
        monkeypatch.setattr(Encoder, "_forward", counting)
        try:
            if predicted:
                await service.predict(request(tasks), stays)
                assert encoded == [1]
            for click in (CLICK, CLICK, NEGATIVE):
                [element] = await service.predict(request(tasks, params={"context": click}), stays)
                assert json.loads(element) != []
        finally:
            await service.stop(5)

    asyncio.run(scenario())
    assert encoded == [1]
