"""How good are the proposals, and what do they cost?

    python benchmarks/proposals.py --data DIR [--data DIR ...] [--method ours tokencut seeds] [--json FILE]

For every folder (layouts: see ground_truth.py) and method: IoU of the top-scored proposal with the union of
the ground truth; recall at IoU 0.5 and average recall (0.5:0.95) with 1, 10 and 100 proposals, pooled over
objects; the share of objects whose best proposal reaches IoU 0.8; and where the time goes.

`tokencut` is the published single-object baseline (normalised cut of the tokens, split at the mean, the part
with the extreme), `seeds` similarity to a lattice of seed tokens at one threshold; both with plain bilinear
upsampling.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.ground_truth import Sample, samples
from labeler_backend.backbone.cache import FeatureCache
from labeler_backend.backbone.features import Features, unit_tokens
from labeler_backend.labeler import Labeler
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou, iou_matrix
from labeler_backend.masks.polygons import mask_to_polygons
from labeler_backend.media import RGB, decode
from labeler_backend.proposals.grouping import parts
from labeler_backend.proposals.spectral import normalized_cut
from labeler_backend.proposals.types import Proposal

COUNTS = (1, 10, 100)
THRESHOLDS = np.arange(0.5, 0.96, 0.05)
Method = Callable[[Labeler, RGB, Features], list[Proposal]]


def ours(labeler: Labeler, image: RGB, features: Features) -> list[Proposal]:
    """The product."""
    return labeler.propose(image, features)


def tokencut(labeler: Labeler, image: RGB, features: Features) -> list[Proposal]:
    """TokenCut (Wang et al. 2022) on the output tokens: one mask."""
    cut = normalized_cut(features.tokens, vectors=1, tau=0.2).vectors[0]
    side = cut > cut.mean()
    extreme = np.unravel_index(int(np.argmax(np.abs(cut))), cut.shape)
    side = side if side[extreme] else ~side
    part = next((p for p in parts(side, 1) if p[extreme]), side)
    return [Proposal(_plain(part, image), 1.0, "tokencut")]


def seeds(labeler: Labeler, image: RGB, features: Features) -> list[Proposal]:
    """Every second token's similarity cut at 0.6, the part the seed lies in; ranked by size."""
    unit = unit_tokens(features.tokens)
    found: dict[bytes, Any] = {}
    for row in range(0, unit.shape[0], 2):
        for column in range(0, unit.shape[1], 2):
            alike = unit @ unit[row, column] > 0.6
            part = next((p for p in parts(alike, 1) if p[row, column]), alike)
            found[part.tobytes()] = part
    ordered = sorted(found.values(), key=lambda p: -int(p.sum()))
    kept: list[Any] = []
    for part in ordered:
        if len(kept) < max(COUNTS) and all(iou(part, other) < 0.7 for other in kept):
            kept.append(part)
    return [Proposal(_plain(p, image), 1 - k / (len(kept) + 1), "seeds") for k, p in enumerate(kept)]


def _plain(mask: npt.NDArray[np.bool_], image: RGB) -> rle.RLE:
    size = (image.shape[1], image.shape[0])
    return rle.encode(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5)


METHODS: dict[str, Method] = {"ours": ours, "tokencut": tokencut, "seeds": seeds}


def score(found: list[Proposal], sample: Sample) -> tuple[float, npt.NDArray[np.float64]]:
    """IoU of the first proposal with the union, and (objects, len(COUNTS)) best IoU among so many."""
    truth = [rle.encode(mask) for mask in sample.objects]
    if not found:
        return 0.0, np.zeros((len(truth), len(COUNTS)))
    first = iou(found[0].mask, sample.foreground)
    overlaps = iou_matrix([p.rle for p in found], truth)
    best = np.stack([overlaps[:n].max(axis=0) for n in COUNTS], axis=1)
    return first, best


def evaluate(labeler: Labeler, data: Path, method: Method) -> dict[str, Any]:
    """All figures of one folder and method."""
    first: list[float] = []
    best: list[npt.NDArray[np.float64]] = []
    seconds: dict[str, float] = defaultdict(float)
    for sample in samples(data):
        image = decode(sample.image)
        start = time.perf_counter()
        features = labeler.encode([image])[0]
        encoded = time.perf_counter()
        found = method(labeler, image, features)
        proposed = time.perf_counter()
        for proposal in found:
            mask_to_polygons(proposal.mask)
        seconds["backbone"] += encoded - start
        seconds["proposals"] += proposed - encoded
        seconds["polygons"] += time.perf_counter() - proposed
        one, many = score(found, sample)
        first.append(one)
        best.append(many)
    objects = np.concatenate(best)
    total = sum(seconds.values())
    return {
        "images": len(first),
        "objects": len(objects),
        "foreground_iou": float(np.mean(first)),
        "recall_50": {str(n): float((objects[:, i] >= 0.5).mean()) for i, n in enumerate(COUNTS)},
        "average_recall": {
            str(n): float((objects[:, i, None] >= THRESHOLDS).mean()) for i, n in enumerate(COUNTS)
        },
        "share_iou_80": float((objects[:, -1] >= 0.8).mean()),
        "images_per_second": len(first) / total,
        "time_share": {stage: value / total for stage, value in seconds.items()},
    }


def line(name: str, method: str, row: dict[str, Any]) -> str:
    """One row of the Markdown table."""
    recall, average = row["recall_50"].values(), row["average_recall"].values()
    share = " / ".join(f"{100 * v:.0f}" for v in row["time_share"].values())
    return (
        f"| {name} | {method} | {row['foreground_iou']:.3f} | {' / '.join(f'{v:.2f}' for v in recall)} "
        f"| {' / '.join(f'{v:.2f}' for v in average)} | {row['share_iou_80']:.2f} "
        f"| {row['images_per_second']:.2f} | {share} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--method", nargs="+", choices=METHODS, default=["ours"])
    parser.add_argument("--model", default="dinov2-small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--size", type=int, default=518)
    parser.add_argument("--max-proposals", type=int, default=max(COUNTS))
    parser.add_argument(
        "--features", type=Path, help="keep features in this folder (times are then not real)"
    )
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args()
    labeler = Labeler.load(
        args.model,
        device=args.device,
        dtype=args.dtype,
        size=args.size,
        max_proposals=args.max_proposals,
        cache=FeatureCache(args.features, 1 << 34) if args.features else None,
    )
    results: dict[str, Any] = {"fingerprint": labeler.fingerprint, "date": time.strftime("%Y-%m-%d")}
    print(f"{labeler.fingerprint}\n")
    print(
        "| data | method | foreground IoU | recall@0.5 with 1 / 10 / 100 | AR with 1 / 10 / 100 "
        "| best IoU ≥ 0.8 | images/s | % backbone / proposals / polygons |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for data in args.data:
        for method in args.method:
            row = evaluate(labeler, data, METHODS[method])
            results.setdefault(data.name, {})[method] = row
            print(line(data.name, method, row), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
