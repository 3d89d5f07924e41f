"""What the product's answers rely on in Label Studio itself; a new release that changes it fails here."""

from __future__ import annotations

from typing import Any

import pytest

from .answers import polygon_config
from .conftest import Studios
from .scripted import scripted

CONFIG = polygon_config("thing")
URLS = [{"image": f"http://127.0.0.1:9/{i}.jpg"} for i in range(3)]


@pytest.mark.parametrize("validation", [False, True], ids=["validation off", "validation on"])
@pytest.mark.parametrize(
    ("element", "stored", "asked_again"),
    [
        pytest.param([], 0, True, id="an empty list: nothing is stored, and it is asked again"),
        pytest.param(
            {"result": [], "score": 0.0, "model_version": "scripted-1"}, 1, False, id="an empty result: final"
        ),
        pytest.param(
            [{"result": [], "score": 0.0, "model_version": "scripted-1"}], 1, False, id="the same in a list"
        ),
    ],
)
def test_elements_without_regions(
    studios: Studios, validation: bool, element: Any, stored: int, asked_again: bool
) -> None:
    client = studios(validation).client()
    project = client.create_project(CONFIG)
    client.import_tasks(project, URLS)
    odd, *others = [task["id"] for task in client.tasks(project)]
    full = {"result": [_region()], "score": 0.5, "model_version": "scripted-1"}
    with scripted(lambda task: element if task["id"] == odd else full) as (url, script):
        client.connect(project, url)
        client.retrieve_predictions(project)
        found = client.predictions(project)
        assert {task: len(ones) for task, ones in found.items()} == {odd: stored} | dict.fromkeys(others, 1)
        client.retrieve_predictions(project)
        client.open_task(odd)
        retrieved, opened = script.asked[1:] if asked_again else ([], [])
        assert script.asked[0] == [odd, *others]
        assert (retrieved, opened) == (([odd], [odd]) if asked_again else ([], []))


def test_one_post_for_all_tasks_and_a_click_without_setup(studios: Studios) -> None:
    client = studios(True).client()
    project = client.create_project(CONFIG)
    client.import_tasks(project, URLS * 40)
    with scripted(lambda task: []) as (url, script):
        backend = client.connect(project, url)
        client.retrieve_predictions(project)
        assert [len(ids) for ids in script.asked] == [120]
        script.bodies.clear()
        client.prompt(backend, client.tasks(project)[0]["id"], [])
        assert [path for path, _ in script.bodies] == ["/predict"]


def _region() -> dict[str, Any]:
    value = {"points": [[10, 10], [40, 10], [40, 40]], "closed": True, "polygonlabels": ["thing"]}
    frame = {"original_width": 100, "original_height": 100, "image_rotation": 0}
    return {
        "id": "r1",
        "type": "polygonlabels",
        "from_name": "polygon",
        "to_name": "image",
        "value": value,
        **frame,
    }
