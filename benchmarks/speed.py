"""What does everything around the backbone cost?

    python benchmarks/speed.py --data DIR [--device cuda] [--json FILE]

Runs `labeler masks` (decode, encode, propose, refine, RLE, PNG, overlay, report) and the bare backbone (its
forward pass on decoded images of the model's own size) in turn on the same images, at the same size and
batch, and gives the ratio of their images/s, round by round. Speeds drift; ratios within one run hardly do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from exporters.coco.dataset import instance, write_coco
from exporters.masks import write_instance_png
from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.preprocess import resize
from labeler_backend.batch.run import run, summary_json
from labeler_backend.batch.types import Formats, Options
from labeler_backend.labeler import Labeler
from labeler_backend.media import RGB, decode
from labeler_backend.proposals.spectral import normalized_cut

FORMATS = Formats(instance=instance, instance_png=write_instance_png, coco=write_coco)


def bare_seconds(encoder: Encoder, images: list[RGB], size: int) -> float:
    """The forward pass alone, image by image, as the batch does it on this device."""
    sizes = [encoder.target_size(image, size) for image in images]
    start = time.perf_counter()
    encoder.encode_at(images, sizes)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of images")
    parser.add_argument("--images", type=int, default=24, help="how many of them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="dinov2-small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", nargs="+", default=["fp32", "auto"])
    parser.add_argument("--size", type=int, default=518)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    files = sorted(p for p in args.data.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
    files = files[:: max(1, len(files) // args.images)][: args.images]
    results = {dtype: measure(args, dtype, files) for dtype in args.dtype}
    for row in results.values():
        print(
            f"{row['model']}: bare {row['bare']:.2f} images/s, labeler masks {row['masks']:.2f}, "
            f"ratio {row['ratio']:.2f} (rounds {', '.join(f'{v:.2f}' for v in row['ratios'])}); "
            f"normalised cut / backbone {row['spectral_ratio']:.3f}"
        )
        print("  thread-seconds " + ", ".join(f"{k} {v:.1f}" for k, v in row["seconds"].items()))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(args: argparse.Namespace, dtype: str, files: list[Path]) -> dict[str, Any]:
    """Rounds of both, in turn, in one number format."""
    labeler = Labeler.load(args.model, device=args.device, dtype=dtype, size=args.size)
    images = [decode(file) for file in files]
    resized = [resize(image, labeler.encoder.target_size(image, args.size)) for image in images]
    features = labeler.encode(images[:4])
    bare_seconds(labeler.encoder, resized[:2], args.size)
    bare, masks, seconds = [], [], {}
    for _ in range(args.rounds):
        bare.append(len(files) / bare_seconds(labeler.encoder, resized, args.size))
        with tempfile.TemporaryDirectory() as out:
            done = run([str(f) for f in files], Path(out) / "run", lambda: labeler, Options(), FORMATS)
        masks.append(done.images_per_second)
        seconds = summary_json(done)["seconds"]
    start = time.perf_counter()
    for one in features:
        normalized_cut(one.tokens)
    spectral = (time.perf_counter() - start) / len(features)
    ratios = [m / b for m, b in zip(masks, bare, strict=True)]
    return {
        "model": labeler.encoder.model_key,
        "device": str(labeler.encoder.device),
        "date": time.strftime("%Y-%m-%d"),
        "images": len(files),
        "bare": statistics.median(bare),
        "masks": statistics.median(masks),
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "spectral_ratio": spectral * statistics.median(bare),
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
