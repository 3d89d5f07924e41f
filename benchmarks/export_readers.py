"""Do other programs read what `labeler export` writes?

    python benchmarks/export_readers.py COCO_FOLDER [--yolo YOLO_FOLDER]

Reads the COCO folder (made with `labeler export … --media copy`) and the YOLO folder of the same project with
supervision and with datumaro, whichever is installed, and compares each mask they hold with pycocotools' own
decoding of the COCO file. Neither is a dependency of this project, nor is this project needed to run it: an
environment with numpy, pycocotools and the readers does.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

BoolMask = npt.NDArray[np.bool_]
Masks = Mapping[str, list[BoolMask]]
"""Stem of a picture's file → masks of its instances."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("coco", type=Path)
    parser.add_argument("--yolo", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    file = coco_file(args.coco)
    truth = decoded(file)
    rows = [compared(name, truth, read) for name, read in readers(file, args.yolo)]
    if not rows:
        raise SystemExit("Neither supervision nor datumaro is installed: `pip install supervision datumaro`.")
    print(f"pycocotools: {sum(map(len, truth.values()))} instances in {len(truth)} pictures\n")
    print("| reader | pictures | instances | mean IoU | least IoU |\n|---|---|---|---|---|")
    for row in rows:
        print("| {reader} | {pictures} | {instances} | {mean_iou:.4f} | {least_iou:.4f} |".format(**row))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def coco_file(folder: Path) -> Path:
    """The COCO file of a folder."""
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys():
            return path
    raise SystemExit(f"{folder}: there is no COCO file in it.")


def decoded(file: Path) -> Masks:
    """What pycocotools makes of a COCO file."""
    coco = COCO(str(file))
    return {
        Path(row["file_name"]).stem: [coco.annToMask(a).astype(bool) for a in coco.imgToAnns[image]]
        for image, row in coco.imgs.items()
    }


def readers(coco: Path, yolo: Path | None) -> Iterator[tuple[str, Callable[[], Masks]]]:
    """Name and version of each reader that is installed, and what runs it."""
    if version := installed("supervision"):
        yield f"supervision {version}, from_coco", lambda: supervision_coco(coco)
        if yolo:
            yield f"supervision {version}, from_yolo", lambda: supervision_yolo(yolo)
    if version := installed("datumaro"):
        yield f"datumaro {version}, coco_instances", lambda: datumaro_coco(coco)


def installed(name: str) -> str | None:
    """Its version."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def supervision_coco(file: Path) -> Masks:
    """`DetectionDataset.from_coco`."""
    supervision = importlib.import_module("supervision")
    return supervision_masks(
        supervision.DetectionDataset.from_coco(
            images_directory_path=str(picture_folder(file)), annotations_path=str(file), force_masks=True
        )
    )


def supervision_yolo(folder: Path) -> Masks:
    """`DetectionDataset.from_yolo`, of a folder made without --split."""
    supervision = importlib.import_module("supervision")
    return supervision_masks(
        supervision.DetectionDataset.from_yolo(
            images_directory_path=str(folder / "images" / "train"),
            annotations_directory_path=str(folder / "labels" / "train"),
            data_yaml_path=str(folder / "data.yaml"),
            force_masks=True,
        )
    )


def supervision_masks(dataset: Any) -> Masks:
    """Of a supervision dataset."""
    return {
        Path(path).stem: [] if found.mask is None else [np.asarray(mask, bool) for mask in found.mask]
        for path, _, found in dataset
    }


def datumaro_coco(file: Path) -> Masks:
    """The `coco_instances` reader, in the folders of COCO itself, without which it reads nothing."""
    datumaro = importlib.import_module("datumaro")

    found: dict[str, list[BoolMask]] = {}
    sizes = {
        Path(row["file_name"]).stem: (row["height"], row["width"])
        for row in json.loads(file.read_text(encoding="utf-8"))["images"]
    }
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "annotations", "instances_all.json")
        target.parent.mkdir()
        shutil.copy(file, target)
        (Path(folder) / "images").mkdir()
        (Path(folder) / "images" / "all").symlink_to(picture_folder(file).resolve())
        items = list(datumaro.Dataset.import_from(folder, "coco_instances"))
    for item in items:
        stem = Path(item.id).name
        height, width = sizes[stem]
        parts: dict[int, BoolMask] = {}  # the polygons of one instance come one by one, with one group
        for one in item.annotations:
            if one.type.name == "polygon":
                rles = coco_mask.frPyObjects([list(map(float, one.points))], height, width)
                area = coco_mask.decode(coco_mask.merge(rles)).astype(bool)
            elif one.type.name == "mask":
                area = np.asarray(one.image, bool)
            else:
                continue
            parts[one.group] = parts.get(one.group, np.zeros((height, width), bool)) | area
        found[stem] = list(parts.values())
    return found


def picture_folder(file: Path) -> Path:
    """What the file names in a COCO file are relative to."""
    name = json.loads(file.read_text(encoding="utf-8"))["images"][0]["file_name"]
    return file.parent if (file.parent / name).is_file() else file.parent / "images"


def compared(name: str, truth: Masks, read: Callable[[], Masks]) -> dict[str, Any]:
    """Every true mask against the one of the reader's that fits it best."""
    found = read()
    best = [
        max((iou(mask, other) for other in found.get(stem, [])), default=0.0)
        for stem, masks in truth.items()
        for mask in masks
    ]
    return {
        "reader": name,
        "pictures": len(found),
        "instances": sum(map(len, found.values())),
        "mean_iou": float(np.mean(best)),
        "least_iou": float(np.min(best)),
    }


def iou(one: BoolMask, other: BoolMask) -> float:
    """0 for masks of different sizes."""
    if one.shape != other.shape or not (one | other).any():
        return 0.0
    return float((one & other).sum() / (one | other).sum())


if __name__ == "__main__":
    main()
