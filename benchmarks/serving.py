"""How long does a labeler look at a blank page while a batch runs?

    python benchmarks/serving.py --data DIR [--opened 40] [--json FILE]

Starts `labeler serve` with empty caches and posts a batch of pictures, which keeps the model busy for the
whole run. Meanwhile it opens others one by one, as Label Studio does when somebody opens a task: cold, then
the same ones again, now warm. /health is asked ten times a second all the while.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from labeler_backend.settings import load_settings

CONFIG = (
    '<View><Image name="image" value="$image"/>'
    '<PolygonLabels name="polygon" toName="image" smart="false"><Label value="object"/></PolygonLabels>'
    "</View>"
)


@contextmanager
def server(folder: Path, media: Path, size: int) -> Iterator[str]:
    """A real server with empty caches, but for the weights; gives its URL."""
    cache = folder / "cache"
    cache.mkdir(parents=True)
    for kept in ("weights", "roles"):
        there = load_settings().cache_dir / kept
        if there.is_dir():
            (cache / kept).symlink_to(there)
    environment = os.environ | {
        "LABELER_CACHE_DIR": str(cache),
        "LABELER_DATA_DIR": str(folder / "data"),
        "LABELER_MEDIA_ROOTS": str(media),
    }
    command = [sys.executable, "-m", "labeler_backend.cli", "serve", "--port", "0", "--size", str(size)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        url = next(found.group() for line in process.stdout if (found := re.search(r"http://\S+:\d+", line)))
        threading.Thread(target=process.stdout.read, daemon=True).start()
        wait_until_loaded(url)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def wait_until_loaded(url: str) -> None:
    """Returns once the model can answer."""
    while httpx.get(f"{url}/status.json").json()["model"]["state"] != "ready":
        time.sleep(0.2)


def predict(url: str, tasks: Sequence[tuple[int, Path]]) -> list[Any]:
    """The elements that /predict answers for (id, picture) each."""
    body = {
        "tasks": [{"id": number, "data": {"image": str(path)}} for number, path in tasks],
        "project": "1.1",
        "label_config": CONFIG,
    }
    elements: list[Any] = httpx.post(f"{url}/predict", json=body, timeout=120).json()["results"]
    return elements


def open_each(url: str, tasks: Sequence[tuple[int, Path]], pause: float) -> tuple[list[float], int]:
    """Seconds until each is answered, and how many answers hold no region."""
    seconds, empty = [], 0
    for task in tasks:
        begun = time.perf_counter()
        (element,) = predict(url, [task])
        seconds.append(time.perf_counter() - begun)
        empty += not (element and element["result"])
        time.sleep(pause)
    return seconds, empty


def ask_health(url: str, seconds: list[float], stop: threading.Event) -> None:
    """Ten times a second, over one connection as a monitor does."""
    with httpx.Client() as client:
        while not stop.wait(0.1):
            begun = time.perf_counter()
            client.get(f"{url}/health")
            seconds.append(time.perf_counter() - begun)


def run(files: Sequence[Path], media: Path, opened: int, size: int) -> dict[str, Any]:
    """One server, one batch, and what is opened beside it."""
    numbered = list(enumerate(files, 1))
    batch, single = numbered[opened:], numbered[:opened]
    answered: list[Any] = []
    health: list[float] = []
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():  # again when it is through: pictures it has done cost nothing then
            answered[:] = predict(url, batch)
            time.sleep(0.05)

    with tempfile.TemporaryDirectory() as folder, server(Path(folder), media, size) as url:
        threads = [
            threading.Thread(target=keep_busy),
            threading.Thread(target=ask_health, args=(url, health, stop)),
        ]
        for thread in threads:
            thread.start()
        time.sleep(3)
        cold, cold_empty = open_each(url, single, 0.5)
        left_after_cold = httpx.get(f"{url}/status.json").json()["queue"]
        warm, warm_empty = open_each(url, single, 0.1)
        left = httpx.get(f"{url}/status.json").json()["queue"]
        stop.set()
        for thread in threads:
            thread.join()
    return {
        "size": size,
        "batch": len(batch),
        "batch_waiting_when_done": left["batch"],
        "cold": summary(cold) | {"without_proposals": cold_empty, "batch_waiting": left_after_cold["batch"]},
        "warm": summary(warm) | {"without_proposals": warm_empty},
        "health": summary(health),
    }


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """How many, and percentiles in seconds."""
    marks = {f"p{q}": round(float(np.percentile(seconds, q)), 3) for q in (50, 95, 99)}
    return {"n": len(seconds), **marks, "max": round(max(seconds), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of images")
    parser.add_argument("--opened", type=int, default=40, help="how many pictures are opened one by one")
    parser.add_argument("--batch", type=int, default=400, help="how many pictures the batch has")
    parser.add_argument("--size", type=int, default=518)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    media = args.data.resolve()
    files = sorted(p for p in media.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    wanted = args.opened + args.batch
    result = run(files[:: max(1, len(files) // wanted)][:wanted], media, args.opened, args.size)
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
