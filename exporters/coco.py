"""Masks to COCO's `annotations.json`, image by image, with memory that does not grow with their number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO, TypedDict

from pycocotools import mask as coco_mask

from labeler_backend.files import part_of, replacing
from labeler_backend.masks.polygons import DEFAULT_MAX_POINTS, mask_to_polygons, to_coco
from labeler_backend.masks.rle import RLE, area, box
from labeler_backend.proposals.types import Proposal

UNNAMED = "object"

Segmentation = RLE | list[list[float]]


class Instance(TypedDict):
    """One mask of an image, before it has ids.

    `area` (pixels) and `bbox` (x, y, width, height in pixels) are those of the mask that `segmentation`
    holds: for polygons, the mask that pycocotools draws from them.
    """

    segmentation: Segmentation
    area: int
    bbox: list[float]
    score: float
    source: str
    label: str | None


class ImageRow(TypedDict):
    """One image and what was found in it; `file_name` is relative, with forward slashes."""

    id: int
    file_name: str
    width: int
    height: int
    annotations: list[Instance]


class Counts(TypedDict):
    """What was written."""

    images: int
    annotations: int
    categories: int


def instance(
    proposal: Proposal, polygons: bool = False, tolerance: float = 1.0, max_points: int = DEFAULT_MAX_POINTS
) -> Instance:
    """A proposal as COCO holds it: as RLE, or as polygons made by `mask_to_polygons`.

    Raises:
        ValueError: the mask is empty.
    """
    if proposal.area == 0:
        raise ValueError("an empty mask has no place in COCO")
    segmentation: Segmentation = proposal.rle
    drawn = proposal.rle
    if polygons:
        segmentation = to_coco(mask_to_polygons(proposal.mask, tolerance, max_points))
        drawn = coco_mask.merge(coco_mask.frPyObjects(segmentation, *proposal.rle["size"]))
    return {
        "segmentation": segmentation,
        "area": area(drawn),
        "bbox": list(box(drawn)),
        "score": proposal.score,
        "source": proposal.source,
        "label": proposal.label,
    }


def write_coco(
    path: Path, images: Iterable[ImageRow], categories: Sequence[str] = (), description: str = ""
) -> Counts:
    """Write images and their masks as one COCO file, atomically, taking `images` one at a time.

    Every image gets a row, also without annotations. Annotations stand together by image, in the images'
    order, by falling score within one, ids from 1. Category ids count from 1: `categories` first, then labels
    as they come; a mask without a label is an `object`.

    Raises:
        ValueError: a score is not a finite number.
        OSError: the folder cannot be written, or the disk is full. Nothing is left behind then.
    """
    spool_path = part_of(path, ".annotations")
    try:
        with replacing(path) as part, part.open("wb") as file, spool_path.open("w+b") as spool:
            writer = _Writer(file, spool, categories)
            writer.head(description)
            for image in images:
                writer.image(image)
            writer.tail()
        return writer.counts()
    finally:
        spool_path.unlink(missing_ok=True)


class _Writer:
    """Images go to the file as they come; annotations, the second array, wait in a spool."""

    def __init__(self, file: BinaryIO, spool: BinaryIO, categories: Sequence[str]) -> None:
        self._file = file
        self._spool = spool
        self._category_ids = {name: n for n, name in enumerate(dict.fromkeys(categories), 1)}
        self._images = 0
        self._annotations = 0

    def head(self, description: str) -> None:
        info = {
            "description": description,
            "version": "1.0",
            "date_created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self._file.write(b'{"info": ' + _json(info) + b',\n"licenses": [],\n"images": [')

    def image(self, row: ImageRow) -> None:
        fields = {key: row[key] for key in ("id", "file_name", "width", "height")}
        self._file.write(_separator(self._images) + _json(fields))
        self._images += 1
        for item in sorted(row["annotations"], key=lambda a: -a["score"]):
            name = item["label"] or UNNAMED
            annotation = {
                "id": self._annotations + 1,
                "image_id": row["id"],
                "category_id": self._category_ids.setdefault(name, len(self._category_ids) + 1),
                "score": item["score"],
                "bbox": item["bbox"],
                "area": item["area"],
                "iscrowd": 0,
                "segmentation": item["segmentation"],
                "source": item["source"],
            }
            self._spool.write(_separator(self._annotations) + _json(annotation))
            self._annotations += 1

    def tail(self) -> None:
        self._file.write(b'\n],\n"annotations": [')
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, self._file, 1 << 20)
        if not self._category_ids:
            self._category_ids[UNNAMED] = 1  # a file without any category trips up readers
        rows = [{"id": n, "name": name, "supercategory": ""} for name, n in self._category_ids.items()]
        self._file.write(b'\n],\n"categories": ' + _json(rows) + b"}\n")

    def counts(self) -> Counts:
        return {
            "images": self._images,
            "annotations": self._annotations,
            "categories": len(self._category_ids),
        }


def _separator(written: int) -> bytes:
    return b",\n" if written else b"\n"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
