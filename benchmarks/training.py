"""How long does a training take with many images, their features already stored?

    python benchmarks/training.py --data DIR [--images 500] [--threads 2] [--features DIR]

DIR is the `davis2016` folder that learning.py reads. Frames are taken evenly from all sequences; those of one
sequence are held out together. They are stored as `labeler train` stores them, which is not timed; then a
training is run as it runs in a project: everything is read back from the store, the class map is chosen on
held-out images and fitted, the convolutional head is fitted once for each fold and once more for all, the
quality model too, and the result is measured. Printed are the seconds of each part, and the most memory that
the process held.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks.learning import picture
from benchmarks.loading import add_model_options, load
from labeler_backend.heads.samples import SampleStore
from labeler_backend.heads.training import train
from labeler_backend.heads.types import Sample
from labeler_backend.labeler import Labeler


@dataclass
class Clock:
    """Seconds between the things that a training says it is doing."""

    began: float = field(default_factory=time.perf_counter)
    doing: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def __call__(self, share: float, what: str) -> None:
        """The progress of a training."""
        now = time.perf_counter()
        if self.doing:
            self.seconds[self.doing] = self.seconds.get(self.doing, 0.0) + now - self.began
        self.began, self.doing = now, what


def frames(data: Path, images: int) -> list[str]:
    """`sequence/frame` of so many labelled frames, evenly from all there are."""
    names = sorted(f"{path.parent.parent.name}/{path.stem}" for path in data.glob("*/labels/*.png"))
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, images).round().astype(int))]


def stored(labeler: Labeler, data: Path, names: list[str], folder: Path) -> SampleStore:
    """A store with all of them."""
    store = SampleStore(folder, labeler.encoder.model_key)
    for name in names:
        store.put(picture(labeler, data, name, False).sample)
    return SampleStore(folder, labeler.encoder.model_key)


def read(store: SampleStore, clock: Clock) -> Iterator[Sample]:
    """The samples of a store; the time of reading them is the clock's."""
    clock(0.0, "reading samples")
    yield from store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    add_model_options(parser)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args()
    labeler = load(args)
    names = frames(args.data, args.images)
    with tempfile.TemporaryDirectory() as folder:
        store = stored(labeler, args.data, names, Path(folder))
        torch.set_num_threads(args.threads)
        clock, start = Clock(), time.perf_counter()
        trained = train(read(store, clock), progress=clock, shown=labeler.shown)
        total = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    print(f"{labeler.fingerprint}, {args.threads} threads, {trained.n_images} images, {trained.head.kind}\n")
    print("| part | seconds |")
    print("|---|---|")
    for part, seconds in [*clock.seconds.items(), ("all of it", total)]:
        print(f"| {part} | {seconds:.1f} |")
    print(f"\nmost memory: {peak:.0f} MB")
    if args.json:
        facts = {
            "fingerprint": labeler.fingerprint,
            "date": time.strftime("%Y-%m-%d"),
            "threads": args.threads,
            "images": trained.n_images,
            "seconds": {**clock.seconds, "all": total},
            "peak_mb": peak,
        }
        args.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
