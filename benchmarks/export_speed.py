"""How long does a large project take to COCO, and how much memory?

    python -m benchmarks.export_speed [--tasks 10000] [--polygons 10] [--points 24] [--rounds 3] [--json FILE]

Writes a JSON export of Label Studio's with that many polygons (the same ones every time) and turns it into
COCO with label-studio-sdk's converter and with `labeler export`, in turn, each in a process of its own.
Seconds are those of the whole process, start included. Speeds drift; ratios within one run hardly do.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Nothing large may be imported or read in this process: a child's peak memory counts from its parent's.
LABELS = "abcdef"
SIZES = ((640, 480), (1280, 720), (1024, 768))
CONFIG = (
    '<View><Image name="image" value="$image"/><PolygonLabels name="label" toName="image">'
    + "".join(f'<Label value="{label}"/>' for label in LABELS)
    + "</PolygonLabels></View>"
)
SDK = """
import sys
from label_studio_sdk.converter import Converter
Converter(sys.argv[1], project_dir=None, download_resources=False).convert_to_coco(
    sys.argv[2], sys.argv[3], is_dir=False)
"""
COUNT = """
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.json")):
    content = json.loads(path.read_text())
    if "annotations" in content and "images" in content:
        print(len(content["images"]), len(content["annotations"]))
        break
"""


@dataclass(frozen=True)
class Run:
    """One export: wall time in seconds, peak memory in MB."""

    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--polygons", type=int, default=10, help="of each task")
    parser.add_argument("--points", type=int, default=24, help="of each polygon")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args.tasks, args.polygons, args.points, args.rounds, Path(folder))
    what = f"{args.tasks} tasks × {args.polygons} polygons × {args.points} points"
    print(f"{what}, {result['file_mb']:.0f} MB of JSON")
    for name in ("sdk", "labeler"):
        row = result[name]
        print(
            f"{name:8} {row['seconds']:6.2f} s  {row['megabytes']:6.0f} MB  {row['annotations']} annotations"
        )
    rounds = ", ".join(f"{ratio:.2f}" for ratio in result["ratios"])
    print(f"label-studio-sdk / labeler: {result['ratio']:.2f} times as long (rounds {rounds})")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if result["sdk"]["annotations"] != result["labeler"]["annotations"]:
        raise SystemExit("They do not hold the same number of annotations.")


def measure(tasks: int, polygons: int, points: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Rounds of both, in turn, on one file in an empty folder."""
    file = folder / "export.json"
    write_export(file, tasks, polygons, points)
    ways = {
        "sdk": [sys.executable, "-c", SDK, CONFIG, str(file)],
        "labeler": [sys.executable, "-m", "labeler_backend.cli", "export", str(file), "--out"],
    }
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    counts = {}
    for n in range(rounds):
        for name, command in ways.items():
            out = folder / f"{name}-{n}"
            runs[name].append(timed([*command, str(out)]))
            counts[name] = counted(out)
    ratios = [sdk.seconds / ours.seconds for sdk, ours in zip(runs["sdk"], runs["labeler"], strict=True)]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "tasks": tasks,
        "polygons": polygons,
        "points": points,
        "file_mb": file.stat().st_size / 1e6,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        **{name: summary(runs[name], counts[name]) for name in ways},
    }


def summary(runs: Sequence[Run], counts: tuple[int, int]) -> dict[str, Any]:
    """Median time, greatest memory, what was written."""
    return {
        "seconds": statistics.median(run.seconds for run in runs),
        "megabytes": max(run.megabytes for run in runs),
        "images": counts[0],
        "annotations": counts[1],
    }


def timed(command: Sequence[str]) -> Run:
    """One process from start to end; SystemExit with what it said where it fails."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            end = said.read().decode(errors="replace").strip()[-500:]
            raise SystemExit(f"{' '.join(command)[:200]} ended with {process.returncode}:\n{end}")
    per_unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return Run(seconds, usage.ru_maxrss * per_unit / 1e6)


def counted(folder: Path) -> tuple[int, int]:
    """Images and annotations of the COCO file in a folder, read in another process."""
    said = subprocess.run(
        [sys.executable, "-c", COUNT, str(folder)], capture_output=True, text=True, check=True
    )
    images, annotations = (int(number) for number in said.stdout.split())
    return images, annotations


def write_export(path: Path, tasks: int, polygons: int, points: int) -> None:
    """A JSON export as Label Studio writes it, the same one every time."""
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, task in enumerate(tasks_of(rng, tasks, polygons, points)):
            file.write(("," if number else "") + json.dumps(task))
        file.write("]")


def tasks_of(rng: random.Random, tasks: int, polygons: int, points: int) -> Iterator[dict[str, Any]]:
    """One task at a time."""
    when = "2026-01-01T10:00:00Z"
    for number in range(1, tasks + 1):
        width, height = rng.choice(SIZES)
        result = [
            {
                "id": f"{number:06}{n:04}",
                "type": "polygonlabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "origin": "manual",
                "value": {"points": star(rng, points), "closed": True, "polygonlabels": [rng.choice(LABELS)]},
            }
            for n in range(polygons)
        ]
        annotation = {
            "id": number,
            "completed_by": 1,
            "result": result,
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": when,
            "updated_at": when,
            "lead_time": 10.0,
            "prediction": {},
            "result_count": polygons,
            "task": number,
            "project": 1,
        }
        yield {
            "id": number,
            "annotations": [annotation],
            "drafts": [],
            "predictions": [],
            "data": {"image": f"/data/upload/1/{number:08x}-picture{number}.jpg"},
            "meta": {},
            "created_at": when,
            "updated_at": when,
            "inner_id": number,
            "total_annotations": 1,
            "cancelled_annotations": 0,
            "total_predictions": 0,
            "project": 1,
        }


def star(rng: random.Random, points: int) -> list[list[float]]:
    """A polygon that does not cross itself, in percent."""
    cx, cy, radius = rng.uniform(15, 85), rng.uniform(15, 85), rng.uniform(3, 12)
    ring = []
    for n in range(points):
        at, out = 2 * math.pi * n / points, radius * (0.7 + 0.3 * rng.random())
        ring.append([cx + out * math.cos(at), cy + out * math.sin(at)])
    return ring


if __name__ == "__main__":
    main()
