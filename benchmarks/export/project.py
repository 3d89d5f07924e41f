"""A project with every region type in a running Label Studio, and what is truly in its pictures."""

from __future__ import annotations

import io
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from scipy import ndimage

from benchmarks.export.drawing import KINDS, BoolMask, Drawn, draw
from benchmarks.ground_truth import samples

Json = dict[str, Any]
RGB = npt.NDArray[np.uint8]

LABELS = ("apple", "pear", "plum", "quince")
LONG_SIDE = 900  # of a picture; the data sets' are larger than the question needs
SMALLEST = 400  # pixels of an object: below that half a pixel on the border decides the IoU
MOST = 16  # objects of one picture
STORED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
ORIENTATIONS = (1, 6, 1, 3, 8)
ROLES = (  # what happens to a task, in turn
    "one annotator",
    "two annotators",
    "one annotator",
    "ground truth first",
    "skipped by another",
    "one annotator",
    "skipped",
    "two annotators",
    "empty",
    "one annotator",
    "untouched",
)
_TAGS = ("Polygon", "Brush", "Bitmask", "Rectangle", "Ellipse", "Vector")


@dataclass(frozen=True)
class Picture:
    """An upright picture and its objects, each (H, W) bool."""

    name: str
    pixels: RGB
    objects: Sequence[BoolMask]


@dataclass(frozen=True)
class TrueInstance:
    """One object as it was drawn last, or as the ground truth."""

    kind: str
    label: str
    area: BoolMask


@dataclass(frozen=True)
class TrueImage:
    """What an export has to say of one picture.

    Attributes:
        name: of the file as it was uploaded; Label Studio writes eight characters and a dash before it.
        size: (H, W) upright.
    """

    name: str
    size: tuple[int, int]
    instances: tuple[TrueInstance, ...]


@dataclass(frozen=True)
class Annotation:
    """What one annotator submits, in this order."""

    result: Sequence[Json]
    annotator: int = 0
    ground_truth: bool = False
    skipped: bool = False


@dataclass(frozen=True)
class Task:
    """One task: files (name → bytes), its annotations from the oldest on, and what is true of its files."""

    files: dict[str, bytes]
    annotations: Sequence[Annotation]
    truth: Sequence[TrueImage] = field(default_factory=tuple)


# --- pictures ---------------------------------------------------------------------------------------------


def pictures_in(data: Path, each: int) -> Iterator[Picture]:
    """`each` pictures of every data set below `data`, in turn."""
    folders = sorted(folder for folder in data.iterdir() if folder.is_dir())
    shelves = [list(islice(_pictures_of(folder), each)) for folder in folders]
    for row in range(each):
        yield from (shelf[row] for shelf in shelves if row < len(shelf))


def _pictures_of(folder: Path) -> Iterator[Picture]:
    for n, sample in enumerate(samples(folder, frames=1)):
        image = ImageOps.exif_transpose(Image.open(sample.image)).convert("RGB")
        image.thumbnail((LONG_SIDE, LONG_SIDE))
        size = (image.width, image.height)
        masks = [
            cv2.resize(m.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0 for m in sample.objects
        ]
        if image.width == image.height:  # which would hide a mix-up of the sides
            image = image.crop((0, 0, image.width * 3 // 4, image.height))
            masks = [m[:, : image.width] for m in masks]
        masks = sorted((m for m in masks if m.sum() >= SMALLEST), key=lambda m: -int(m.sum()))[:MOST]
        if masks:
            yield Picture(f"{folder.name}-{n:03}.jpg", np.asarray(image), masks)


def stored(pixels: RGB, orientation: int) -> bytes:
    """A JPEG whose EXIF tag says how to turn it upright."""
    image, turn = Image.fromarray(pixels), STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    (image.transpose(turn) if turn is not None else image).save(out, "JPEG", quality=92, exif=exif.tobytes())
    return out.getvalue()


# --- what is drawn ----------------------------------------------------------------------------------------


def image_config(*, key_points: bool = True, pages: bool = False) -> str:
    """A labelling config with every tag that marks areas, and the clicks of a smart tool."""
    labels = "".join(f'<Label value="{label}"/>' for label in LABELS)
    tags = "".join(f'<{t}Labels name="{t.lower()}" toName="image">{labels}</{t}Labels>' for t in _TAGS)
    clicks = f'<KeyPointLabels name="keypoint" toName="image" smart="true">{labels}</KeyPointLabels>'
    source = 'valueList="$pages"' if pages else 'value="$image"'
    return (
        f'<View><Image name="image" {source} smoothing="false"/>{tags}{clicks if key_points else ""}</View>'
    )


def image_tasks(pictures: Iterable[Picture], *, key_points: bool = True) -> Iterator[Task]:
    """One task per picture: every region type, EXIF tag and history in turn."""
    kinds = cycle(KINDS)
    for n, (picture, role) in enumerate(zip(pictures, cycle(ROLES), strict=False)):
        drawn = drawings(picture, kinds, n)
        size = (picture.pixels.shape[0], picture.pixels.shape[1])
        result = [region(one, label, size) for one, label in drawn]
        if key_points and role != "empty":
            result += leftovers(drawn, size)
        coarse = [region(_coarse(one), label, size) for one, label in drawn]
        annotations = history(role, result, coarse)
        instances = (
            () if role == "empty" else tuple(TrueInstance(o.kind, label, o.area) for o, label in drawn)
        )
        truth = [] if role in ("skipped", "untouched") else [TrueImage(picture.name, size, instances)]
        files = {picture.name: stored(picture.pixels, ORIENTATIONS[n % len(ORIENTATIONS)])}
        yield Task(files, annotations, truth)


def page_tasks(pictures: Sequence[Picture], pages: int = 3) -> Iterator[Task]:
    """Tasks of several pages each, drawn on by one annotator."""
    kinds = cycle(KINDS)
    for start in range(0, len(pictures) - pages + 1, pages):
        files, truth, result = {}, [], []
        for page, picture in enumerate(pictures[start : start + pages]):
            size = (picture.pixels.shape[0], picture.pixels.shape[1])
            drawn = drawings(picture, kinds, page)
            result += [region(one, label, size) | {"item_index": page} for one, label in drawn]
            files[picture.name] = stored(picture.pixels, ORIENTATIONS[(start + page) % len(ORIENTATIONS)])
            instances = tuple(TrueInstance(one.kind, label, one.area) for one, label in drawn)
            truth.append(TrueImage(picture.name, size, instances))
        yield Task(files, [Annotation(result)], truth)


def drawings(picture: Picture, kinds: Iterator[str], first: int) -> list[tuple[Drawn, str]]:
    """Its objects, each drawn with the next tool that can draw it, and their labels."""
    found = []
    for n, mask in enumerate(picture.objects):
        for kind in islice(kinds, len(KINDS)):
            if (drawn := draw(kind, mask)) is not None:
                found.append((drawn, LABELS[(first + n) % len(LABELS)]))
                break
    return found


def region(drawn: Drawn, label: str, size: tuple[int, int]) -> Json:
    """An item of a result, as the editor submits it."""
    return {
        "id": secrets.token_urlsafe(8)[:10],
        "type": drawn.type,
        "from_name": drawn.type.removesuffix("labels"),
        "to_name": "image",
        "original_width": size[1],
        "original_height": size[0],
        "image_rotation": 0,
        "origin": "manual",
        "value": {**drawn.value, drawn.type: [label]},
    }


def leftovers(drawn: Sequence[tuple[Drawn, str]], size: tuple[int, int]) -> list[Json]:
    """What clicks with a smart tool leave behind: a point, and the area once more under the tag of the point.

    (The second happens where the label of the smart tool is still chosen as a suggestion is accepted.)
    """
    one, label = drawn[0]
    y, x = (float(v) for v in ndimage.center_of_mass(one.area))
    click = {"x": 100 * x / size[1], "y": 100 * y / size[0], "width": 0.3}
    point = region(Drawn("click", "keypointlabels", click, one.area), label, size) | {"is_positive": True}
    outlined = next((d for d, _ in drawn if d.type == "polygonlabels"), None)
    if outlined is None:
        return [point]
    return [point, region(Drawn("stray", "keypointlabels", outlined.value, outlined.area), label, size)]


def history(role: str, result: Sequence[Json], coarse: Sequence[Json]) -> list[Annotation]:
    """The annotations of a task, from the oldest on; `result` is what is true in the end."""
    if role == "two annotators":
        return [Annotation(coarse, annotator=1), Annotation(result)]
    if role == "ground truth first":
        return [Annotation(result, ground_truth=True), Annotation(coarse, annotator=1)]
    if role == "skipped by another":
        return [Annotation(result), Annotation(coarse, annotator=1, skipped=True)]
    if role == "skipped":
        return [Annotation(result, skipped=True)]
    if role == "empty":
        return [Annotation([])]
    return [] if role == "untouched" else [Annotation(result)]


def _coarse(drawn: Drawn) -> Drawn:
    """Somebody else's, who is less careful: with the same tool, a few pixels outside."""
    grown = ndimage.binary_dilation(drawn.area, iterations=4)
    tool = "brush" if drawn.type == "brushlabels" else drawn.kind
    return draw(tool, grown) or drawn


# --- into Label Studio ------------------------------------------------------------------------------------


class Server:
    """A running Label Studio and two of its users, of whom the second is made here."""

    def __init__(self, url: str, token: str) -> None:
        """`token`: a legacy one, of a user who may invite others."""
        self.url, self.token = url.rstrip("/"), token
        first = httpx.Client(
            base_url=self.url, timeout=300, headers={"Authorization": f"Token {token}"}, trust_env=False
        )
        self.users = (first, _second_user(self.url, first))

    def call(self, method: str, path: str, user: int = 0, **more: Any) -> Any:
        """The JSON of the answer; SystemExit with a sentence where it is an error."""
        answer = self.users[user].request(method, path, **more)
        if answer.is_error:
            raise SystemExit(f"{self.url}{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def build(self, title: str, config: str, tasks: Iterable[Task], key: str = "image") -> int:
        """A new project with these tasks → its id.

        Args:
            title: of the project.
            config: its labelling config.
            tasks: are annotated in their order.
            key: of the task's data; with `pages` it holds a list.
        """
        made = self.call("POST", "/api/projects", json={"title": title, "label_config": config})
        project = int(made["id"])
        for task in tasks:
            urls = [self.upload(project, name, data) for name, data in task.files.items()]
            data = {key: urls if key == "pages" else urls[0]}
            path = f"/api/projects/{project}/import?return_task_ids=true"
            task_id = self.call("POST", path, json=[{"data": data}])["task_ids"][0]
            for one in task.annotations:
                self.annotate(task_id, one)
        return project

    def version(self) -> str:
        """Of Label Studio."""
        return str(self.call("GET", "/api/version")["release"])

    def upload(self, project: int, name: str, data: bytes) -> str:
        """One file, of which no task is made → its URL in a task's data."""
        path = f"/api/projects/{project}/import?commit_to_project=false"
        kind = "video/mp4" if name.endswith(".mp4") else "image/jpeg"
        ids = self.call("POST", path, files={name: (name, data, kind)})["file_upload_ids"]
        return "/data/" + str(self.call("GET", f"/api/import/file-upload/{ids[0]}")["file"])

    def annotate(self, task: int, one: Annotation) -> None:
        """Submit it as its annotator."""
        body = {
            "result": list(one.result),
            "was_cancelled": one.skipped,
            "ground_truth": one.ground_truth,
            "lead_time": 7.5,
        }
        self.call("POST", f"/api/tasks/{task}/annotations/", user=one.annotator, json=body)

    def export(self, project: int, kind: str, **query: str) -> httpx.Response:
        """What Label Studio itself answers, whatever it is."""
        query = {"exportType": kind, **query}
        return self.users[0].get(f"/api/projects/{project}/export", params=query)

    def save_json(self, project: int, path: Path) -> Path:
        """The project's JSON export."""
        answer = self.export(project, "JSON")
        if answer.is_error:
            raise SystemExit(
                f"{self.url}: the JSON export of project {project} answered {answer.status_code}."
            )
        json.loads(answer.content)
        path.write_bytes(answer.content)
        return path


def _second_user(url: str, first: httpx.Client) -> httpx.Client:
    """Signed up with an invitation, as a colleague is."""
    invitation = first.get("/api/invite").raise_for_status().json()["invite_url"]
    client = httpx.Client(base_url=url, timeout=300, follow_redirects=True, trust_env=False)
    page = client.get(invitation).raise_for_status().text
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    form = {
        "csrfmiddlewaretoken": found.group(1) if found else "",
        "email": f"second-{secrets.token_hex(4)}@example.com",
        "password": secrets.token_urlsafe(12),
        "allow_newsletters": "false",
    }
    client.post(invitation, data=form, headers={"Referer": url}).raise_for_status()
    who = client.get("/api/current-user/whoami")
    if who.is_error:
        raise SystemExit(f"{url}: a second user could not be signed up; is signing up by invitation allowed?")
    client.headers.update({"X-CSRFToken": client.cookies["csrftoken"], "Referer": url})
    return client
