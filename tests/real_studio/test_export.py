"""`labeler export` on projects of the real Label Studio: everything drawn comes out, as it was drawn."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from benchmarks.export.drawing import KINDS, draw
from benchmarks.export.outputs import read_coco_folder, read_yolo_folder
from benchmarks.export.project import (
    LABELS,
    Annotation,
    Picture,
    Server,
    Task,
    TrueImage,
    TrueInstance,
    image_config,
    image_tasks,
    page_tasks,
    region,
    stored,
)
from benchmarks.export.scoring import Score, score
from benchmarks.export.video import (
    CONFIG,
    Clip,
    Seen,
    box_iou,
    clip_of,
    interpolated,
    read_mot,
    read_youtube_vis,
    video_task,
)

from .backend import ROOT
from .commands import Commands
from .studio import LEGACY_TOKEN, Studio

EXAMPLES = sorted((ROOT / "examples" / "images").glob("*.jpg"))
SMALLEST = 600  # pixels of an object
FRAMES = 30


@dataclass(frozen=True)
class Project:
    """A project of the real Label Studio, and what is true of it."""

    id: int
    tasks: Sequence[Task]

    @property
    def truth(self) -> list[TrueImage]:
        return [image for task in self.tasks for image in task.truth]


@pytest.fixture(scope="module")
def server(studio: Studio) -> Server:
    """The real Label Studio with a second user."""
    return Server(studio.url, LEGACY_TOKEN)


@pytest.fixture(scope="module")
def labeler(tmp_path_factory: pytest.TempPathFactory, studio: Studio) -> Commands:
    """Without a model: exporting needs none."""
    folder = tmp_path_factory.mktemp("labeler")
    return Commands(folder / "data", folder / "cache", studio, LEGACY_TOKEN)


def pictures(count: int) -> list[Picture]:
    """Photographs and cut-outs of them, none square, with what is bright or dark in them as objects."""
    found = []
    for n in range(count):
        image = Image.open(EXAMPLES[n % len(EXAMPLES)]).convert("RGB")
        image.thumbnail((360, 360))
        share = (0.8, 0.6, 0.7)[n // len(EXAMPLES) % 3]
        image = image.crop((0, 0, image.width, int(image.height * share)))
        pixels = np.asarray(image)
        grey = cv2.GaussianBlur(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (0, 0), 3)
        bright = grey > np.median(grey)
        blobs = [m for side in (bright, ~bright) for m in components(side) if m.sum() >= SMALLEST]
        found.append(Picture(f"picture{n:02}.jpg", pixels, sorted(blobs, key=lambda m: -m.sum())[:3]))
    return found


def components(mask: Any) -> list[Any]:
    labels, count = ndimage.label(mask)
    return [labels == k for k in range(1, count + 1)]


@pytest.fixture(scope="module")
def everything(server: Server) -> Project:
    """Every region type, EXIF tag and history."""
    tasks = list(image_tasks(pictures(14)))
    project = Project(server.build("everything", image_config(), tasks), tasks)
    assert {one.kind for image in project.truth for one in image.instances} == set(KINDS)
    return project


@pytest.fixture(scope="module")
def coco(everything: Project, labeler: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported from the live project."""
    out = tmp_path_factory.mktemp("export") / "coco"
    labeler.run("export", "--ls-project", everything.id, "--media", "copy", "--out", out)
    return out


def assert_whole(result: Score, mean: float = 0.98) -> None:
    assert not result.trouble
    assert result.all.kept == result.all.true
    assert result.all.mean >= mean, result.as_json()
    assert result.surplus == result.wrong_labels == 0
    assert result.twice == result.missing == result.wrong_sizes == 0


def test_everything_is_there(everything: Project, coco: Path) -> None:
    result = score(everything.truth, read_coco_folder(coco, everything.truth))
    assert_whole(result)
    assert result.lost_files == 0
    for kind in ("brush", "brush with a hole", "brush in several blobs", "bitmask"):
        assert result.kinds[kind].mean == 1, kind


def test_copied_photographs_are_upright(everything: Project, coco: Path) -> None:
    """Also for programs that know nothing of EXIF."""
    rows = json.loads((coco / "annotations.json").read_text())["images"]
    assert len(rows) == len(everything.truth)
    for row in rows:
        paths = [coco / row["file_name"], coco / "images" / row["file_name"]]
        with Image.open(next(p for p in paths if p.is_file())) as image:
            assert image.size == (row["width"], row["height"])
            assert image.getexif().get(0x0112, 1) == 1


def test_what_clicks_left_behind_is_reported(everything: Project, coco: Path) -> None:
    report = json.loads((coco / "export_report.json").read_text())
    told = {problem.get("region_id") for problem in report["problems"]}
    left = {
        one["id"]
        for task in everything.tasks
        for annotation in task.annotations
        if not annotation.skipped
        for one in annotation.result
        if one["type"] == "keypointlabels"
    }
    assert left
    assert left <= told


def test_strict(everything: Project, labeler: Commands, tmp_path: Path) -> None:
    labeler.run("export", "--ls-project", everything.id, "--strict", "--out", tmp_path / "out", code=1)
    assert (tmp_path / "out" / "annotations.json").is_file()


def test_the_json_export_gives_the_same(
    everything: Project, server: Server, labeler: Commands, coco: Path, tmp_path: Path
) -> None:
    file = server.save_json(everything.id, tmp_path / "export.json")
    labeler.run("export", file, "--images", coco / "images", "--out", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(coco)


def contents(folder: Path) -> list[tuple[Any, ...]]:
    """What a COCO file says of each instance, and of each picture."""
    coco = json.loads((folder / "annotations.json").read_text())
    names = {row["id"]: Path(row["file_name"]).name for row in coco["images"]}
    labels = {row["id"]: row["name"] for row in coco["categories"]}
    images = [(row["id"], names[row["id"]], row["height"], row["width"]) for row in coco["images"]]
    instances = [
        (names[one["image_id"]], labels[one["category_id"]], one["bbox"], one["area"], one["segmentation"])
        for one in coco["annotations"]
    ]
    return sorted(images) + sorted(instances, key=str)


def test_yolo(everything: Project, labeler: Commands, tmp_path: Path) -> None:
    out = tmp_path / "yolo"
    labeler.run("export", "--ls-project", everything.id, "--format", "yolo", "--out", out)
    result = score(everything.truth, read_yolo_folder(out, everything.truth))
    assert_whole(result, mean=0.95)
    assert result.lost_files == 0


def test_masks(everything: Project, labeler: Commands, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    labeler.run("export", "--ls-project", everything.id, "--format", "masks", "--out", out)
    lines = (out / "instances.jsonl").read_text().splitlines()
    assert len(lines) == len(everything.truth)
    legend = json.loads((out / "legend.json").read_text())
    assert all(label in json.dumps(legend) for label in LABELS)
    assert list(out.rglob("*.png"))


def test_pages(server: Server, labeler: Commands, tmp_path: Path) -> None:
    tasks = list(page_tasks(pictures(3)))
    project = Project(
        server.build("pages", image_config(key_points=False, pages=True), tasks, "pages"), tasks
    )
    labeler.run("export", "--ls-project", project.id, "--media", "copy", "--out", tmp_path / "out")
    result = score(project.truth, read_coco_folder(tmp_path / "out", project.truth))
    assert_whole(result)
    assert result.lost_files == 0


# --- two annotators ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disputed(server: Server) -> Project:
    """One object that both drew, one that only the first drew."""
    both, one = np.zeros((120, 200), bool), np.zeros((120, 200), bool)
    both[20:80, 20:70], one[30:100, 110:180] = True, True
    pixels = np.full((120, 200, 3), 80, np.uint8)
    drawn = [draw("brush", both), draw("brush", one)]
    first = [region(d, "apple", both.shape) for d in drawn if d]
    second = [region(d, "apple", both.shape) for d in drawn[:1] if d]
    truth = TrueImage("disputed.jpg", both.shape, (TrueInstance("brush", "apple", both),))
    files = {"disputed.jpg": stored(pixels, 1)}
    tasks = [Task(files, [Annotation(first), Annotation(second, annotator=1)], [truth])]
    return Project(server.build("disputed", image_config(), tasks), tasks)


def test_consensus(disputed: Project, labeler: Commands, tmp_path: Path) -> None:
    out = tmp_path / "out"
    labeler.run("export", "--ls-project", disputed.id, "--annotations", "consensus", "--out", out)
    assert_whole(score(disputed.truth, read_coco_folder(out, disputed.truth)), mean=1.0)


def test_per_annotator(disputed: Project, labeler: Commands, tmp_path: Path) -> None:
    out = tmp_path / "out"
    labeler.run("export", "--ls-project", disputed.id, "--annotations", "per-annotator", "--out", out)
    files = sorted(out.glob("*/annotations.json"))
    counts = [len(json.loads(file.read_text())["annotations"]) for file in files]
    assert sorted(counts) == [1, 2]


# --- interrupted ------------------------------------------------------------------------------------------


def test_killed_midway(everything: Project, labeler: Commands, coco: Path, tmp_path: Path) -> None:
    """Nothing that looks finished is left, and the next run ends as if nothing had happened."""
    out = tmp_path / "out"
    arguments = ("export", "--ls-project", everything.id, "--media", "copy", "--out", out)
    process = labeler.start(*arguments)
    end = time.monotonic() + 60
    while process.poll() is None and not list(tmp_path.glob(".out*.part")):
        assert time.monotonic() < end
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.communicate()
    assert not out.exists()
    labeler.run(*arguments)
    assert contents(out) == contents(coco)
    assert os.listdir(tmp_path) == ["out"]


# --- videos -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Something that moves over a photograph."""
    background = Image.open(EXAMPLES[0]).convert("RGB").resize((240, 160))
    y, x = np.mgrid[:160, :240] + 0.5
    masks = [(x - 60 - 4 * n) ** 2 + (y - 50 - 2 * n) ** 2 < 30**2 for n in range(FRAMES)]
    frames = [Image.fromarray(np.where(m[..., None], 255, background).astype(np.uint8)) for m in masks]
    return clip_of("ball.mp4", frames, masks)


@pytest.fixture(scope="module")
def filmed(server: Server, clip: Clip) -> int:
    """A project with one video and two tracks, one of which goes away and comes back."""
    return server.build("film", CONFIG, [video_task(clip, FRAMES)], "video")


@pytest.mark.parametrize(
    ("format_", "read", "tolerance"),
    [
        pytest.param("mot", read_mot, 0.02, id="mot"),
        pytest.param("youtube-vis", read_youtube_vis, 0.06, id="youtube-vis"),
    ],
)
def test_videos(
    server: Server,
    filmed: int,
    clip: Clip,
    labeler: Commands,
    tmp_path: Path,
    format_: str,
    read: Any,
    tolerance: float,
) -> None:
    """The boxes are where Label Studio itself puts them between the key frames."""
    labeler.run("export", "--ls-project", filmed, "--format", format_, "--out", tmp_path / "out")
    found, theirs = list(read(tmp_path / "out")), list(interpolated(server, filmed, clip.size))
    assert len({one.track for one in found}) == 2
    for frame in (1, 5, 13, 20, FRAMES - 1):
        ours, expected = at(found, frame), at(theirs, frame)
        assert len(ours) == len(expected) > 0, frame
        assert all(box_iou(a.box, b.box) > 1 - tolerance for a, b in zip(ours, expected, strict=True)), frame


def at(seen: Sequence[Seen], frame: int) -> list[Seen]:
    """The boxes of one frame, the largest first."""
    return sorted((one for one in seen if one.frame == frame), key=lambda one: -one.box[2])


# --- and back ---------------------------------------------------------------------------------------------


def test_coco_as_predictions(
    everything: Project, server: Server, labeler: Commands, coco: Path, tmp_path: Path
) -> None:
    """COCO → tasks with predictions → the real Label Studio → COCO: the same masks."""
    tasks = tmp_path / "tasks"
    labeler.run("export", coco / "annotations.json", "--format", "label-studio", "--out", tasks)
    config = (tasks / "config.xml").read_text()
    project = server.call("POST", "/api/projects", json={"title": "predicted", "label_config": config})["id"]
    imported = json.loads((tasks / "tasks.json").read_text())
    assert sum(bool(task["predictions"]) for task in imported) >= len(everything.truth) - 2
    server.call("POST", f"/api/projects/{project}/import", json=imported)
    out = tmp_path / "out"
    labeler.run("export", "--ls-project", project, "--predictions", "only", "--out", out)
    truth = [image for image in everything.truth if image.instances]
    result = score(truth, read_coco_folder(out, truth))
    assert result.all.kept == result.all.true
    assert result.all.mean >= 0.98
    assert result.wrong_labels == result.surplus == result.twice == result.wrong_sizes == 0
