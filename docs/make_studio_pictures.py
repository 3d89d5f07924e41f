"""The screenshots of the documentation, from a Label Studio that `labeler up` runs.

    labeler up --data DIR --no-browser &
    python docs/make_studio_pictures.py URL DIR/login.json docs/images

URL is what `labeler up` prints behind "open"; the project holds the example pictures, and nothing has been
submitted in it. What this submits is deleted again at the end.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

from labeler_backend.studio.client import Studio

Region = dict[str, Any]
Box = tuple[int, int, int, int]  # left, top, right, bottom of the window, in pixels
WINDOW: ViewportSize = {"width": 1340, "height": 800}
EDITOR: Box = (241, 47, 1340, 800)  # without the list of tasks at the left and the head of the page
LIST: Box = (0, 84, 1120, 676)

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_READY = """wanted => {
  const annotation = window.Htx?.annotationStore?.selected;
  const picture = document.querySelector('img[alt=image]');
  return annotation?.regionStore?.regions?.length >= wanted && picture?.complete && picture.naturalWidth > 0
    && !!document.querySelector('[data-testid=bottombar-submit-button]:not([disabled])');
}"""
_BELOW = "[data-testid=bottombar-{}]"


def main() -> None:
    """All screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url", help="of the project, http://127.0.0.1:8080/projects/1/data")
    parser.add_argument("login", type=Path, help="login.json of labeler up")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    args = parser.parse_args()
    base, _, rest = args.url.partition("/projects/")
    project = int(rest.partition("/")[0])
    login = json.loads(args.login.read_text())
    with Studio(base, login["token"]) as studio, browser() as page:
        if studio.project(project)["total_annotations_number"]:
            parser.error("something was submitted in that project: take one of a new labeler up --data DIR")
        log_in(page, base, login)
        tasks = task_by_picture(studio, project)
        try:
            shoot_editor(page, args.url, tasks, args.out)
            shoot_clicks(page, args.url, tasks["astronaut"], args.out)
            shoot_list(page, studio, project, args.url, args.out)
            shoot_status(page, studio, project, tasks, args.out)
        finally:
            clean(studio, tasks)


@contextmanager
def browser() -> Iterator[Page]:
    """A page of a fresh profile."""
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, _CHROMIUM)), None)
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = running.new_page(viewport=WINDOW)
            page.set_default_timeout(60_000)
            yield page
        finally:
            running.close()


def log_in(page: Page, base: str, login: Mapping[str, str]) -> None:
    page.goto(f"{base}/user/login/")
    page.fill("input[name=email]", login["email"])
    page.fill("input[name=password]", login["password"])
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url)


def task_by_picture(studio: Studio, project: int) -> dict[str, int]:
    """Task ids by the names of the example pictures, without suffix."""
    return {Path(task["data"]["image"]).stem: task["id"] for page in studio.tasks(project) for task in page}


def shoot_editor(page: Page, url: str, tasks: Mapping[str, int], out: Path) -> None:
    """Tasks as a labeler finds them."""
    for name in ("coins", "astronaut"):
        open_task(page, url, tasks[name])
        save(page, out / f"studio-{name}.jpg", EDITOR)


def open_task(page: Page, url: str, task: int) -> None:
    """Until its proposals are on the picture and nothing moves any more."""
    page.goto(f"{url}?task={task}")
    page.wait_for_function(_READY, arg=1)
    settle(page)


def settle(page: Page) -> None:
    """Until two screenshots in a row are the same."""
    before = b""
    for _ in range(40):
        page.wait_for_timeout(400)
        now = page.screenshot(animations="disabled")
        if now == before:
            return
        before = now


def shoot_clicks(page: Page, url: str, task: int, out: Path) -> None:
    """The tools, a click on a face, and one that takes the collar of the suit away again."""
    open_task(page, url, task)
    page.evaluate("() => window.Htx.annotationStore.selected.deleteAllRegions()")
    page.click(_BELOW.format("auto-annotation-toggle"), force=True)
    page.click(_BELOW.format("auto-accept-toggle"), force=True)
    page.locator(".lsf-tool_smart").first.click()
    page.locator(".lsf-label").first.click()
    page.locator(".lsf-tool_smart").first.hover()
    page.wait_for_timeout(1000)
    save(page, out / "studio-click-tool.jpg", EDITOR)
    click_on(page, 0.42, 0.32)
    save(page, out / "studio-click-first.jpg", EDITOR)
    page.locator(".lsf-label").first.click()  # the editor forgot it
    click_on(page, 0.42, 0.5, "Control", "Alt")
    save(page, out / "studio-click-second.jpg", EDITOR)


def click_on(page: Page, x: float, y: float, *keys: str) -> None:
    """A click at a place that is given as shares of the picture, and its answer."""
    picture = page.locator("img[alt=image]").bounding_box()
    assert picture is not None
    with page.expect_response(lambda answer: "/interactive-annotating" in answer.url):
        for key in keys:
            page.keyboard.down(key)
        page.mouse.click(picture["x"] + x * picture["width"], picture["y"] + y * picture["height"])
        for key in keys:
            page.keyboard.up(key)
    page.mouse.move(700, 780)
    settle(page)


def shoot_list(page: Page, studio: Studio, project: int, url: str, out: Path) -> None:
    """The tasks with their scores, the least sure first."""
    forget_columns(studio, project)
    page.set_viewport_size({"width": LIST[2], "height": WINDOW["height"]})
    page.goto(url)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_text("Prediction score", exact=True).click()
    page.mouse.click(700, 740)  # below the tasks: closes the menu
    page.get_by_text("Order by", exact=True).click()
    page.get_by_text("Prediction score", exact=True).last.click()
    page.mouse.click(700, 740)
    page.mouse.move(700, 780)
    settle(page)
    save(page, out / "studio-list.png", LIST)
    page.set_viewport_size(WINDOW)
    forget_columns(studio, project)


def forget_columns(studio: Studio, project: int) -> None:
    """The list of tasks as a new project has it."""
    studio.request("DELETE", "/api/dm/views/reset", json={"project": project})


def shoot_status(page: Page, studio: Studio, project: int, tasks: Mapping[str, int], out: Path) -> None:
    """The backend's page after some annotations and one picture that is missing."""
    backend = studio.backends(project)[0]["url"]
    submit(studio, tasks["coffee"], lambda regions: regions)
    submit(studio, tasks["coins"], lambda regions: [moved(regions[0]), moved(regions[1]), *regions[3:]])
    submit(studio, tasks["astronaut"], lambda regions: [regions[0], {**regions[1], "id": "drawn"}])
    lose_picture(studio, project, tasks["coins"])
    page.set_viewport_size({"width": 900, "height": 1000})
    for _ in range(60):
        report = httpx.get(f"{backend}/status.json", trust_env=False).json()
        if report["failures"] and sum(one["annotated_tasks"] for one in report["projects"]) >= 3:
            break
        time.sleep(0.5)
    page.goto(f"{backend}/status")
    settle(page)
    section = page.locator("section").filter(has_text="Last failures").bounding_box()
    assert section is not None
    save(page, out / "studio-status.png", (0, 0, 900, round(section["y"] + section["height"] + 16)))


def submit(studio: Studio, task: int, change: Callable[[list[Region]], list[Region]]) -> None:
    """An annotation that began with the task's proposals."""
    prediction = studio.get(f"/api/tasks/{task}")["predictions"][0]
    body = {"result": change(prediction["result"]), "parent_prediction": prediction["id"]}
    studio.post(f"/api/tasks/{task}/annotations/", body)


def moved(region: Region) -> Region:
    """A polygon with its first point elsewhere."""
    (x, y), *others = region["value"]["points"]
    return {**region, "value": {**region["value"], "points": [(x + 2, y + 2), *others]}}


def lose_picture(studio: Studio, project: int, like: int) -> None:
    """A task whose picture is not there, asked for and deleted again."""
    url = studio.get(f"/api/tasks/{like}")["data"]["image"]
    lost = url.replace("coins", "lost")
    studio.post(f"/api/projects/{project}/import", [{"data": {"image": lost}}])
    task = task_by_picture(studio, project)["lost"]
    chosen = {"selectedItems": {"all": False, "included": [task]}}
    studio.post("/api/dm/actions", chosen, id="retrieve_tasks_predictions", project=project)
    studio.delete(f"/api/tasks/{task}")


def clean(studio: Studio, tasks: Mapping[str, int]) -> None:
    """Deletes what was submitted or begun."""
    for task in tasks.values():
        found = studio.get(f"/api/tasks/{task}")
        for kind in ("annotations", "drafts"):
            for one in found[kind]:
                studio.delete(f"/api/{kind}/{one['id']}/")


def save(page: Page, path: Path, box: Box) -> None:
    """A part of the window."""
    image = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB").crop(box)
    image.save(path, quality=85, optimize=True, progressive=True)  # of PNG only `optimize` counts
    print(f"{path}: {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
