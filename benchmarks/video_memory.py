"""Does memory grow with the length of a video?

    python benchmarks/video_memory.py --sequence DIR [--frames 200 5000] [--size 224] [--json FILE]

DIR holds `frames/*.jpg` and `labels/*.png`, as a sequence of DAVIS does. Its frames, forward and backward in
turn, are made into videos of so many frames. Each goes through `labeler track` with the first frame's mask,
in a process of its own. Given are the most memory that the process held at any time, overlay and tracks
included, and how much more that is than with the first video.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

from labeler_backend.media import RGB, decode

_CHILD = (
    "import resource, sys; from labeler_backend.cli import app; app(sys.argv[1:], standalone_mode=False); "
)
_CHILD += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; of the kernel's figure


def make_video(path: Path, pictures: Sequence[RGB], count: int) -> None:
    """Pictures forward and backward in turn, `count` frames."""
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        (stream.height, stream.width), stream.pix_fmt = pictures[0].shape[:2], "yuv420p"
        for number in range(count):
            picture = pictures[order[number % len(order)]]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def scaled(image: RGB, height: int | None) -> RGB:
    """(H, W, 3), its sides even, at that height where one is asked for."""
    factor = 1.0 if height is None else height / image.shape[0]
    size = [round(side * factor) // 2 * 2 for side in (image.shape[1], image.shape[0])]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def peak(video: Path, mask: Path, out: Path, options: Sequence[str]) -> int:
    """The most bytes that one run held."""
    command = ["track", str(video), "--init", str(mask), "--out", str(out), "--no-cache", "--json", *options]
    made = subprocess.run(
        [sys.executable, "-c", _CHILD, *command], capture_output=True, text=True, check=True
    )
    return int(made.stdout.splitlines()[-1]) * _UNIT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sequence", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs="+", default=[200, 5000])
    parser.add_argument("--size", type=int, default=224, help="short side in pixels of what the model sees")
    parser.add_argument("--height", type=int, help="of the video in pixels; 2160 is 4K")
    parser.add_argument("--model", default="dinov2-small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    options = ["--size", str(args.size), "--model", args.model, "--device", args.device]
    files = sorted((args.sequence / "frames").glob("*.jpg"))
    pictures = [scaled(decode(file), args.height) for file in files]
    height, width = pictures[0].shape[:2]
    labels = np.asarray(Image.open(args.sequence / "labels" / f"{files[0].stem}.png")).astype(np.uint8)
    rows: list[dict[str, Any]] = []
    print(f"{args.sequence.name}, {width}×{height}, short side {args.size}")
    print("\n| frames | most memory, MB | more than the first, MB | s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cv2.imwrite(
            str(folder / "mask.png"), cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        )
        for count in args.frames:
            make_video(folder / f"{count}.mp4", pictures, count)
            start = time.perf_counter()
            held = peak(folder / f"{count}.mp4", folder / "mask.png", folder / f"out{count}", options) / 1e6
            row = {"frames": count, "mb": held, "more_mb": held - (rows[0]["mb"] if rows else held)}
            rows.append({**row, "seconds": time.perf_counter() - start})
            print("| {frames} | {mb:.0f} | {more_mb:+.0f} | {seconds:.0f} |".format(**rows[-1]), flush=True)
    if args.json:
        facts = {"model": args.model, "size": args.size, "height": height, "width": width}
        args.json.write_text(json.dumps({**facts, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
