"""Masks to COCO's `annotations.json`, image by image, with memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypedDict

from pycocotools import mask as coco_mask

from exporters.categories import Categories
from exporters.coco.file import CocoFile, PointNames, as_text
from exporters.coco.segmentation import Drawing, draw
from exporters.coco.uris import address_without_secrets
from exporters.writer import Options, fitting, problem
from labeler_backend.files import part_of, replacing
from labeler_backend.masks.polygons import DEFAULT_MAX_POINTS, mask_to_polygons, to_coco
from labeler_backend.masks.rle import RLE, area, box
from labeler_backend.proposals.types import Proposal
from labeler_backend.records import Instance, Keypoint, Record, Tell, VideoRecord

Segmentation = RLE | list[list[float]]


class Annotation(TypedDict):
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
    annotations: list[Annotation]


class Counts(TypedDict):
    """What was written."""

    images: int
    annotations: int
    categories: int


def instance(
    proposal: Proposal, polygons: bool = False, tolerance: float = 1.0, max_points: int = DEFAULT_MAX_POINTS
) -> Annotation:
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
    ids = Categories(names=categories)
    spool_path = part_of(path, ".annotations")
    try:
        with replacing(path) as part, part.open("wb") as file, spool_path.open("w+b") as spool:
            coco = CocoFile(file, spool, description, {})
            for row in images:
                coco.image({key: row[key] for key in ("id", "file_name", "width", "height")})
                for item in sorted(row["annotations"], key=lambda a: -a["score"]):
                    coco.annotation(row["id"], ids.id_of(item["label"]), _fields(item))
            coco.finish(_some(ids))
        return {"images": coco.images, "annotations": coco.annotations, "categories": len(ids.names)}
    finally:
        spool_path.unlink(missing_ok=True)


def _fields(item: Annotation) -> str:
    """What follows an annotation's ids."""
    return as_text(
        {
            "score": item["score"],
            "bbox": item["bbox"],
            "area": item["area"],
            "iscrowd": 0,
            "segmentation": item["segmentation"],
            "source": item["source"],
        }
    )[1:-1]


def _some(ids: Categories) -> dict[str, int]:
    """All categories, at least one: a file without any trips up readers."""
    if not ids.names:
        ids.id_of(None)
    return ids.names


class CocoDataset:
    """Records → `annotations.json`, or one such file per split; pictures belong into `images/`.

    Every record has an image row, also without instances. Annotations count from 1 in the order of records
    and of instances within them; those of a file are its own, categories are the same in all. Beside COCO's
    own fields: `score`, and `attributes` with region_id, annotation_id, annotator and track_id as far as
    known, and all the instance's own.
    """

    def __init__(self, folder: Path, categories: Categories, options: Options, tell: Tell) -> None:
        self._categories = categories
        self._options = options
        self._tell = tell
        self._open = ExitStack()
        points: PointNames = {}
        self._files = {
            split: self._start(folder, f"-{split}" if split else "", points)
            for split in options.splits or (None,)
        }
        self._seen: dict[str | None, set[int]] = {split: set() for split in self._files}

    def _start(self, folder: Path, suffix: str, points: PointNames) -> CocoFile:
        file = self._open.enter_context((folder / f"annotations{suffix}.json").open("wb"))
        spool = self._open.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115 it is entered
        return CocoFile(file, spool, self._options.description, points)

    def add(self, record: Record | VideoRecord, split: str | None) -> None:
        """Takes one image; a video is left out."""
        if isinstance(record, VideoRecord):
            reason = "COCO holds images, no videos: export with --format youtube-vis, mot or davis."
            return self._tell(problem(record, reason))
        if record.id in self._seen[split]:
            reason = f"Image {record.id} ({record.file_name}) comes twice: take it out of the source once."
            return self._tell(problem(record, reason))
        self._seen[split].add(record.id)
        file = self._files[split]
        assert record.size is not None  # a writer is given no other
        file.image(_image_row(record, record.size))
        self._annotate(file, record, record.size)

    def picture_path(self, record: Record | VideoRecord, split: str | None) -> Path | None:
        """Under `images/`, by its own name, whatever the split."""
        return None if isinstance(record, VideoRecord) else Path("images", record.file_name)

    def finish(self) -> dict[str, int]:
        """Completes the files."""
        for file in self._files.values():
            file.finish(_some(self._categories))
        self._open.close()
        return {
            "images": sum(file.images for file in self._files.values()),
            "instances": sum(file.annotations for file in self._files.values()),
            "categories": len(self._categories.names),
        }

    def close(self) -> None:
        """Lets go of files and spools."""
        self._open.close()

    def _annotate(self, file: CocoFile, record: Record, size: tuple[int, int]) -> None:
        form = self._options.segmentation
        instances = fitting(record, self._tell)
        drawings = draw(
            [instance.shape for instance in instances],
            ["rle" if instance.crowd else form for instance in instances],  # as COCO has it
            size,
        )
        for instance, drawing in zip(instances, drawings, strict=True):
            if drawing is None:
                reason = "A region covers the centre of no pixel: draw it larger, or delete it."
                self._tell(problem(record, reason, instance=instance))
                continue
            try:
                fields = _instance_fields(instance, drawing)
            except (ValueError, TypeError, RecursionError) as e:
                reason = f"A region has a score or attributes that JSON cannot hold ({e}): correct them."
                self._tell(problem(record, reason, "mended", instance))
                fields = _instance_fields(replace(instance, score=None, attributes={}), drawing)
            category_id = self._categories.id_of(instance.label)
            file.annotation(record.id, category_id, fields, self._keypoints(record, instance))

    def _keypoints(self, record: Record, instance: Instance) -> Sequence[Keypoint]:
        """One of each name, the first; tells of the others."""
        named: dict[str, Keypoint] = {}
        for point in instance.keypoints:
            if named.setdefault(point.label, point) is not point:
                reason = (
                    f"A region has two key points {point.label!r}, COCO one: give the second another label."
                )
                self._tell(problem(record, reason, instance=instance))
        return list(named.values())


def _image_row(record: Record, size: tuple[int, int]) -> dict[str, Any]:
    height, width = size
    row = {"id": record.id, "file_name": record.file_name, "width": width, "height": height}
    further = {
        "coco_url": address_without_secrets(record.uri) if record.uri else None,
        "task_id": record.task_id,
        "video": record.video,
        "frame": record.frame,
    }
    return row | {key: value for key, value in further.items() if value is not None}


def _instance_fields(instance: Instance, drawing: Drawing) -> str:
    """What follows an annotation's ids.

    Raises:
        ValueError, TypeError, RecursionError: its score or attributes hold what JSON cannot.
    """
    score = "" if instance.score is None else f'"score": {as_text(instance.score)}, '
    own = {
        "region_id": instance.region_id or None,
        "annotation_id": instance.annotation_id,
        "annotator": instance.annotator,
        "track_id": instance.track_id,
    }
    attributes = {**instance.attributes, **{key: value for key, value in own.items() if value is not None}}
    x, y, w, h = drawing.box
    return (
        f'{score}"bbox": [{x}, {y}, {w}, {h}], "area": {drawing.area}, "iscrowd": {int(instance.crowd)}, '
        f'"segmentation": {drawing.segmentation}'
        + (f', "attributes": {as_text(attributes)}' if attributes else "")
    )
