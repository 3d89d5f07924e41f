"""A labeler clicks in the editor: an object appears, and further clicks change it and add no other."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from playwright.sync_api import Page

from labeler_backend.masks.shape import to_mask
from labeler_backend.studio.labeling import labeling_config
from labeler_backend.studio.regions import region_to_shape

from .backend import Backend
from .browser import (
    choose_label,
    keep,
    logged_in,
    open_task,
    pressed,
    results,
    selected,
    smart_tool,
    suggested,
)
from .client import Client
from .pictures import Picture
from .studio import Studio

CUP = (45.0, 45.0)
"""On the coffee, in percent."""
BOX = ((15.0, 20.0), (92.0, 90.0))
"""Corners around cup and saucer."""
AWAY = (45.0, 12.0)
"""On the rim, in what a click on the coffee takes."""
LABELS = ["cup", "other"]
POLYGONS, BOXES = labeling_config(LABELS, "polygon"), labeling_config(LABELS, "box")
NOTHING_FIRST = 'smart="false" model_score_threshold="1"'  # so that all there is was clicked


@pytest.fixture
def page(studio: Studio) -> Iterator[Page]:
    """Of a profile that never used a smart tool."""
    with logged_in(studio) as page:
        yield page


def opened(
    studio: Studio, backend: Backend, page: Page, picture: Picture, config: str, nothing_first: bool = True
) -> tuple[Client, int]:
    """A task of a new project with this config; → its number."""
    if nothing_first:
        config = config.replace('smart="false"', NOTHING_FIRST)
    client = studio.client()
    project = client.create_project(config)
    client.upload(project, [picture.path])
    client.connect(project, backend.url)
    [task] = client.tasks(project)
    shown = client.open_task(task["id"])["predictions"][0]["result"]
    assert bool(shown) != nothing_first
    open_task(page, studio, project, task["id"], len(shown))
    return client, task["id"]


def config_in(tag: str) -> str:
    """Answers in this tag, named `box`; where it has no labels of its own, a `<Labels>` names them."""
    if tag.endswith("Labels"):
        return BOXES.replace("RectangleLabels", tag)
    bare = f'<{tag} name="box" toName="image" smart="false"/><Labels name="names" toName="image">'
    config = BOXES.replace('<RectangleLabels name="box" toName="image" smart="false">', bare)
    return config.replace("</RectangleLabels>", "</Labels>")


def only_in(page: Page, tag: str) -> dict[str, Any]:
    """The one region there is: of this tag, and a cup."""
    shape, *beside = results(page)
    assert (shape["type"], shape["from_name"]) == (tag.lower(), "box")
    named = shape if tag.endswith("Labels") else beside.pop()
    assert (named["id"], named["value"][named["type"]]) == (shape["id"], ["cup"])
    assert beside == []
    return shape


def holds(region: dict[str, Any], place: tuple[float, float]) -> bool:
    """Whether a place in percent lies in a region of any type."""
    mask = to_mask(region_to_shape(region))
    return bool(mask[int(place[1] / 100 * mask.shape[0]), int(place[0] / 100 * mask.shape[1])])


def mask_of(region: dict[str, Any]) -> shapely.Polygon:
    return shapely.Polygon(region["value"]["points"]).buffer(0)


def upper_end(polygon: shapely.Polygon) -> tuple[float, float]:
    """A place well inside the upper fifth of a polygon."""
    left, top, right, bottom = polygon.bounds
    part = polygon.intersection(shapely.box(left, top, right, top + (bottom - top) / 5))
    largest = max(shapely.get_parts(part), key=lambda one: one.area)
    x, y = shapely.maximum_inscribed_circle(largest, 0.2).coords[0]
    return float(x), float(y)


def only(page: Page) -> dict[str, Any]:
    [region] = results(page)
    return region


def test_a_click_and_a_correction(
    studio: Studio, shared_backend: Backend, page: Page, pictures: list[Picture], artifacts: Path
) -> None:
    """With auto-accept, so that each request has one click; the second comes before any draft is written."""
    client, task = opened(studio, shared_backend, page, pictures[1], POLYGONS)
    smart_tool(page, "cup")
    pressed(page, CUP)
    first = only(page)
    keep(page, artifacts / "click-1.png")
    assert (first["type"], first["from_name"]) == ("polygonlabels", "polygon")
    assert first["value"]["polygonlabels"] == ["cup"]
    assert mask_of(first).contains(shapely.Point(CUP))

    away = upper_end(mask_of(first))
    choose_label(page, "cup")
    pressed(page, away, "Control", "Alt")
    second = only(page)
    keep(page, artifacts / "click-2.png")
    assert second["id"] == first["id"]
    assert mask_of(second).area < mask_of(first).area
    assert not mask_of(second).contains(shapely.Point(away))

    _wait_for_draft(client, task, second)
    shutil.rmtree(shared_backend.data / "clicks")  # from here the request has to say all
    away = upper_end(mask_of(second))
    choose_label(page, "cup")
    pressed(page, away, "Control", "Alt")
    third = only(page)
    keep(page, artifacts / "click-3.png")
    assert third["id"] == first["id"]
    assert mask_of(third).area < mask_of(second).area

    with page.expect_response(lambda answer: f"/api/tasks/{task}/annotations" in answer.url) as sent:
        page.click("[data-testid=bottombar-submit-button]")
    assert sent.value.status == 201
    [annotation] = client.call("GET", f"/api/tasks/{task}")["annotations"]
    assert [one["id"] for one in annotation["result"]] == [first["id"]]


def test_several_clicks_before_the_answer_is_accepted(
    studio: Studio, shared_backend: Backend, page: Page, pictures: list[Picture], artifacts: Path
) -> None:
    opened(studio, shared_backend, page, pictures[1], POLYGONS)
    smart_tool(page, "cup", auto_accept=False)
    pressed(page, CUP)
    first = suggested(page)
    choose_label(page, "cup")
    pressed(page, (CUP[0], 20.0), "Alt")
    keep(page, artifacts / "suggested.png")
    assert suggested(page) == first
    page.click("[data-testid=bottombar-accept-suggestions-button]")
    regions = [one for one in results(page) if one["type"] == "polygonlabels"]
    assert [one["id"] for one in regions] == first
    assert not mask_of(regions[0]).contains(shapely.Point(CUP[0], 20.0))


def test_a_region_that_was_there_is_corrected(
    studio: Studio, shared_backend: Backend, page: Page, pictures: list[Picture], artifacts: Path
) -> None:
    opened(studio, shared_backend, page, pictures[1], POLYGONS, nothing_first=False)
    before = {one["id"]: one for one in results(page)}
    largest = max(before.values(), key=lambda one: mask_of(one).area)
    smart_tool(page, "cup")
    away = upper_end(mask_of(largest))
    pressed(page, away, "Control", "Alt")
    after = {one["id"]: one for one in results(page)}
    keep(page, artifacts / "corrected.png")
    assert after.keys() == before.keys()
    assert mask_of(after[largest["id"]]).area < mask_of(largest).area
    assert {name: one["value"] for name, one in after.items() if name != largest["id"]} == {
        name: one["value"] for name, one in before.items() if name != largest["id"]
    }


def test_a_box_and_a_click_in_brush_strokes(
    studio: Studio, shared_backend: Backend, page: Page, pictures: list[Picture], artifacts: Path
) -> None:
    opened(studio, shared_backend, page, pictures[1], labeling_config(LABELS, "brush"))
    smart_tool(page, "cup", tool=1)
    pressed(page, BOX[0], end=BOX[1])
    first = only(page)
    keep(page, artifacts / "box-1.png")
    assert (first["type"], first["value"]["brushlabels"]) == ("brushlabels", ["cup"])

    smart_tool(page, "cup")
    pressed(page, CUP, "Control", "Alt")
    second = only(page)
    keep(page, artifacts / "box-2.png")
    assert second["id"] == first["id"]
    assert region_to_shape(second) != region_to_shape(first)


@pytest.mark.parametrize("tag", ["RectangleLabels", "Rectangle", "Polygon", "Brush"])
def test_a_click_and_a_correction_in_other_tags(
    studio: Studio, shared_backend: Backend, page: Page, pictures: list[Picture], artifacts: Path, tag: str
) -> None:
    """With auto-accept; the rim is clicked away, so that a box no longer reaches over it."""
    opened(studio, shared_backend, page, pictures[1], config_in(tag))
    smart_tool(page, "cup")
    pressed(page, CUP)
    first = only_in(page, tag)
    assert holds(first, CUP)
    assert holds(first, AWAY)
    choose_label(page, "cup")
    pressed(page, AWAY, "Control", "Alt")
    second = only_in(page, tag)
    keep(page, artifacts / f"corrected-{tag}.png")
    assert second["id"] == first["id"]
    assert holds(second, CUP)
    assert not holds(second, AWAY)


@pytest.mark.parametrize("tag", ["BitmaskLabels", "Bitmask"])
def test_a_bitmask_is_corrected_before_it_is_accepted(
    studio: Studio, shared_backend: Backend, page: Page, pictures: list[Picture], artifacts: Path, tag: str
) -> None:
    """Later the editor cannot: a click in a bitmask selects it, whichever keys are held."""
    opened(studio, shared_backend, page, pictures[1], config_in(tag))
    smart_tool(page, "cup", auto_accept=False)
    pressed(page, CUP)
    first = suggested(page)
    choose_label(page, "cup")
    pressed(page, AWAY, "Alt")
    assert suggested(page) == first
    page.click("[data-testid=bottombar-accept-suggestions-button]")
    region = only_in(page, tag)
    keep(page, artifacts / f"corrected-{tag}.png")
    assert [region["id"]] == first
    assert holds(region, CUP)
    assert not holds(region, AWAY)

    choose_label(page, "cup")
    selected(page, CUP, "Control", "Alt")
    assert only_in(page, tag) == region


def _wait_for_draft(client: Client, task: int, region: dict[str, Any]) -> None:
    """Until Label Studio has the region as it is in the editor."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        drafts = client.call("GET", f"/api/tasks/{task}")["drafts"]
        saved = [one for draft in drafts for one in draft["result"] if one["id"] == region["id"]]
        if saved and np.allclose(saved[0]["value"]["points"], region["value"]["points"], atol=0.1):
            return
        time.sleep(0.3)
    raise AssertionError("the draft was never written")
