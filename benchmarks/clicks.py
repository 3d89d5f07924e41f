"""How many clicks does an object take, and how long does one last?

    python -m benchmarks.clicks --data DIR [--data DIR ...] [--half dev|held-out] [--json FILE]

A simulated annotator, as is usual: the first click goes into the middle of the object (the deepest point of
its distance transform), each next one into the middle of the largest connected error, positive where the mask
lacks something and negative where it has too much. Per folder (layouts: see ground_truth.py): IoU after 1, 3,
5 and 10 clicks; the mean number of clicks to IoU 0.85 and 0.90, 20 where it is not reached by then; the share
of clicks after which IoU was lower by more than 0.02; the IoU of a box drawn tightly around the object, and
of a scribble along its middle; and the time of a click with features and pool in the caches. The first click
that looks a second time at a part of the picture, enlarged, counts in a column of its own.

`plain` is the baseline: similarity of tokens to the positive clicks against the negative ones, the guided
filter, and the part under the clicks. `ours-new` is ours when each request carries nothing but the new click
and the mask so far. `studio` is what a labeler sees in Label Studio with auto-accept on: a request has the
new click alone, and the mask so far as a brush region on the picture; an answer that does not go to that
region leaves it as it is.

Halves are of pictures (of sequences for videos), drawn with a seed: constants were chosen on `dev`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from skimage.morphology import skeletonize

from benchmarks.ground_truth import BoolMask, Sample, samples
from benchmarks.loading import add_model_options, load
from labeler_backend.backbone.features import unit_tokens
from labeler_backend.labeler import Labeler
from labeler_backend.masks.guided import apply, coefficients
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.refine import prepare
from labeler_backend.masks.shape import to_mask
from labeler_backend.media import RGB, decode
from labeler_backend.prompts.types import Answer, Answered, Box, Point, Prompt, Scribble
from labeler_backend.studio.clicks import Clicked, answer_click
from labeler_backend.studio.config import read_config
from labeler_backend.studio.prompting import Pointing
from labeler_backend.studio.regions import Place, mask_to_regions, region_to_shape

CAP = 20
SHOWN = (1, 3, 5, 10)
WORSE = 0.02
SMALLEST = 40
"""Pixels: nobody cuts out smaller objects with clicks, and their ground truth is noise."""
SEED = 0
CONFIG = """<View><Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image" smart="false"><Label value="object"/></BrushLabels></View>"""
Method = Callable[[Labeler, RGB, Prompt], Answer]


@dataclass(frozen=True, eq=False)
class Subject:
    """One object to cut out."""

    image: Path
    truth: BoolMask


@dataclass
class Played:
    """One object, click by click: IoU, seconds, and whether it looked at a part for the first time."""

    ious: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    zoomed: list[bool] = field(default_factory=list)


def subjects(data: Path, half: str, most: int) -> Iterator[list[Subject]]:
    """Objects of one picture after the other.

    Args:
        data: as for `ground_truth.samples`.
        half: `dev`, `held-out` or `all`.
        most: objects of one picture, drawn with a seed.
    """
    rng = np.random.default_rng(SEED)
    groups = sorted({group(one) for one in samples(data)})
    order = rng.permutation(len(groups))
    dev = {groups[k] for k in order[: (len(groups) + 1) // 2]}
    for one in samples(data):
        objects = [mask for mask in one.objects if mask.sum() >= SMALLEST]
        chosen = sorted(rng.permutation(len(objects))[:most].tolist())
        if objects and half in ("all", "dev" if group(one) in dev else "held-out"):
            yield [Subject(one.image, objects[k]) for k in chosen]


def group(sample: Sample) -> str:
    """What must not be in both halves: a video, or a picture."""
    folder = sample.image.parent
    return folder.parent.name if folder.name == "frames" else sample.image.name


def next_click(truth: BoolMask, mask: BoolMask) -> Point | None:
    """Into the middle of the largest error; None where there is none."""
    largest: tuple[int, BoolMask, bool] | None = None
    for error, positive in ((truth & ~mask, True), (mask & ~truth, False)):
        count, labels, facts, _ = cv2.connectedComponentsWithStats(error.astype(np.uint8), connectivity=8)
        if count > 1:
            label = 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
            area = int(facts[label, cv2.CC_STAT_AREA])
            if largest is None or area > largest[0]:
                largest = area, np.asarray(labels == label), positive
    if largest is None:
        return None
    depth = cv2.distanceTransform(np.pad(largest[1], 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return Point(float(x) + 0.5, float(y) + 0.5, largest[2])


def play(
    labeler: Labeler, method: Method, image: RGB, truth: BoolMask, seen: set[Any], only_new: bool = False
) -> Played:
    """Clicks until the cap, or until the mask is right."""
    played = Played()
    mask = np.zeros_like(truth)
    points: list[Point] = []
    for _ in range(CAP):
        point = next_click(truth, mask)
        if point is None:
            break
        points = [point] if only_new else [*points, point]
        prompt = Prompt(tuple(points), previous=mask if played.ious else None)
        started = time.perf_counter()
        answer = method(labeler, image, prompt)
        played.seconds.append(time.perf_counter() - started)
        mask = answer.found[0].mask if answer.found else mask
        played.ious.append(iou(mask, truth))
        window = None if answer.window is None else tuple((s.start, s.stop) for s in answer.window)
        played.zoomed.append(window is not None and window not in seen)
        seen.add(window)
    return played


def ours(labeler: Labeler, image: RGB, prompt: Prompt) -> Answer:
    """The product."""
    return labeler.click(image, prompt)


def plain(labeler: Labeler, image: RGB, prompt: Prompt) -> Answer:
    """Similarity to positives against negatives, the guided filter, the part under the positive clicks."""
    features = labeler.encode([image])[0]
    unit, (gh, gw), (height, width) = unit_tokens(features.tokens), features.grid, image.shape[:2]

    def nearest(positive: bool) -> npt.NDArray[np.float32] | None:
        at = [
            (int(p.y * gh / height), int(p.x * gw / width)) for p in prompt.points if p.positive == positive
        ]
        if not at:
            return None
        return np.asarray((unit @ np.stack([unit[place] for place in at]).T).max(axis=-1), np.float32)

    like, unlike = nearest(True), nearest(False)
    ground: npt.NDArray[np.float32] = np.full((gh, gw), 0.45, np.float32)
    if unlike is not None:
        ground = np.asarray(np.maximum(ground, unlike), np.float32)
    soft = np.zeros((gh, gw), np.float32) if like is None else 1 / (1 + np.exp((ground - like) / 0.1))
    canvas = prepare(image, features.grid)
    h, w = canvas.coarse.image.shape[:2]
    wide = np.asarray(cv2.resize(soft, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
    pixels = apply(coefficients(canvas.coarse, wide, (slice(0, h), slice(0, w))), canvas.picture)
    mask = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    clicked = {int(labels[int(p.y), int(p.x)]) for p in prompt.points if p.positive} - {0}
    mask = np.isin(labels, list(clicked))
    for x, y, positive in prompt.points:
        mask[int(y), int(x)] = positive
    return Answer((Answered(mask, 1.0),))


def box_of(truth: BoolMask) -> Box:
    """Tightly around it."""
    rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1)


def stroke_of(truth: BoolMask) -> BoolMask:
    """Along the middle: what is deeper than half of the greatest depth, thinned to its skeleton."""
    depth = cv2.distanceTransform(np.pad(truth, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(skeletonize(depth >= 0.5 * depth.max()), bool)


def studio(labeler: Labeler, image: RGB, prompt: Prompt) -> Answer:
    """The newest click of a prompt through Label Studio's request and answer."""
    config = read_config(CONFIG)
    height, width = image.shape[:2]
    x, y, positive = prompt.points[-1]
    clicked = (100 * x / width, 100 * y / height, positive)
    pointing = Pointing(config.images[0], 0, "object", (clicked,), (), frozenset())
    drawn = []
    if prompt.previous is not None and prompt.previous.any():
        place = Place("brush", "image")
        drawn = mask_to_regions(
            prompt.previous, "brushlabels", place, object_id="r", labels=["object"], score=1
        )
    windows = []

    def click(one: Prompt) -> Answer:
        found = labeler.click(image, one)
        windows.extend([] if found.window is None else [found.window])
        return found

    task = {"id": 1, "drafts": [{"result": drawn}]}
    answer, notes = answer_click(Clicked(task, config, pointing, ""), (height, width), click)
    mine = [one for one in answer.result if not drawn or one["id"] == "r"]
    mask = to_mask(region_to_shape(mine[0])) if mine else prompt.previous
    found = () if mask is None else (Answered(mask, answer.score),)
    return Answer(found, tuple(notes), windows[-1] if windows else None)


METHODS: dict[str, tuple[Method, bool]] = {
    "ours": (ours, False),
    "ours-new": (ours, True),
    "studio": (studio, True),
    "plain": (plain, False),
}


def evaluate(labeler: Labeler, data: Path, name: str, half: str, most: int) -> dict[str, Any]:
    """All figures of one folder and method."""
    method, only_new = METHODS[name]
    played: list[Played] = []
    boxes: list[float] = []
    strokes: list[float] = []
    for together in subjects(data, half, most):
        image = decode(together[0].image)
        features = labeler.encode([image])[0]
        labeler.pool(image, features)  # both are in the caches from here on
        seen: set[Any] = set()
        for one in together:
            played.append(play(labeler, method, image, one.truth, seen, only_new))
            if name == "ours":
                prompts = (
                    Prompt(boxes=(box_of(one.truth),)),
                    Prompt(scribbles=(Scribble(stroke_of(one.truth)),)),
                )
                for prompt, into in zip(prompts, (boxes, strokes), strict=True):
                    found = labeler.click(image, prompt).found
                    into.append(iou(found[0].mask, one.truth) if found else 0.0)
    return figures(played) | {"box": _mean(boxes), "scribble": _mean(strokes)}


def figures(played: Sequence[Played]) -> dict[str, Any]:
    """Of many objects."""
    padded = np.array([(p.ious + p.ious[-1:] * CAP)[:CAP] for p in played])
    worse = [
        after < before - WORSE for p in played for before, after in zip(p.ious, p.ious[1:], strict=False)
    ]
    clicks = sum(len(p.ious) for p in played)
    times = {False: [0.0], True: [0.0]}
    for p in played:
        for seconds, zoomed in zip(p.seconds, p.zoomed, strict=True):
            times[zoomed].append(1000 * seconds)
    plain_ms, zoom_ms = times[False][1:] or [0.0], times[True][1:] or [0.0]
    return {
        "objects": len(played),
        "iou": {str(n): float(padded[:, n - 1].mean()) for n in SHOWN},
        "noc": {f"{level:.2f}": _clicks_to(padded, level) for level in (0.85, 0.9)},
        "worse": sum(worse) / max(1, clicks),
        "ms": {f"p{q}": float(np.percentile(plain_ms, q)) for q in (50, 95)},
        "zoom": {
            "share": (len(times[True]) - 1) / max(1, clicks),
            **{f"p{q}": float(np.percentile(zoom_ms, q)) for q in (50, 95)},
        },
    }


def _clicks_to(padded: npt.NDArray[np.float64], level: float) -> float:
    reached = padded >= level
    first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, CAP)
    return float(first.mean())


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def line(name: str, method: str, row: dict[str, Any]) -> str:
    """One row of the Markdown table."""
    ious = " / ".join(f"{value:.2f}" for value in row["iou"].values())
    noc = " / ".join(f"{value:.1f}" for value in row["noc"].values())
    more = ["–" if row[kind] is None else f"{row[kind]:.2f}" for kind in ("box", "scribble")]
    zoom = row["zoom"]
    return (
        f"| {name} | {method} | {row['objects']} | {ious} | {noc} | {row['worse']:.3f} | {' | '.join(more)} "
        f"| {row['ms']['p50']:.0f} / {row['ms']['p95']:.0f} "
        f"| {zoom['share']:.2f}: {zoom['p50']:.0f} / {zoom['p95']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--method", nargs="+", choices=METHODS, default=["ours", "plain"])
    parser.add_argument("--half", choices=("dev", "held-out", "all"), default="all")
    parser.add_argument("--most", type=int, default=10, help="objects of one picture")
    add_model_options(parser)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        args.features = args.features or Path(temporary, "features")
        labeler = load(args)
        results: dict[str, Any] = {"fingerprint": labeler.fingerprint, "date": time.strftime("%Y-%m-%d")}
        results["half"] = args.half
        print(f"{labeler.fingerprint}, {args.half}\n")
        print(
            "| data | method | objects | IoU after 1 / 3 / 5 / 10 | clicks to 0.85 / 0.90 | worse | box "
            "| scribble | ms p50 / p95 | second look: share, ms p50 / p95 |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        for data in args.data:
            for method in args.method:
                row = evaluate(labeler, data, method, args.half, args.most)
                results.setdefault(data.name, {})[method] = row
                print(line(data.name, method, row), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
