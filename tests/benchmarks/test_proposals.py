"""The benchmark: it reads the layouts data sets come in, and its figures are what they are called."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco_mask

from benchmarks.ground_truth import Sample, samples
from benchmarks.proposals import score
from labeler_backend.masks import rle
from labeler_backend.proposals.types import Proposal
from tests.conftest import EXAMPLES

ROOT = Path(__file__).parents[2]
SIZE = (40, 60)
BoolMask = npt.NDArray[np.bool_]


def box(y: int, x: int, height: int, width: int) -> BoolMask:
    mask = np.zeros(SIZE, bool)
    mask[y : y + height, x : x + width] = True
    return mask


ONE, TWO = box(5, 5, 10, 10), box(20, 30, 10, 20)


def write(path: Path, pixels: npt.NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def picture(path: Path) -> None:
    write(path, np.full((*SIZE, 3), 128, np.uint8))


def read(data: Path, **more: int) -> dict[str, list[bytes]]:
    """File name → its objects."""
    return {s.image.name: [mask.tobytes() for mask in s.objects] for s in samples(data, **more)}


@pytest.mark.parametrize(
    ("labels", "objects"),
    [
        pytest.param((1 * ONE + 2 * TWO).astype(np.uint16), [ONE, TWO], id="16-bit-counts-objects"),
        pytest.param((700 * ONE + 9 * TWO).astype(np.uint16), [TWO, ONE], id="16-bit-any-numbers"),
        pytest.param((1 * ONE + 2 * TWO).astype(np.uint8), [ONE | TWO], id="8-bit-is-one-object"),
        pytest.param((255 * ONE).astype(np.uint8), [ONE], id="8-bit-255"),
    ],
)
def test_label_images(tmp_path: Path, labels: npt.NDArray[np.generic], objects: list[BoolMask]) -> None:
    picture(tmp_path / "images" / "a.jpg")
    write(tmp_path / "labels" / "a.png", labels)
    picture(tmp_path / "images" / "b.jpg")
    write(tmp_path / "labels" / "b.png", np.zeros(SIZE, np.uint8))
    assert read(tmp_path) == {"a.jpg": [mask.tobytes() for mask in objects]}  # b shows nothing


def test_coco(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / "images" / name)
    coded = coco_mask.encode(np.asfortranarray(ONE, np.uint8))
    rows = [
        {"id": 1, "image_id": 7, "category_id": 1, "segmentation": rle.encode(ONE)},
        {"id": 2, "image_id": 7, "category_id": 1, "segmentation": [[30, 20, 50, 20, 50, 30, 30, 30]]},
    ]
    for row in rows:
        row |= {"iscrowd": 0, "area": int(coco_mask.area(coded)), "bbox": [0, 0, 1, 1]}
    images = [{"id": i, "file_name": n, "width": 60, "height": 40} for i, n in ((7, "a.jpg"), (8, "b.jpg"))]
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "x"}]}
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert read(tmp_path) == {"a.jpg": [ONE.tobytes(), TWO.tobytes()]}


@pytest.mark.parametrize(
    ("frames", "names"), [(1, ["00"]), (2, ["00", "02"]), (5, ["00", "01", "02", "03", "04"])]
)
def test_davis(tmp_path: Path, frames: int, names: list[str]) -> None:
    for index in range(5):
        picture(tmp_path / "swan" / "frames" / f"{index:02}.jpg")
        write(tmp_path / "swan" / "labels" / f"{index:02}.png", (255 * ONE).astype(np.uint8))
    assert read(tmp_path, frames=frames) == {f"{name}.jpg": [ONE.tobytes()] for name in names}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        pytest.param([], "no images/ and no <sequence>/frames/", id="nothing"),
        pytest.param(["images/a.jpg"], "exactly one COCO .json", id="no-truth"),
        pytest.param(["images/a.jpg", "1.json", "2.json"], "exactly one COCO .json", id="two-truths"),
        pytest.param(["images/a.jpg", "labels/b.png"], "cannot be read as a label", id="no-label-for-it"),
    ],
)
def test_what_is_no_data_set_is_named(tmp_path: Path, files: list[str], says: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SystemExit, match=says):
        list(samples(tmp_path))


def proposals(*masks: BoolMask) -> list[Proposal]:
    return [Proposal(rle.encode(mask), 1 - k / 100, "tree") for k, mask in enumerate(masks)]


HALF = box(5, 5, 10, 5)  # of ONE
FAR = box(35, 55, 2, 2)


@pytest.mark.parametrize(
    ("found", "first", "best"),
    [
        pytest.param([], 0, [[0, 0, 0], [0, 0, 0]], id="none"),
        pytest.param([ONE | TWO], 1, [[1 / 3, 1 / 3, 1 / 3], [2 / 3, 2 / 3, 2 / 3]], id="both-in-one"),
        pytest.param([ONE, TWO], 1 / 3, [[1, 1, 1], [0, 1, 1]], id="one-each"),
        pytest.param([HALF, ONE], 1 / 6, [[0.5, 1, 1], [0, 0, 0]], id="half-then-whole"),
        pytest.param([FAR] * 10 + [TWO], 0, [[0, 0, 0], [0, 0, 1]], id="eleventh"),
    ],
)
def test_score(found: list[BoolMask], first: float, best: list[list[float]]) -> None:
    one, many = score(proposals(*found), Sample(Path("a.jpg"), [ONE, TWO]))
    assert one == pytest.approx(first)
    np.testing.assert_allclose(many, best)


@pytest.mark.weights
def test_it_runs(dinov2_small: object, tmp_path: Path) -> None:
    data = tmp_path / "cats"
    (data / "images").mkdir(parents=True)
    shutil.copy(EXAMPLES / "cat.jpg", data / "images")
    face = cv2.ellipse(np.zeros((300, 451), np.uint8), (210, 130), (160, 150), 0, 0, 360, 255, -1)
    write(data / "labels" / "cat.png", face)
    words = ["--data", str(data), "--device", "cpu", "--size", "280", "--json", str(tmp_path / "out.json")]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.proposals", *words, "--method", "ours", "tokencut", "seeds"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    assert results["fingerprint"] in done.stdout
    assert set(results["cats"]) == {"ours", "tokencut", "seeds"}
    for method, row in results["cats"].items():
        assert f"| cats | {method} | {row['foreground_iou']:.3f} |" in done.stdout
        assert (row["images"], row["objects"]) == (1, 1)
        for kind in ("recall_50", "average_recall"):
            rising = list(row[kind].values())
            assert rising == sorted(rising)
            assert 0 <= rising[0] <= rising[-1] <= 1
        assert sum(row["time_share"].values()) == pytest.approx(1)
    assert results["cats"]["ours"]["foreground_iou"] > 0.6  # the face is the picture's figure
