"""`labeler masks` as a person runs it, in a process of its own, with the real model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pycocotools.coco import COCO

from labeler_backend.backbone.weights import WeightsLocation
from labeler_backend.masks.metrics import iou
from tests.conftest import EXAMPLES

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("dinov2_small")]


def command(*inputs: Path, out: Path, more: tuple[str, ...] = ()) -> list[str]:
    words = [sys.executable, "-m", "labeler_backend.cli", "masks", *map(str, inputs), "--out", str(out)]
    return [*words, "--device", "cpu", "--no-cache", *more]


def environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1"}


def labeler_masks(*inputs: Path, out: Path, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """Runs it to its end; what --json prints."""
    done = subprocess.run(
        [*command(*inputs, out=out, more=more), "--json"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def annotations(out: Path) -> bytes:
    """annotations.json without its date."""
    return re.sub(rb'"date_created": "[^"]*"', b"", (out / "annotations.json").read_bytes())


def loaded(out: Path) -> COCO:
    return COCO(str(out / "annotations.json"))


@pytest.fixture(scope="module")
def examples(dinov2_small: WeightsLocation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` makes."""
    out = tmp_path_factory.mktemp("demo") / "out"
    summary = labeler_masks(EXAMPLES, out=out)
    assert (summary["images"], summary["done"], summary["failed"]) == (7, 7, 0)
    return out


def test_every_image_has_a_row_and_proposals(examples: Path) -> None:
    coco = loaded(examples)
    rows = {row["file_name"]: row for row in coco.imgs.values()}
    assert sorted(rows) == sorted(path.name for path in EXAMPLES.iterdir())
    for name, row in rows.items():
        with Image.open(EXAMPLES / name) as image:
            assert (row["width"], row["height"]) == image.size
        found = coco.imgToAnns[row["id"]]
        assert 1 <= len(found) <= 20
        scores = [a["score"] for a in found]
        assert scores == sorted(scores, reverse=True)
        assert 0 <= scores[-1] <= scores[0] <= 1
    assert (examples / "failures.jsonl").read_text() == ""
    assert (examples / "report.html").stat().st_size > 0
    assert len(list((examples / "overlays").iterdir())) == len(rows)


def test_areas_and_boxes_are_those_of_the_masks(examples: Path) -> None:
    coco = loaded(examples)
    assert coco.anns
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        tight = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
        assert annotation["area"] == mask.sum() > 0
        assert annotation["bbox"] == tight


def test_pngs_show_the_masks_that_nothing_better_covers(examples: Path) -> None:
    coco = loaded(examples)
    for row in coco.imgs.values():
        png = cv2.imread(str(examples / "masks" / f"{row['file_name']}.png"), cv2.IMREAD_UNCHANGED)
        assert png.dtype == np.uint16
        assert png.shape == (row["height"], row["width"])
        taken = np.zeros(png.shape, bool)
        for number, annotation in enumerate(coco.imgToAnns[row["id"]], 1):
            mask = coco.annToMask(annotation).astype(bool)
            np.testing.assert_array_equal(png == number, mask & ~taken)
            taken |= mask
        np.testing.assert_array_equal(png > 0, taken)


def test_kill_9_and_resume_end_as_an_uninterrupted_run(examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(EXAMPLES, out=out, more=("--batch-size", "1")),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while len(list((out / "masks").glob("[!.]*"))) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL  # it was still at work
    assert not (out / "annotations.json").exists()
    summary = labeler_masks(EXAMPLES, out=out, more=("--resume",))
    assert (summary["images"], summary["done"], summary["failed"]) == (7, 7, 0)
    assert summary["now"] < 7  # what was finished was not done again
    assert annotations(out) == annotations(examples)
    for png in (examples / "masks").iterdir():
        assert (out / "masks" / png.name).read_bytes() == png.read_bytes()
    assert not list(out.rglob("*.part"))


INVERSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera stores a picture whose EXIF tag says so."""


def test_exif_rotated_copies_get_the_same_masks(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with Image.open(EXAMPLES / "coffee.jpg") as image:
        upright = image.convert("RGB").resize((300, 200))
    upright.save(folder / "1.png")
    for tag, inverse in INVERSE.items():
        exif = Image.Exif()
        exif[0x0112] = tag
        upright.transpose(inverse).save(folder / f"{tag}.png", exif=exif)
    labeler_masks(folder, out=tmp_path / "out", more=("--size", "224"))
    coco = loaded(tmp_path / "out")
    found = {}
    for row in coco.imgs.values():
        assert (row["width"], row["height"]) == (300, 200), row["file_name"]
        found[row["file_name"]] = [
            {key: value for key, value in a.items() if key not in ("id", "image_id")}
            for a in coco.imgToAnns[row["id"]]
        ]
    assert len(found) == 8
    assert found["1.png"]
    assert all(masks == found["1.png"] for masks in found.values())


def points(annotation: dict[str, Any]) -> int:
    return sum(len(ring) // 2 for ring in annotation["segmentation"])


def test_polygons(examples: Path, tmp_path: Path) -> None:
    most = 20
    names = ("cat.jpg", "coffee.jpg")
    given = [EXAMPLES / name for name in names]
    labeler_masks(*given, out=tmp_path / "out", more=("--polygons", "--max-points", str(most)))
    coco, masks = loaded(tmp_path / "out"), loaded(examples)
    exact = {row["file_name"]: masks.imgToAnns[row["id"]] for row in masks.imgs.values()}
    overlaps = []
    for row in coco.imgs.values():
        found = coco.imgToAnns[row["id"]]
        assert len(found) == len(exact[row["file_name"]])
        for annotation, rle in zip(found, exact[row["file_name"]], strict=True):
            assert annotation["score"] == rle["score"]
            assert points(annotation) <= most
            xy = np.concatenate([np.reshape(ring, (-1, 2)) for ring in annotation["segmentation"]])
            assert (xy >= 0).all()
            assert (xy <= (row["width"], row["height"])).all()
            drawn: npt.NDArray[np.uint8] = coco.annToMask(annotation)
            assert annotation["area"] == drawn.sum()
            overlaps.append(iou(drawn.astype(bool), masks.annToMask(rle).astype(bool)))
    assert np.median(overlaps) > 0.93


def test_two_runs_write_the_same_bytes_and_keep_the_limits(tmp_path: Path) -> None:
    given = [EXAMPLES / name for name in ("astronaut.jpg", "coffee.jpg")]
    more = ("--size", "224", "--max-proposals", "3", "--min-score", "0.2", "--polygons", "--no-overlays")
    labeler_masks(*given, out=tmp_path / "one", more=more)
    labeler_masks(*given, out=tmp_path / "two", more=(*more, "--batch-size", "1"))
    assert annotations(tmp_path / "one") == annotations(tmp_path / "two")
    coco = loaded(tmp_path / "one")
    assert min(a["score"] for a in coco.anns.values()) >= 0.2
    assert max(points(a) for a in coco.anns.values()) <= 60
    assert max(len(coco.imgToAnns[image_id]) for image_id in coco.imgs) == 3
    assert not (tmp_path / "one" / "overlays").exists()
