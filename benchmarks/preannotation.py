"""How many of the regions put before a labeler are right, and how many objects are among them?

    python benchmarks/preannotation.py --data DIR [DIR ...] [--union NAME ...] [--json FILE]

For each folder of images with ground truth (layouts as for `benchmarks/proposals.py`): the regions that the
Label Studio backend answers by default (objects side by side), beside all proposals as they come. A region is
right when its IoU with an object is at least 0.5; both are matched one to one, the best pairs first.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ground_truth import Sample, samples
from labeler_backend.labeler import Labeler
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou_matrix
from labeler_backend.media import decode
from labeler_backend.proposals.objects import side_by_side
from labeler_backend.proposals.types import Proposal

RULES: dict[str, Callable[[list[Proposal]], list[Proposal]]] = {
    "all proposals": lambda found: found,
    "side by side": lambda found: side_by_side(found),
}


def matched(regions: Sequence[rle.RLE], objects: Sequence[rle.RLE], least: float = 0.5) -> int:
    """How many pairs of region and object overlap by at least `least`, each in one pair only."""
    if not regions or not objects:
        return 0
    overlaps = iou_matrix(list(regions), list(objects))
    pairs = 0
    while overlaps.max() >= least:
        region, thing = np.unravel_index(int(overlaps.argmax()), overlaps.shape)
        overlaps[region, :] = overlaps[:, thing] = 0
        pairs += 1
    return pairs


def evaluate(labeler: Labeler, found_samples: Sequence[Sample], union: bool) -> dict[str, dict[str, float]]:
    """Per rule: precision, recall, F1 over all images, and regions per image."""
    counts = {rule: np.zeros(3) for rule in RULES}  # right, regions, objects
    for sample in found_samples:
        objects = [rle.encode(m) for m in ([sample.foreground] if union else sample.objects)]
        proposals = labeler.masks(decode(sample.image))
        for rule, choose in RULES.items():
            regions = [p.rle for p in choose(proposals)]
            counts[rule] += [matched(regions, objects), len(regions), len(objects)]
    n = len(found_samples)
    return {rule: figures(count[0], count[1], count[2], n) for rule, count in counts.items()}


def figures(right: float, regions: float, objects: float, images: int) -> dict[str, float]:
    """What the counts come to."""
    return {
        "precision": right / max(regions, 1),
        "recall": right / max(objects, 1),
        "f1": 2 * right / max(regions + objects, 1),
        "regions_per_image": regions / max(images, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--union", nargs="*", default=[], help="folders whose objects together are the one object"
    )
    parser.add_argument("--model", default="dinov2-small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    labeler = Labeler.load(args.model, device=args.device, dtype=args.dtype)
    results: dict[str, Any] = {}
    for data in args.data:
        results[data.name] = evaluate(labeler, list(samples(data)), data.name in args.union)
        for rule, row in results[data.name].items():
            print(
                f"{data.name:12} {rule:14} precision {row['precision']:.2f}  recall {row['recall']:.2f}  "
                f"F1 {row['f1']:.2f}  {row['regions_per_image']:.1f} regions an image",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
