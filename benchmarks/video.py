"""How well are masks carried through a video, and what does it cost?

    python benchmarks/video.py --data DIR [--given 1 2 4] [--method ours dino] [--sequence NAME ...]
                               [--features DIR] [--json FILE]

DIR holds `<sequence>/frames/*.jpg` and `<sequence>/labels/*.png` (0 = background, ids above). For every
method, number of given masks and sequence: J (IoU), F (boundaries, as DAVIS defines it) and their mean, over
objects and all frames but the given ones; frames per second; and the time over that of the backbone alone,
measured in the same run, frame by frame (with --features, which keeps the backbone's answers, times are left
out). One given mask is that of the first frame; more are spread evenly from the first to the last.

Then, unless --composites 0, videos made of two objects that cross and of which one leaves, with the first
frame's masks: J of each object, identity switches, HOTA, and after how many frames the object that left is
absent.

Methods: `ours`, the product, and `dino`, DINO's recipe as published.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.composites import LEAVES, STAYS, composite
from benchmarks.dino_recipe import dino_recipe
from benchmarks.hota import hota, similarities, switches
from labeler_backend.backbone.cache import FeatureCache, encode_cached
from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.features import Features
from labeler_backend.masks.metrics import boundary_f, iou
from labeler_backend.media import RGB, decode
from labeler_backend.video.propagate import SIZE, Carried, Frames, propagate
from labeler_backend.video.sizing import short_side

Labels = npt.NDArray[np.uint16]
Encode = Callable[[RGB], Features]
Method = Callable[[Frames, Mapping[int, Labels], Encode], Iterator[Carried]]
METHODS: dict[str, Method] = {"ours": propagate, "dino": dino_recipe}


@dataclass(frozen=True)
class Picture:
    """One frame."""

    index: int
    image: RGB


@dataclass(frozen=True)
class Clip:
    """A video with its truth; pictures and labels are read when they are asked for."""

    name: str
    pictures: Sequence[Path | RGB]
    labels: Sequence[Path | Labels]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int, /) -> Picture:
        picture = self.pictures[index]
        return Picture(index, decode(picture) if isinstance(picture, Path) else picture)

    def truth(self, index: int) -> Labels:
        """(H, W) ids."""
        labels = self.labels[index]
        return np.asarray(Image.open(labels)).astype(np.uint16) if isinstance(labels, Path) else labels


def clips(data: Path, names: Sequence[str] | None) -> list[Clip]:
    """The sequences of a folder, or those named."""
    found = []
    for folder in sorted(p for p in data.iterdir() if names is None or p.name in names):
        frames = sorted((folder / "frames").glob("*.jpg"))
        if frames:
            found.append(Clip(folder.name, frames, [folder / "labels" / f"{f.stem}.png" for f in frames]))
    if not found:
        raise SystemExit(f"{data}: no such <sequence>/frames/*.jpg in it; name another folder or sequence.")
    return found


def spread(count: int, frames: int) -> list[int]:
    """Indices of so many given frames, the first and evenly to the last."""
    return [0] if count == 1 else [round(k * (frames - 1) / (count - 1)) for k in range(count)]


@dataclass
class Clock:
    """The backbone, and the time it took."""

    encoder: Encoder
    size: int
    """Short side in pixels."""
    cache: FeatureCache | None
    seconds: float = 0.0
    calls: int = 0

    def __call__(self, image: RGB) -> Features:
        """Features of one picture."""
        start = time.perf_counter()
        features = encode_cached(self.encoder, self.cache, [image], self.size, "short")[0]
        self.seconds += time.perf_counter() - start
        self.calls += 1
        return features


def carried(method: Method, clip: Clip, given: Sequence[int], clock: Clock) -> tuple[list[Carried], float]:
    """All frames, and the seconds it took beside the reading of frames."""
    begin, reading = time.perf_counter(), Reading(clip)
    found = list(method(reading, {index: clip.truth(index) for index in given}, clock))
    return found, time.perf_counter() - begin - reading.seconds


@dataclass
class Reading:
    """A clip, and the time that reading it took."""

    clip: Clip
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, index: int, /) -> Picture:
        start = time.perf_counter()
        picture = self.clip[index]
        self.seconds += time.perf_counter() - start
        return picture


def scored(clip: Clip, found: Sequence[Carried], given: Sequence[int]) -> tuple[float, float]:
    """Mean J and F over objects and frames; given frames are left out."""
    ids = sorted({int(one) for index in given for one in np.unique(clip.truth(index)) if one})
    areas, borders = [], []
    for one in found:
        if one.index not in given:
            truth = clip.truth(one.index)
            areas += [iou(one.labels == k, truth == k) for k in ids]
            borders += [boundary_f(one.labels == k, truth == k) for k in ids]
    return float(np.mean(areas)), float(np.mean(borders))


def short_side_of(name: str, clip: Clip, given: Sequence[int], encoder: Encoder, asked: int | None) -> int:
    """What was asked for; else what the product takes for this clip, and SIZE for every other method."""
    if asked:
        return asked
    return short_side((clip.truth(i) for i in given), encoder.patch) if name == "ours" else SIZE


def measure(name: str, clip: Clip, count: int, clock: Clock, size: int | None) -> dict[str, Any]:
    """One row: a method, a sequence and a number of given masks."""
    given = spread(count, len(clip))
    clock.seconds, clock.calls = 0.0, 0
    clock.size = short_side_of(name, clip, given, clock.encoder, size)
    found, seconds = carried(METHODS[name], clip, given, clock)
    j, f = scored(clip, found, given)
    row: dict[str, Any] = {"method": name, "sequence": clip.name, "given": count, "frames": len(clip)}
    row["size"] = clock.size
    row |= {"J": j, "F": f, "J&F": (j + f) / 2}
    if clock.cache is None:
        # frames encoded again count as cost: the backbone alone sees each once
        bare = clock.seconds / clock.calls * len(clip)
        row |= {"fps": len(clip) / seconds, "over_backbone": seconds / bare}
    return row


def crossing(every: Sequence[Clip], number: int) -> tuple[Clip, int]:
    """The composite of that number, and when its second object has left."""
    stays, leaves, behind = (every[(2 * number + k) % len(every)] for k in (0, 1, 4))
    made = composite(_cut_out(stays), _cut_out(leaves), [behind[i].image for i in range(len(behind))])
    return Clip(f"{stays.name} × {leaves.name}", made.images, made.labels), made.left_at


def _cut_out(clip: Clip) -> list[tuple[RGB, npt.NDArray[np.bool_]]]:
    return [(clip[i].image, clip.truth(i) > 0) for i in range(len(clip))]


def measure_crossing(name: str, clip: Clip, left_at: int, clock: Clock, size: int | None) -> dict[str, Any]:
    """One row of the composites."""
    clock.size = short_side_of(name, clip, [0], clock.encoder, size)
    found, _ = carried(METHODS[name], clip, [0], clock)
    labels, truth = [one.labels for one in found], [clip.truth(i) for i in range(len(clip))]
    each = {
        k: float(
            np.mean(
                [iou(a == k, b == k) for a, b in zip(labels[1:], truth[1:], strict=True) if (b == k).any()]
            )
        )
        for k in (STAYS, LEAVES)
    }
    frames = similarities(labels[1:], truth[1:])
    seen = [i for i, one in enumerate(labels) if i >= left_at and (one == LEAVES).any()]
    gone = max(seen) + 1 - left_at if seen else 0
    row = {"method": name, "sequence": clip.name, "J_stays": each[STAYS], "J_leaves": each[LEAVES]}
    return row | {"switches": switches(frames), "HOTA": hota(frames), "frames_until_absent": gone}


def show(row: Mapping[str, Any]) -> None:
    """One line of a Markdown table."""
    cells = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()]
    print(f"| {' | '.join(cells)} |", flush=True)


def head(row: Mapping[str, Any]) -> None:
    """The heading of a Markdown table."""
    print(f"\n| {' | '.join(row)} |\n|{'---|' * len(row)}", flush=True)


def table(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shows rows as they come, and returns them."""
    found: list[dict[str, Any]] = []
    for row in rows:
        if not found:
            head(row)
        show(row)
        found.append(row)
    return found


def means(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Per method and number of given masks, the mean over sequences."""
    for key in dict.fromkeys((row["method"], row["given"]) for row in rows):
        chosen = [row for row in rows if (row["method"], row["given"]) == key]
        figures = [name for name, value in chosen[0].items() if isinstance(value, float)]
        yield {"method": key[0], "given": key[1], "sequences": len(chosen)} | {
            name: float(np.mean([row[name] for row in chosen])) for name in figures
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sequence", nargs="+", help="only these")
    parser.add_argument("--given", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--composites", type=int, default=4)
    parser.add_argument("--model", default="dinov2-small")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument(
        "--size",
        type=int,
        help=f"short side in pixels; without it, {SIZE}, or what `ours` takes for small objects",
    )
    parser.add_argument("--features", type=Path, help="keep features in this folder")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args()
    cache = FeatureCache(args.features, 1 << 36) if args.features else None
    encoder = Encoder.load(args.model, device=args.device, dtype=args.dtype)
    clock = Clock(encoder, SIZE, cache)
    every = clips(args.data, args.sequence)
    print(encoder.model_key)
    rows = table(
        measure(name, clip, count, clock, args.size)
        for count in args.given
        for name in args.method
        for clip in every
    )
    summary = table(means(rows))
    made = (crossing(every, number) for number in range(args.composites))
    crossed = table(
        measure_crossing(name, clip, left_at, clock, args.size)
        for clip, left_at in made
        for name in args.method
    )
    if args.json:
        facts = {"model": encoder.model_key, "date": time.strftime("%Y-%m-%d")}
        text = json.dumps({**facts, "rows": rows, "means": summary, "composites": crossed}, indent=2)
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
