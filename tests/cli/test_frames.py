"""`labeler frames`: to tasks and back, on a small film, with a backbone of colours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from labeler_backend import cli
from labeler_backend.backbone.features import Features
from labeler_backend.cli import loading
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.masks.shape import to_mask
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal
from labeler_backend.studio.regions import region_to_shape
from tests.studio.fake_studio import TOKEN, FakeStudio, running
from tests.video import moving

COUNT, EVERY = 12, 5


@dataclass(frozen=True)
class Colours:
    """Instead of a model."""

    first: BoolMask
    fingerprint: str = "colours"
    patch: int = 14

    def encode_frame(self, frame: RGB, size: int) -> Features:
        return moving.encode(frame)

    def masks(self, image: RGB) -> list[Proposal]:
        return [Proposal(rle.encode(self.first), 0.9, "made")]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[BoolMask]]:
    """A cat that goes to the right, and where it is."""
    frames, labels = moving.video([[(70, 40 + 8 * t) for t in range(COUNT)]])
    path = moving.film(tmp_path_factory.mktemp("films") / "cat walks.mp4", [frame.image for frame in frames])
    return path, [one == 1 for one in labels]


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch, film: tuple[Path, list[BoolMask]]) -> None:
    monkeypatch.setattr(loading, "load_tracker", lambda *given: Colours(film[1][0]))


@pytest.fixture
def mask(tmp_path: Path, film: tuple[Path, list[BoolMask]]) -> Path:
    path = tmp_path / "first.png"
    Image.fromarray(film[1][0].astype(np.uint8) * 3).save(path)
    return path


@pytest.fixture
def fake() -> Iterator[FakeStudio]:
    with running() as studio:
        yield studio


def run(*words: Any) -> Result:
    return CliRunner().invoke(cli.app, ["frames", *map(str, words)], env={"LABEL_STUDIO_URL": ""})


def create(film: Path, out: Path, *more: Any) -> list[dict[str, Any]]:
    done = run("create", film, "--every", EVERY, "--out", out, *more)
    assert done.exit_code == 0, done.output
    tasks: list[dict[str, Any]] = json.loads((out / "tasks.json").read_text())
    return tasks


def drawn(task: dict[str, Any]) -> BoolMask:
    [region] = task["predictions"][0]["result"]
    return to_mask(region_to_shape(region))


@pytest.mark.parametrize("kind", ["polygon", "brush"])
def test_every_nth_frame_is_a_task_with_what_was_carried_to_it(
    film: tuple[Path, list[BoolMask]], mask: Path, tmp_path: Path, kind: str
) -> None:
    path, truth = film
    out = tmp_path / "my frames"
    tasks = create(path, out, "--init", mask, "--labels", "cat", "--kind", kind)
    assert [task["data"]["frame"] for task in tasks] == [0, 5, 10]
    for task in tasks:
        number = task["data"]["frame"]
        assert task["data"]["video"] == "cat walks.mp4"
        prefix = "/data/local-files/?d=my%20frames/images/"
        assert task["data"]["image"] == f"{prefix}cat%20walks/{number:06d}.jpg"
        picture = cv2.imread(str(out / "images" / "cat walks" / f"{number:06d}.jpg"))
        assert picture is not None
        assert picture.shape[:2] == moving.SIZE
        assert iou(drawn(task), truth[number]) > 0.75
        [region] = task["predictions"][0]["result"]
        assert (region["type"], region["meta"]) == (f"{kind}labels", {"text": ["track: 3"]})
        assert region["value"][region["type"]] == ["cat"]
    assert [label.get("value") for label in ET.parse(out / "config.xml").iter("Label")] == ["cat"]
    again = create(path, out, "--init", mask, "--labels", "cat", "--kind", kind, "--overwrite")
    assert again == tasks


def test_without_a_mask_proposals_of_the_first_frame_are_carried(
    film: tuple[Path, list[BoolMask]], tmp_path: Path
) -> None:
    tasks = create(film[0], tmp_path / "out", "--image-prefix", "http://host/")
    assert tasks[2]["data"]["image"] == "http://host/cat%20walks/000010.jpg"
    assert iou(drawn(tasks[2]), film[1][10]) > 0.7


def test_corrected_frames_become_tracks(
    film: tuple[Path, list[BoolMask]], mask: Path, tmp_path: Path
) -> None:
    """Of three tasks two are submitted: one as it was, one with a second object drawn by hand."""
    path, truth = film
    tasks = create(path, tmp_path / "frames", "--init", mask, "--labels", "cat")
    corner = {"type": "polygonlabels", "from_name": "polygon", "to_name": "image"}
    corner |= {"id": "new", "original_width": moving.SIZE[1], "original_height": moving.SIZE[0]}
    corner["value"] = {
        "points": [[0, 80], [10, 80], [10, 100], [0, 100]],
        "polygonlabels": ["dog"],
        "closed": True,
    }
    export = [{"id": n, **task} for n, task in enumerate(tasks, 1)]
    for task, more in ((export[0], [corner]), (export[2], [])):
        result = [*task["predictions"][0]["result"], *more]
        task["annotations"] = [{"id": 1, "result": result, "was_cancelled": False, "completed_by": 1}]
    source = tmp_path / "export.json"
    source.write_text(json.dumps([task for task in export if "annotations" in task]))

    out = tmp_path / "tracked"
    done = run("collect", source, path, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["frames"], told["given"], told["objects"]) == (COUNT, [0, 10], [1, 3])
    for number in range(COUNT):
        labels = np.asarray(Image.open(out / "masks" / f"{number:05d}.png"))
        assert iou(labels == 3, truth[number]) > 0.7, number
    assert json.loads((out / "objects.json").read_text()) == {
        "1": {"track": None, "label": "dog"},
        "3": {"track": "3", "label": "cat"},
    }
    tracks = json.loads((out / "tracks.json").read_text())
    assert [one["name"] for one in tracks["categories"]] == ["dog", "cat"]
    assert (out / "tracks.txt").read_text().startswith("1,1,")
    assert (out / "overlay.mp4").stat().st_size > 0


def test_it_makes_the_project_too(
    film: tuple[Path, list[BoolMask]], mask: Path, tmp_path: Path, fake: FakeStudio
) -> None:
    create(
        film[0],
        tmp_path / "out",
        "--init",
        mask,
        "--upload",
        "--url",
        fake.url,
        "--token",
        TOKEN,
        "--title",
        "t",
    )
    [project] = fake.projects.values()
    assert project["title"] == "t.."
    assert "PolygonLabels" in project["label_config"]
    tasks = list(fake.tasks.values())
    assert [task["data"]["frame"] for task in tasks] == [0, 5, 10]
    for task in tasks:
        path = tmp_path / "out" / "images" / "cat walks" / f"{task['data']['frame']:06d}.jpg"
        assert fake.files[task["data"]["image"]] == path.read_bytes()
    assert [made["task"] for made in fake.predictions] == [1, 2, 3]
    assert project["model_version"].endswith("-frames")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param(["create", "none.mp4", "--every", 5, "--out", "o"], "none.mp4", id="no video"),
        pytest.param(
            ["create", "FILM", "--every", 5, "--out", "o", "--init", "none.png"], "none.png", id="no mask"
        ),
        pytest.param(
            ["create", "FILM", "--every", 5, "--out", "o", "--keyframe", "x"],
            "--keyframe x is not",
            id="keyframe",
        ),
        pytest.param(
            ["create", "FILM", "--every", 5, "--out", "o", "--upload"], "--url", id="no Label Studio"
        ),
        pytest.param(["collect", "none.json", "FILM", "--out", "o"], "none.json", id="no export"),
        pytest.param(["collect", "FILM", "--out", "o"], "VIDEO is missing", id="no video to collect for"),
        pytest.param(
            ["collect", "none.json", "FILM", "--out", "o", "--resume", "--overwrite"], "contradict", id="both"
        ),
    ],
)
def test_bad_input_is_one_sentence(
    film: tuple[Path, list[BoolMask]], tmp_path: Path, monkeypatch: Any, words: list[Any], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*(film[0] if word == "FILM" else word for word in words))
    assert done.exit_code == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
