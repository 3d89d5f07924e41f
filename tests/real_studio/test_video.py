"""Videos in a real Label Studio: boxes are followed, and stand on their pictures in a real browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from labeler_backend.studio.export_json.tracks import path_of
from labeler_backend.studio.labeling import labeling_config

from .answers import assert_valid
from .backend import Backend
from .browser import keep, logged_in
from .client import Client, Json
from .commands import Commands
from .films import COUNT, RATE, SIZE, Box, Film, cat_over_coffee, rabbit, shown
from .studio import Studio

pytestmark = pytest.mark.slow

CONFIG = labeling_config(["cup", "cat"], "video", RATE)
RABBITS = labeling_config(["squirrel", "rabbit"], "video", RATE)
FITS = 0.6  # IoU of boxes: the tracker's are tight around what it takes to be the cat
SNUG = 0.8  # the same, of the rabbit

_REGIONS = """() => window.Htx?.annotationStore?.selected?.regionStore?.regions.map(region => ({
  id: region.cleanId, label: region.labelName,
  keys: region.sequence.length, end: region.sequence.at(-1).frame,
}))"""
_OPENED = """() => {
  const video = document.querySelector('video');
  return !!window.Htx?.annotationStore?.selected && video?.readyState === 4
    && !!document.querySelector('[data-testid=bottombar-submit-button]:not([disabled])');
}"""
_VIDEO = "window.Htx.annotationStore.selected.objects.find(tag => tag.type === 'video')"
_BOX = """([id, frame]) => {
  const region = window.Htx.annotationStore.selected.regionStore.regions.find(one => one.cleanId === id);
  if (!region.isInLifespan(frame)) return null;
  const {x, y, width, height} = region.getShape(frame);
  return [x, y, width, height];
}"""
_CANVAS = """() => {
  const box = document.querySelector('.konvajs-content').getBoundingClientRect();
  return [box.left, box.top, box.width, box.height];
}"""
_SELECT = """id => {
  const annotation = window.Htx.annotationStore.selected;
  annotation.selectArea(annotation.regionStore.regions.find(one => one.cleanId === id));
}"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return cat_over_coffee(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def page(studio: Studio) -> Iterator[Page]:
    with logged_in(studio) as page:
        yield page


def project_of(client: Client, film: Film, backend: Backend, config: str = CONFIG) -> tuple[int, int]:
    """A project with the film as its only task → their numbers."""
    project = client.create_project(config, "films")
    client.upload(project, [film.path])
    client.connect(project, backend.url, title=backend.http.get("/versions").json()["versions"][0])
    [task] = client.tasks(project)
    return project, int(task["id"])


def drawn(name: str, label: str, boxes: Mapping[int, Box]) -> Json:
    """A box on some frames (from 0), as the editor writes it."""
    sequence = [
        {"frame": n + 1, "enabled": True, "rotation": 0, "time": (n + 1) / RATE}
        | dict(zip(("x", "y", "width", "height"), box, strict=True))
        for n, box in boxes.items()
    ]
    value = {"framesCount": COUNT, "duration": COUNT / RATE, "sequence": sequence, "labels": [label]}
    return {"id": name, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(w, 0.0) * max(h, 0.0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def worst(region: Json, film: Film) -> float:
    """The least IoU with where the thing is, as the reader of exports sees the track."""
    shapes = path_of(region, (100, 100), film.count).shapes
    assert list(shapes) == list(range(film.count))
    rings = {frame: shapes[frame].rings[0] for frame in film.boxes}
    found = {frame: (*ring.min(axis=0), *np.ptp(ring, axis=0)) for frame, ring in rings.items()}
    return min(iou(found[frame], truth) for frame, truth in film.boxes.items())


def wait(condition: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.3)
    return found


def test_without_a_box_tracks_are_offered(studio: Studio, shared_backend: Backend, film: Film) -> None:
    client = studio.client()
    project, task = project_of(client, film, shared_backend)
    shared_backend.wait_for_model()

    def predicted() -> list[Json]:
        client.open_task(task)  # what takes longer than 20 s is served at the next call
        return client.predictions(project)[task]

    [prediction] = wait(predicted)
    assert_valid(CONFIG, prediction)
    for region in prediction["result"]:
        assert region["value"]["labels"] == ["cup"]  # a guess
        assert region["value"]["framesCount"] == COUNT
        assert all({"enabled", "rotation", "time"} <= key.keys() for key in region["value"]["sequence"])
    assert shared_backend.status()["videos"] == []


def test_submitted_boxes_are_followed_and_replace_what_was_predicted(
    studio: Studio, shared_backend: Backend, film: Film
) -> None:
    client = studio.client()
    project, task = project_of(client, film, shared_backend)
    [row] = client.call("GET", "/api/ml", params={"project": project})
    old = {"task": task, "result": [], "score": 0.0, "model_version": row["model_version"]}
    client.call("POST", "/api/predictions/", json=old)
    client.retrieve_predictions(project)
    [kept] = client.predictions(project)[task]  # it has one, so nobody is asked
    assert kept["result"] == []

    cup = (28.0, 2.0, 40.0, 50.0)
    boxes = [
        drawn("the-cat", "cat", {0: film.boxes[0], 20: film.boxes[20]}),
        drawn("the-cup", "cup", {0: cup}),
    ]
    client.annotate(task, boxes)
    wait(lambda: client.predictions(project)[task] == [])

    def predicted() -> list[Json]:
        client.retrieve_predictions(project)
        return client.predictions(project)[task]

    [prediction] = wait(predicted)
    assert_valid(CONFIG, prediction)
    found = {region["id"]: region for region in prediction["result"]}
    assert {name: one["value"]["labels"] for name, one in found.items()} == {
        "the-cat": ["cat"],
        "the-cup": ["cup"],
    }
    assert worst(found["the-cat"], film) > FITS
    export = f"/api/projects/{project}/export"
    query = {"exportType": "JSON", "interpolate_key_frames": "true"}
    assert len(client.call("GET", export, params=query)) == 1  # fails as a whole where a key lacks `enabled`


@pytest.mark.timeout(900)
def test_a_box_drawn_in_the_browser_is_followed_in_step_with_the_picture(
    studio: Studio, shared_backend: Backend, page: Page, artifacts: Path
) -> None:
    client, film = studio.client(), rabbit()
    nothing_offered = RABBITS.replace("<VideoRectangle", '<VideoRectangle model_score_threshold="1"')
    project, task = project_of(client, film, shared_backend, nothing_offered)
    page.goto(f"{studio.url}/projects/{project}/data?task={task}")
    page.wait_for_function(_OPENED)
    page.wait_for_timeout(3000)
    page.locator("[data-testid=bottombar-auto-annotation-toggle]").first.click(force=True)
    _draw(page, film)
    [region] = wait(lambda: page.evaluate(_REGIONS))
    assert (region["label"], region["keys"]) == (None, 1)

    followed = _followed(page, film, region["id"])
    assert (followed["id"], followed["label"]) == (region["id"], "rabbit")

    page.keyboard.press("Escape")  # what is selected is blue, whatever its label
    boxes = []
    for index in film.boxes:  # the first, the middle and the last frame
        page.evaluate(f"frame => {_VIDEO}.setFrame(frame)", index + 1)
        page.wait_for_timeout(1200)
        assert shown(page, film) == index
        boxes.append(page.evaluate(_BOX, [region["id"], index + 1]))
        assert iou(boxes[-1], film.boxes[index]) > SNUG
        screenshot = artifacts / f"video-frame-{index:02d}.png"
        keep(page, screenshot)
        assert iou(_outlined(screenshot, page, film), boxes[-1]) > 0.97
    assert iou(boxes[0], boxes[-1]) < SNUG  # one that stays would not do

    with page.expect_response(lambda answer: f"/api/tasks/{task}/annotations" in answer.url) as sent:
        page.click("[data-testid=bottombar-submit-button]")
    assert sent.value.status == 201
    [annotation] = client.call("GET", f"/api/tasks/{task}")["annotations"]
    [stored] = annotation["result"]
    assert stored["value"]["labels"] == ["rabbit"]
    assert worst(stored, film) > SNUG


def test_a_video_that_cannot_be_read_is_a_sentence(
    studio: Studio, shared_backend: Backend, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(2000))
    client = studio.client()
    project, task = project_of(client, Film(tmp_path / "broken.mp4", {}), shared_backend)
    client.retrieve_predictions(project)
    assert [one["result"] for one in client.predictions(project)[task]] == [[]]
    failure = shared_backend.failures(client.uid(project))[task]
    assert "broken.mp4 is no video that can be read" in failure["reason"]
    assert failure["final"]


def test_masks_are_corrected_on_frames_and_joined(
    studio: Studio, labeler: Commands, film: Film, tmp_path: Path
) -> None:
    """A project of frames, two of which are submitted: one as it was carried, one with its mask replaced."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    left, top, w, h = film.boxes[0]
    middle = (left + w / 2) * SIZE[1] / 100, (top + h / 2) * SIZE[0] / 100
    first = np.hypot(x - middle[0], y - middle[1]) < 50
    Image.fromarray(first.astype(np.uint8)).save(tmp_path / "first.png")
    made = labeler.json(
        "frames", "create", film.path, "--every", 11, "--out", tmp_path / "frames", "--labels", "cat",
        "--init", tmp_path / "first.png", "--upload", "--title", "frames of a film", "--size", 224,
    )  # fmt: skip
    client = studio.client()
    project = made["project"]
    tasks = client.tasks(project)
    assert [task["data"]["frame"] for task in tasks] == [0, 11, 22]
    predictions = client.predictions(project)
    for task in (tasks[0], tasks[2]):
        [prediction] = predictions[task["id"]]
        client.annotate(task["id"], prediction["result"])
    picture = client.http.get(tasks[1]["data"]["image"])
    assert picture.status_code == 200

    told = labeler.json(
        "frames", "collect", "--video", film.path, "--ls-project", project, "--out", tmp_path / "tracked",
        "--size", 224,
    )  # fmt: skip
    assert (told["frames"], told["given"], told["objects"]) == (COUNT, [0, 22], [1])
    tracks = json.loads((tmp_path / "tracked" / "tracks.json").read_text())
    assert [one["name"] for one in tracks["categories"]] == ["cat"]
    for number in (5, 16):
        mask = np.asarray(Image.open(tmp_path / "tracked" / "masks" / f"{number:05d}.png")) == 1
        rows, columns = np.nonzero(mask)
        box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        scale = (100 / SIZE[1], 100 / SIZE[0])
        assert iou([side * scale[n % 2] for n, side in enumerate(box)], film.boxes[number]) > FITS


def _draw(page: Page, film: Film) -> None:
    """With the mouse, around the thing on the first frame."""
    left, top = _corner(page, film)
    x, y, w, h = (side * film.size[1 - n % 2] / 100 for n, side in enumerate(film.boxes[0]))
    page.mouse.move(left + x, top + y)
    page.mouse.down()
    page.mouse.move(left + x + w / 2, top + y + h / 2, steps=5)
    page.mouse.move(left + x + w, top + y + h, steps=5)
    page.mouse.up()


def _followed(page: Page, film: Film, region: str) -> Json:
    """Its region, once it was followed to the end: on a busy machine that takes more than one answer."""
    for key in "21212121":  # another label and back asks again
        page.evaluate(_SELECT, region)
        with page.expect_response(
            lambda answer: "interactive-annotating" in answer.url, timeout=120_000
        ) as asked:
            page.keyboard.press(key)  # its label: only that asks the backend
        assert asked.value.status == 200
        page.wait_for_timeout(2000)
        [found] = page.evaluate(_REGIONS)
        assert found["keys"] > 1
        if key == "2" and found["end"] == film.count:
            return dict(found)
    raise AssertionError("it was not followed to the end")


def _corner(page: Page, film: Film) -> tuple[float, float]:
    """Of the video on the screen, where it has its own size and is in the middle of the canvas."""
    left, top, width, height = page.evaluate(_CANVAS)
    return left + (width - film.size[1]) / 2, top + (height - film.size[0]) / 2


def _outlined(screenshot: Path, page: Page, film: Film) -> Box:
    """The box that is drawn on the screen, in percent of the video: by the colour of the second label."""
    pixels = np.asarray(Image.open(screenshot).convert("RGB")).astype(int)
    left, top = _corner(page, film)
    height, width = film.size
    seen = pixels[round(top) : round(top) + height, round(left) : round(left) + width]
    rows, columns = np.nonzero(np.abs(seen - (0xEE, 0x77, 0x33)).max(axis=2) < 12)
    assert len(rows) > 50, "no outline"
    x0, x1 = np.percentile(columns, [1, 99])
    y0, y1 = np.percentile(rows, [1, 99])
    return x0 * 100 / width, y0 * 100 / height, (x1 - x0) * 100 / width, (y1 - y0) * 100 / height
