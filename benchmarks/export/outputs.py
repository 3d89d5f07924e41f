"""COCO files and YOLO folders of any exporter → what they say of the true pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml  # type: ignore[import-untyped]  # comes with transformers
from PIL import Image
from pycocotools import mask as coco_mask

from benchmarks.export.drawing import BoolMask
from benchmarks.export.project import TrueImage
from benchmarks.export.scoring import Found, ImageRow, Output, which


def read_coco_folder(folder: Path, truth: Sequence[TrueImage]) -> Output:
    """The one COCO file somewhere in a folder."""
    for path in sorted(folder.rglob("*.json")):
        with path.open(encoding="utf-8") as file:
            content = json.load(file)
        if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
            return read_coco(content, path.parent, truth)
    return Output(trouble="no COCO file in it")


def read_coco(content: dict[str, Any], folder: Path, truth: Sequence[TrueImage]) -> Output:
    """One COCO file's content; `folder` is where it lies."""
    names = {row["id"]: str(row["file_name"]) for row in content["images"]}
    labels = {row["id"]: str(row["name"]) for row in content["categories"]}
    images = []
    for row in content["images"]:
        file = _file_of(folder, str(row["file_name"]))
        images.append(
            ImageRow(
                str(row["file_name"]), _size(row), file is not None, file is not None and _sideways(file)
            )
        )
    found = []
    for one in content["annotations"]:
        name = names.get(one["image_id"], "")
        image = which(truth, name)
        area = np.zeros((0, 0), bool) if image is None else coco_area(one, image.size)
        found.append(Found(name, labels.get(one["category_id"], ""), area))
    return Output(images, found)


def coco_area(annotation: dict[str, Any], size: tuple[int, int]) -> BoolMask:
    """(H, W) bool, as pycocotools decodes it; the box where there is no segmentation."""
    height, width = size
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        rle = segmentation
        if isinstance(rle["counts"], list):
            rle = coco_mask.frPyObjects(rle, *rle["size"])
        area: BoolMask = np.asarray(coco_mask.decode(rle), bool)
        return area if area.shape == size else np.zeros(size, bool)
    polygons = [ring for ring in segmentation or [] if len(ring) >= 6]
    if not polygons and annotation.get("bbox"):
        x, y, w, h = annotation["bbox"]
        polygons = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    if not polygons:
        return np.zeros(size, bool)
    rle = coco_mask.merge(coco_mask.frPyObjects([list(map(float, p)) for p in polygons], height, width))
    return np.asarray(coco_mask.decode(rle), bool)


def read_yolo_folder(folder: Path, truth: Sequence[TrueImage]) -> Output:
    """`labels/**/*.txt` with `data.yaml` or `classes.txt`."""
    files = sorted(set(folder.rglob("labels/**/*.txt")))
    classes = _yolo_classes(folder)
    if not files or not classes:
        return Output(trouble="no labels and classes in it")
    pictures = {path.stem: path for path in folder.rglob("images/**/*") if path.is_file()}
    images = [
        ImageRow(p.name, None, p.stem in pictures, p.stem in pictures and _sideways(pictures[p.stem]))
        for p in files
    ]
    found = [one for path in files for one in _yolo_file(path, classes, truth)]
    return Output(images, found)


def _yolo_file(path: Path, classes: Sequence[str], truth: Sequence[TrueImage]) -> Iterator[Found]:
    image = which(truth, path.name)
    for line in path.read_text(encoding="utf-8").splitlines():
        number, *values = line.split()
        area: BoolMask = np.zeros((0, 0), bool)
        if image is not None:
            height, width = image.size
            points = np.array(values, float)
            if len(points) == 4:
                cx, cy, w, h = points
                box = [(cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height]
                area = coco_area({"bbox": box}, image.size)
            else:
                ring = points.reshape(-1, 2) * (width, height)
                area = coco_area({"segmentation": [ring.ravel().tolist()]}, image.size)
        label = classes[int(number)] if int(number) < len(classes) else ""
        yield Found(path.name, label, area)


def _yolo_classes(folder: Path) -> list[str]:
    for path in folder.rglob("classes.txt"):
        return path.read_text(encoding="utf-8").split("\n")
    for path in folder.rglob("data.yaml"):
        names = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
        return [str(name) for name in (names.values() if isinstance(names, dict) else names)]
    return []


def _size(row: dict[str, Any]) -> tuple[int, int]:
    return int(row.get("height") or 0), int(row.get("width") or 0)


def _file_of(folder: Path, name: str) -> Path | None:
    """What a relative name leads to in the folder of the COCO file, or in `images/` there."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return None
    return next((path for path in (folder / name, folder / "images" / name) if path.is_file()), None)


def _sideways(path: Path) -> bool:
    with Image.open(path) as image:
        return bool(image.getexif().get(0x0112, 1) != 1)
