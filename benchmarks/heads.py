"""What does a head cost beside the backbone?

    python benchmarks/heads.py --data DIR [--data DIR ...] [--images 5] [--threads 2] [--json FILE]

For every data set (a folder named as one of benchmarks/splits/*.json) a head is trained on the first images
of the split's pool, and answers for test images. In one run, in turn and picture by picture: the backbone;
the emergent pool, from which a head chooses, and which is the same for each head; the head's class map, its
pixel map with that, and its whole answer with both. The median over the pictures of the best of the rounds;
ratios are of the backbone's time. Speeds drift; ratios within one run hardly do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.learning import SPLITS, Picture, picture
from benchmarks.loading import add_model_options, load
from labeler_backend.heads.head import Head
from labeler_backend.heads.training import train
from labeler_backend.labeler import Labeler


def parts(labeler: Labeler, head: Head, seen: Picture) -> dict[str, Callable[[], Any]]:
    """What is timed, on one picture."""
    image, features = seen.image, seen.sample.features
    return {
        "backbone": lambda: labeler.encoder.encode([image], labeler.size),
        "pool": lambda: labeler.pool(image, features),
        "class map": lambda: head.class_map(image, features),
        "pixel map": lambda: head.pixel_map(image, features, seen.sample.proposals),
        "answer": lambda: head.answer(image, features, seen.sample.proposals),
    }


def times(labeler: Labeler, head: Head, tests: list[Picture], rounds: int) -> dict[str, float]:
    """Seconds of each part, the median over the pictures."""
    best: list[dict[str, float]] = []
    for seen in tests:
        todo = parts(labeler, head, seen)
        found = dict.fromkeys(todo, float("inf"))
        for _ in range(rounds):
            for name, run in todo.items():
                start = time.perf_counter()
                run()
                found[name] = min(found[name], time.perf_counter() - start)
        best.append(found)
    return {name: statistics.median(one[name] for one in best) for name in best[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--images", type=int, default=5, help="learned from")
    parser.add_argument("--tests", type=int, default=9, help="timed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    add_model_options(parser)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args()
    labeler = load(args)
    torch.set_num_threads(args.threads)
    rows: list[dict[str, Any]] = []
    print(f"{labeler.fingerprint}, {args.threads} threads: milliseconds (share of the backbone's)\n")
    for data in args.data:
        split = json.loads((SPLITS / f"{data.name}.json").read_text(encoding="utf-8"))
        known = [picture(labeler, data, name, False) for name in split["pool"][: args.images]]
        tests = [picture(labeler, data, name, False) for name in split["test"][: args.tests]]
        head = train([p.sample for p in known], shown=labeler.shown).head
        found = times(labeler, head, tests, args.rounds)
        rows.append({"data": data.name, "kind": head.kind, "threads": args.threads, **found})
        shares = [f"{name} {1e3 * s:.0f} ({s / found['backbone']:.2f})" for name, s in found.items()]
        print(f"{data.name}, {head.kind}: {', '.join(shares)}", flush=True)
    if args.json:
        facts = {"fingerprint": labeler.fingerprint, "date": time.strftime("%Y-%m-%d"), "rows": rows}
        args.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
