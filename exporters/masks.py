"""Masks to PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from exporters.categories import Categories
from exporters.coco.file import as_json
from exporters.legend import legend_picture
from exporters.palette import as_hex, colour
from exporters.writer import Options, fitting, problem
from labeler_backend.errors import InputError
from labeler_backend.files import write_bytes
from labeler_backend.masks.shape import Patch, patch
from labeler_backend.proposals.types import Proposal
from labeler_backend.records import UNNAMED, Instance, Record, Tell, VideoRecord

_LARGEST = np.iinfo(np.uint16).max
_PNG = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)  # ids come in runs
_PALETTE = [channel for number in range(256) for channel in colour(number)]

Ids = npt.NDArray[np.uint16]


def instance_map(proposals: Sequence[Proposal], shape: tuple[int, int]) -> Ids:
    """(H, W) uint16: 0 = background, k = the k-th mask by falling score, as `annotations.json` orders them.

    Where masks overlap, the higher score wins; of equal scores, the one given first.

    Raises:
        ValueError: a mask is not of this shape, or there are more than 65535.
    """
    if len(proposals) > _LARGEST:
        raise ValueError(f"a 16-bit PNG holds {_LARGEST} masks, not {len(proposals)}")
    for proposal in proposals:
        if tuple(proposal.rle["size"]) != tuple(shape):
            raise ValueError(f"mask of size {proposal.rle['size']} for an image of {list(shape)}")
    ranked = sorted(proposals, key=lambda p: -p.score)
    return _painted([patch(p.rle) for p in ranked], list(range(len(ranked)))[::-1], shape)


def write_instance_png(path: Path, proposals: Sequence[Proposal], shape: tuple[int, int]) -> None:
    """Write `instance_map` as a 16-bit grey PNG, atomically.

    Raises:
        ValueError: as `instance_map`.
        OSError: the folder cannot be written, or the disk is full. Nothing is left behind then.
    """
    write_bytes(path, _grey_png(instance_map(proposals, shape)))


class MaskDataset:
    """Records → PNG masks, in a folder per split where there are splits.

    - `semantic/<file name>.png`: a pixel is its category's id, 0 = background; 8 bits with a palette, or 16
      bits, grey, for an image with an id above 255.
    - `instances/<file name>.png`: 16 bits, grey; a pixel is the number of its instance, 0 = background.
    - `instances.jsonl`: per image a line: its file, size, PNGs, and what each number stands for.
    - `legend.json`, `legend.png`: ids, names and colours of the categories; once for all splits.
    - `images/<file name>`: where the pictures belong.

    One pixel has one number: where instances overlap, the smaller one (in pixels) is above the larger, of
    equal ones the one drawn first is; crowds lie below all others.
    """

    def __init__(self, folder: Path, categories: Categories, options: Options, tell: Tell) -> None:
        self._folder = folder
        self._categories = categories
        self._description = options.description
        self._tell = tell
        self._open = ExitStack()
        self._seen: dict[str | None, set[str]] = {split: set() for split in options.splits or (None,)}
        self._lines = {}
        for split in self._seen:
            self._part(split).mkdir(exist_ok=True)
            path = self._part(split) / "instances.jsonl"
            self._lines[split] = self._open.enter_context(path.open("wb"))
        self._instances = 0

    def add(self, record: Record | VideoRecord, split: str | None) -> None:
        """Takes one image; a video is left out.

        Raises:
            InputError: a category's id is above 65535.
        """
        if isinstance(record, VideoRecord):
            reason = "PNG masks of images hold no videos: export with --format davis."
            return self._tell(problem(record, reason))
        if record.file_name in self._seen[split]:
            reason = f"{record.file_name} comes twice: take it out of the source once."
            return self._tell(problem(record, reason))
        self._seen[split].add(record.file_name)
        assert record.size is not None  # a writer is given no other
        instances, patches = self._drawable(record)
        order = _below_first(instances, patches)
        numbers = _painted(patches, order, record.size)
        ids = np.array([0, *(self._categories.id_of(one.label) for one in instances)])
        semantic, instance_png = (f"{kind}/{record.file_name}.png" for kind in ("semantic", "instances"))
        _write(self._part(split) / semantic, _semantic_png(ids[numbers]))
        _write(self._part(split) / instance_png, _grey_png(numbers))
        pixels = np.bincount(numbers.ravel(), minlength=len(ids)).tolist()
        rows = [_row(n, one, int(ids[n]), pixels[n]) for n, one in enumerate(instances, 1)]
        for row, one in zip(rows, instances, strict=True):
            if row["pixels"] == 0:
                reason = "A region lies wholly below others, so no pixel shows it: delete it, or them."
                self._tell(problem(record, reason, instance=one))
        height, width = record.size
        line = {"file_name": record.file_name, "width": width, "height": height, "task_id": record.task_id}
        line |= {"semantic": semantic, "instances": instance_png, "legend": rows}
        self._lines[split].write(as_json(line) + b"\n")
        self._instances += sum(row["pixels"] > 0 for row in rows)

    def picture_path(self, record: Record | VideoRecord, split: str | None) -> Path | None:
        """Under `images/` of its split, by its own name."""
        return None if isinstance(record, VideoRecord) else Path(split or "", "images", record.file_name)

    def finish(self) -> dict[str, int]:
        """Writes the legend."""
        names = self._categories.names
        legend = {
            "description": self._description,
            "background": 0,
            "overlaps": "the smaller instance above the larger, crowds below all",
            "images": [f"{split}/instances.jsonl" if split else "instances.jsonl" for split in self._seen],
            "categories": [
                {"id": number, "name": name, "color": as_hex(colour(number))}
                for name, number in names.items()
            ],
        }
        (self._folder / "legend.json").write_bytes(as_json(legend) + b"\n")
        _, png = cv2.imencode(".png", legend_picture(names)[..., ::-1])
        (self._folder / "legend.png").write_bytes(png.tobytes())
        self._open.close()
        return {
            "images": sum(map(len, self._seen.values())),
            "instances": self._instances,
            "categories": len(names),
        }

    def close(self) -> None:
        """Lets go of files."""
        self._open.close()

    def _part(self, split: str | None) -> Path:
        return self._folder / (split or "")

    def _drawable(self, record: Record) -> tuple[list[Instance], list[Patch]]:
        """The instances that have pixels, as many as there are numbers; tells of the others."""
        drawable: list[Instance] = []
        patches: list[Patch] = []
        for instance in fitting(record, self._tell):
            part = patch(instance.shape)
            if part.mask.size == 0:
                reason = "A region covers the centre of no pixel: draw it larger, or delete it."
            elif len(drawable) == _LARGEST:
                reason = f"An image with more than {_LARGEST} regions: a 16-bit PNG numbers no more."
            else:
                drawable.append(instance)
                patches.append(part)
                continue
            self._tell(problem(record, reason, instance=instance))
        return drawable, patches


def _row(number: int, instance: Instance, category_id: int, pixels: int) -> dict[str, Any]:
    """What a number stands for; only what is known."""
    row = {
        "id": number,
        "category_id": category_id,
        "category": instance.label or UNNAMED,
        "pixels": pixels,
        "region_id": instance.region_id or None,
        "annotation_id": instance.annotation_id,
        "annotator": instance.annotator,
        "score": instance.score,
        "track_id": instance.track_id,
        "iscrowd": 1 if instance.crowd else None,
    }
    return {key: value for key, value in row.items() if value is not None}


def _below_first(instances: Sequence[Instance], patches: Sequence[Patch]) -> list[int]:
    """Indices in the order of painting."""
    areas = [int(mask.sum()) for _, mask in patches]
    return sorted(range(len(areas)), key=lambda n: (not instances[n].crowd, -areas[n], -n))


def _painted(patches: Sequence[Patch], order: Sequence[int], shape: tuple[int, int]) -> Ids:
    """(H, W) uint16: patch n as n + 1, one over the other in the order given."""
    ids = np.zeros(shape, np.uint16)
    for n in order:
        window, mask = patches[n]
        np.copyto(ids[window], np.uint16(n + 1), where=mask)
    return ids


def _semantic_png(ids: npt.NDArray[np.int64]) -> bytes:
    if ids.max() > _LARGEST:
        raise InputError(
            f"Category id {ids.max()} is too large for a PNG: set {_LARGEST} or less in the categories file."
        )
    if ids.max() > 255:
        return _grey_png(ids.astype(np.uint16))
    picture = Image.fromarray(ids.astype(np.uint8))
    picture.putpalette(_PALETTE)
    file = BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _grey_png(ids: Ids) -> bytes:
    _, png = cv2.imencode(".png", ids, _PNG)
    return png.tobytes()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
