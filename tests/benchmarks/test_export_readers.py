"""supervision reads what `labeler export` writes: COCO pixel by pixel, YOLO as well as polygons can."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.export_readers import coco_file, compared, decoded, supervision_coco, supervision_yolo
from exporters.categories import Categories
from exporters.coco.dataset import CocoDataset
from exporters.writer import Options
from exporters.yolo import YoloDataset
from labeler_backend.masks.rle import encode
from labeler_backend.masks.shape import Polygons
from labeler_backend.records import Instance, Record

SIZE = (150, 210)


def records() -> list[Record]:
    """One picture with a polygon, a ring and two blobs in one; one with nothing in it."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    distance = np.hypot(y - 75, x - 60)
    blobs = (np.hypot(y - 30, x - 150) < 20) | (np.hypot(y - 110, x - 170) < 25)
    outline = Polygons((np.array([[20.0, 90.0], [95.5, 95.0], [60.0, 140.0]]),), SIZE)
    instances = (
        Instance(outline, "apple"),
        Instance(encode((distance < 40) & (distance > 15)), "pear"),
        Instance(encode(blobs), "apple"),
    )
    return [Record(1, "full.jpg", SIZE, instances), Record(2, "empty.jpg", SIZE, ())]


def write(kind: Any, folder: Path) -> Path:
    folder.mkdir()
    writer = kind(folder, Categories(), Options(), pytest.fail)
    for record in records():
        writer.add(record, None)
        picture = folder / writer.picture_path(record, None)
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIZE[1], SIZE[0])).save(picture)
    writer.finish()
    writer.close()
    return folder


@pytest.mark.parametrize(
    ("kind", "read", "least"),
    [
        # it rounds the corners of polygons to whole pixels, and fills their borders
        pytest.param(CocoDataset, lambda folder: supervision_coco(coco_file(folder)), 0.9, id="coco"),
        pytest.param(YoloDataset, supervision_yolo, 0.85, id="yolo"),  # a ring with a cut to its hole
    ],
)
def test_supervision(
    tmp_path: Path, kind: Any, read: Callable[[Path], Mapping[str, Any]], least: float
) -> None:
    truth = decoded(coco_file(write(CocoDataset, tmp_path / "truth")))
    folder = write(kind, tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        row = compared("supervision", truth, lambda: read(folder))
    assert (row["pictures"], row["instances"]) == (2, 3)
    assert row["least_iou"] > least


def test_painted_masks_come_back_whole(tmp_path: Path) -> None:
    file = coco_file(write(CocoDataset, tmp_path / "out"))
    painted = [decoded(file)["full"][n] for n in (1, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = supervision_coco(file)["full"]
    for mask in painted:
        assert any(np.array_equal(mask, other) for other in found)
