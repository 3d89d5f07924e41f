"""Label Studio's editor in a real Chromium, and what is drawn in it."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from .studio import EMAIL, PASSWORD, Studio

BoolMask = npt.NDArray[np.bool_]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_READY = """wanted => {
  const annotation = window.Htx?.annotationStore?.selected;
  const picture = document.querySelector('img[alt=image]');
  return annotation?.regionStore?.regions?.length === wanted && picture?.complete && picture.naturalWidth > 0
    && !!document.querySelector('[data-testid=bottombar-submit-button]:not([disabled])');
}"""
_TOGGLE = (
    "() => window.Htx.annotationStore.selected.regionStore.regions.forEach(region => region.toggleHidden())"
)
_BOXES = """() => ['img[alt=image]', '.konvajs-content'].map(name => {
  const box = document.querySelector(name).getBoundingClientRect();
  return [box.left, box.top, box.width, box.height];
})"""
_CHOSEN = """label => Array.from(window.Htx.annotationStore.selected.names.values())
  .some(tag => tag.selectedLabels?.some(one => one.value === label))"""
_SUGGESTED = (
    "() => Array.from(window.Htx.annotationStore.selected.suggestions.values()).map(one => one.cleanId)"
)
_SELECTED = "() => window.Htx.annotationStore.selected.regionStore.selection.size === 1"
_SMART = ("key-point-tool", "rectangle-tool")
_CHANGED = 12  # of 255 in any channel: regions are filled with a fifth of their colour, much more than noise


def chromium() -> str:
    """STUDIO_CHROMIUM, or the one on PATH."""
    found = os.environ.get("STUDIO_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if not found:
        pytest.fail("No chromium on PATH: install it or name one in STUDIO_CHROMIUM.", pytrace=False)
    return found


@contextmanager
def logged_in(studio: Studio) -> Iterator[Page]:
    """A page of a fresh profile, logged in through the form."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 900})
            page.set_default_timeout(60_000)
            page.goto(f"{studio.url}/user/login/")
            page.fill("input[name=email]", EMAIL)
            page.fill("input[name=password]", PASSWORD)
            page.click("button[type=submit]")
            page.wait_for_url(lambda url: "/user/login" not in url)
            yield page
        finally:
            browser.close()


def open_task(page: Page, studio: Studio, project: int, task: int, regions: int) -> None:
    """Until the editor shows the task with that many regions and nothing moves any more."""
    page.goto(f"{studio.url}/projects/{project}/data?task={task}")
    page.wait_for_function(_READY, arg=regions)
    _still(page)


def drawn(page: Page, size: tuple[int, int]) -> tuple[BoolMask, BoolMask]:
    """Which pixels of the picture regions are drawn over, and which can be seen at all, both (H, W).

    By the difference to a screenshot with all regions hidden. The editor zooms in a little when it opens a
    task, so some of the picture's border is outside its frame.
    """
    shown = _still(page)
    page.evaluate(_TOGGLE)
    hidden = _still(page)
    page.evaluate(_TOGGLE)
    picture, frame = page.evaluate(_BOXES)
    changed = np.abs(shown - hidden).max(axis=2) > _CHANGED
    x = picture[0] + (np.arange(size[1]) + 0.5) / size[1] * picture[2]
    y = picture[1] + (np.arange(size[0]) + 0.5) / size[0] * picture[3]
    seen = np.outer(_within(y, frame[1], frame[3]), _within(x, frame[0], frame[2]))
    rows = np.clip(y.astype(int), 0, changed.shape[0] - 1)
    columns = np.clip(x.astype(int), 0, changed.shape[1] - 1)
    return changed[np.ix_(rows, columns)] & seen, seen


def _within(values: npt.NDArray[np.float64], start: float, length: float) -> BoolMask:
    return (values >= start) & (values < start + length)


def _still(page: Page) -> npt.NDArray[np.int16]:
    """A screenshot (H, W, 3) once two in a row are the same."""
    before, end = b"", time.monotonic() + 20
    while True:
        page.mouse.move(5, 500)  # away from everything that lights up
        page.wait_for_timeout(300)
        now = page.screenshot(animations="disabled")
        if now == before or time.monotonic() > end:
            return np.asarray(Image.open(io.BytesIO(now)).convert("RGB")).astype(np.int16)
        before = now


def keep(page: Page, path: Path) -> None:
    """A screenshot to look at."""
    page.screenshot(path=path)


def smart_tool(page: Page, label: str, *, tool: int = 0, auto_accept: bool = True) -> None:
    """What a labeler does before the first click: the toggle, the sparkle tool, a label.

    Args:
        page: with a task open.
        label: which one; the row is that of the prompt's tag.
        tool: 0 = key point, 1 = box, in the order of the config.
        auto_accept: whether answers are accepted by themselves.
    """
    for name, wanted in (("auto-annotation", True), ("auto-accept", auto_accept)):
        toggle = page.locator(f"[data-testid=bottombar-{name}-toggle]")
        if toggle.is_checked() != wanted:
            toggle.click(force=True)
    chosen = page.locator(f".lsf-toolbar__smart [aria-label={_SMART[tool]}]")
    if not chosen.count():  # the only one is the button itself
        chosen = page.locator(".lsf-tool_smart")
    for _ in _SMART:  # each press goes on to the next one
        if "lsf-tool_active" not in (chosen.get_attribute("class") or ""):
            page.locator(".lsf-tool_smart").first.click()
    choose_label(page, label, tool)  # last: changing the tool forgets it


def choose_label(page: Page, label: str, tool: int = 0) -> None:
    """Where it is not chosen already: the editor forgets it with each answer that is accepted."""
    if page.evaluate(_CHOSEN, label):
        return
    page.locator(".lsf-labels").nth(tool).locator(".lsf-label", has_text=label).first.click()


def pressed(
    page: Page, start: tuple[float, float], *keys: str, end: tuple[float, float] | None = None
) -> None:
    """A click at x, y in percent of the picture, or a drag to `end`, with keys held; waits for its answer.

    Alt says "not this"; Control starts on a region instead of selecting it.
    """
    with page.expect_response(lambda answer: "/interactive-annotating" in answer.url) as sent:
        _press(page, start, end, keys)
    assert "errors" not in sent.value.json(), sent.value.text()
    page.wait_for_function("() => !window.Htx.awaitingSuggestions")


def selected(page: Page, place: tuple[float, float], *keys: str) -> None:
    """A click at x, y in percent of the picture, with keys held, that selects the region there."""
    _press(page, place, None, keys)
    page.wait_for_function(_SELECTED)


def _press(
    page: Page, start: tuple[float, float], end: tuple[float, float] | None, keys: Iterable[str]
) -> None:
    for key in keys:
        page.keyboard.down(key)
    page.mouse.move(*_on_page(page, start))
    page.mouse.down()
    if end is not None:
        page.mouse.move(*_on_page(page, end), steps=8)
    page.mouse.up()
    for key in keys:
        page.keyboard.up(key)


def suggested(page: Page) -> list[str]:
    """Ids of what is shown and not accepted."""
    ids: list[str] = page.evaluate(_SUGGESTED)
    return ids


def results(page: Page) -> list[dict[str, Any]]:
    """What would be submitted now."""
    found: list[dict[str, Any]] = page.evaluate(
        "() => JSON.parse(JSON.stringify(window.Htx.annotationStore.selected.serializeAnnotation()))"
    )
    return found


def _on_page(page: Page, place: tuple[float, float]) -> tuple[float, float]:
    left, top, width, height = page.evaluate(_BOXES)[0]
    return left + place[0] * width / 100, top + place[1] * height / 100
