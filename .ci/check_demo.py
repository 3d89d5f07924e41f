"""Looks at what `labeler masks IMAGES --out OUT` left: whole, consistent, and not empty."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO


def check_image(coco: COCO, row: dict[str, object], out: Path) -> int:
    """One image's annotations and PNG against each other; returns how many annotations it has."""
    name = str(row["file_name"])
    size = (row["height"], row["width"])
    annotations = coco.loadAnns(coco.getAnnIds(row["id"]))
    scores = [annotation["score"] for annotation in annotations]
    assert annotations, f"{name}: no proposal"
    assert scores == sorted(scores, reverse=True), f"{name}: scores do not fall: {scores}"
    for annotation in annotations:
        mask = coco.annToMask(annotation)
        assert mask.shape == size, f"{name}: mask of {mask.shape} in an image of {size}"
        assert mask.sum() == annotation["area"] > 0, f"{name}: area {annotation['area']}, mask {mask.sum()}"
    ids = np.asarray(Image.open(out / "masks" / f"{name}.png"))
    assert ids.shape == size, f"{name}: PNG of {ids.shape} in an image of {size}"
    assert 0 < ids.max() <= len(annotations), f"{name}: id {ids.max()}, {len(annotations)} annotations"
    assert list((out / "overlays").glob(f"{name}*")), f"{name}: no overlay"
    return len(annotations)


def main(images: Path, out: Path) -> None:
    """Raises AssertionError with what is wrong."""
    coco = COCO(str(out / "annotations.json"))
    rows = coco.loadImgs(coco.getImgIds())
    expected = {path.name for path in images.iterdir()}
    assert {row["file_name"] for row in rows} == expected, (
        f"{[row['file_name'] for row in rows]} != {expected}"
    )
    found = sum(check_image(coco, row, out) for row in rows)
    failures = out / "failures.jsonl"
    assert not failures.exists() or not failures.read_text(encoding="utf-8"), failures.read_text()
    report = (out / "report.html").read_text(encoding="utf-8")
    missing = [name for name in expected if name not in report]
    assert not missing, f"report.html does not show {missing}"
    print(f"demo: {len(rows)} images, {found} proposals, masks, overlays and report are there")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
