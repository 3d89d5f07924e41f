"""Images with ground truth, from the layouts that public data sets come in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools.coco import COCO

BoolMask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """One image and its objects, each (H, W) bool."""

    image: Path
    objects: list[BoolMask]

    @property
    def foreground(self) -> BoolMask:
        """Their union."""
        return np.asarray(np.any(self.objects, axis=0), bool)


def samples(data: Path, frames: int = 2) -> Iterator[Sample]:
    """Images that have at least one object.

    Args:
        data: a folder with `images/` and `labels/*.png` (16-bit: k is the k-th object; 8-bit: all that is
            not 0 is one object), with `images/` and one COCO `*.json`, or with DAVIS sequences
            (`<sequence>/frames/*.jpg`, `<sequence>/labels/*.png`).
        frames: of each sequence, evenly from the first on (2 = first and middle).
    """
    found: Iterator[tuple[Path, list[BoolMask]]]
    if (data / "labels").is_dir():
        pairs = [
            (image, data / "labels" / f"{image.stem}.png") for image in sorted((data / "images").iterdir())
        ]
        found = ((image, label_objects(label)) for image, label in pairs)
    elif (data / "images").is_dir():
        found = coco_objects(data)
    else:
        found = davis_objects(data, frames)
    for image, objects in found:
        if objects:
            yield Sample(image, objects)


def label_objects(path: Path) -> list[BoolMask]:
    """Objects of one label PNG."""
    try:
        labels = np.asarray(
            Image.open(path)
        )  # of a palette PNG the indices, which cv2 would turn into colours
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read as a label image ({error}).") from error
    if labels.dtype == np.uint8:
        labels = (labels > 0).astype(np.uint16)
    return [labels == k for k in np.unique(labels) if k]


def coco_objects(data: Path) -> Iterator[tuple[Path, list[BoolMask]]]:
    """Objects of one COCO file beside `images/`."""
    files = sorted(data.glob("*.json"))
    if len(files) != 1:
        raise SystemExit(f"{data}: needs labels/ or exactly one COCO .json beside images/.")
    coco = COCO(str(files[0]))
    for image_id, row in sorted(coco.imgs.items()):
        masks = [coco.annToMask(a).astype(bool) for a in coco.loadAnns(coco.getAnnIds(image_id))]
        yield data / "images" / row["file_name"], masks


def davis_objects(data: Path, frames: int) -> Iterator[tuple[Path, list[BoolMask]]]:
    """Objects of evenly spread frames of each sequence."""
    sequences = sorted(p for p in data.iterdir() if (p / "frames").is_dir())
    if not sequences:
        raise SystemExit(f"{data}: no images/ and no <sequence>/frames/ in it; name another folder.")
    for sequence in sequences:
        names = sorted((sequence / "frames").glob("*.jpg"))
        for k in range(frames):
            image = names[k * len(names) // frames]
            yield image, label_objects(sequence / "labels" / f"{image.stem}.png")
