"""How much of a mask is left after mask → polygons → mask.

    python benchmarks/polygons.py --data DIR

DIR holds `labels/*.png` (0 = background), or DAVIS-2016 sequences (`<sequence>/labels/*.png`), of which every
tenth frame is taken.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.polygons import (
    DEFAULT_MAX_POINTS,
    mask_to_polygons,
    polygons_to_mask,
    to_coco,
)
from labeler_backend.masks.rle import BoolMask


def masks_in(data: Path, every: int) -> Iterator[BoolMask]:
    """Foreground masks (H, W), empty ones left out."""
    files = sorted(data.glob("labels/*.png"))
    if not files:
        files = [f for s in sorted(data.iterdir()) for f in sorted(s.glob("labels/*.png"))[::every]]
    if not files:
        raise SystemExit(f"{data}: no labels/*.png and no <sequence>/labels/*.png in it; name another folder")
    for file in files:
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if labels is not None and labels.any():
            yield labels.astype(bool)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-points", type=int, default=DEFAULT_MAX_POINTS)
    parser.add_argument("--tolerance", type=float, default=1.0)
    parser.add_argument("--every", type=int, default=10, help="frames of a sequence to step by")
    args = parser.parse_args()
    ious, points, seconds = [], [], []
    for mask in masks_in(args.data, args.every):
        begin = time.process_time()
        polygons = mask_to_polygons(mask, args.tolerance, args.max_points)
        seconds.append(time.process_time() - begin)
        points.append(sum(len(ring) // 2 for ring in to_coco(polygons)))
        ious.append(iou(polygons_to_mask(polygons, (mask.shape[0], mask.shape[1])), mask))
    print(f"masks   {len(ious)}")
    print(f"IoU     mean {np.mean(ious):.4f}  p5 {np.percentile(ious, 5):.4f}  min {min(ious):.4f}")
    print(f"points  mean {np.mean(points):.1f}  max {max(points)}")
    print(f"CPU ms  median {1e3 * np.median(seconds):.2f}  p95 {1e3 * np.percentile(seconds, 95):.2f}")


if __name__ == "__main__":
    main()
