"""How much does a head know after N accepted images?

    python benchmarks/learning.py --data DIR [--data DIR ...] [--images 1 5 20] [--seeds 0 1 2]
                                  [--json FILE [--resume]]

For every data set (a folder named as one of benchmarks/splits/*.json), number of training images and seed:
the first N images of the split's pool, shuffled with the seed, are learned from as `labeler train` does, and
all test images are measured. Methods in the same run:

    ours      the product's head
    logistic  plain logistic regression on tokens, its connected regions as objects
    knn       dense nearest neighbours on tokens, likewise
    forest    a random forest on colour and texture, as in ilastik, likewise
    nothing   what emerges without labels; the first proposal is the foreground

Figures: IoU of the foreground (mean over images); mIoU of the class map over classes in at least a fifth of
the test images, without and with the background; mask AP at IoU 0.5 (COCO's, mean over classes); seconds of
training.

FILE is written after every row, and benchmarks/learning_curve.py draws it. With --resume, rows that it holds
are not measured again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from pycocotools.coco import COCO
from sklearn.ensemble import RandomForestClassifier

from benchmarks.learning_results import Key, Results, Row, begun, key, write
from benchmarks.loading import add_model_options, load
from labeler_backend.backbone.features import FloatArray
from labeler_backend.errors import LabelerError
from labeler_backend.heads import maps
from labeler_backend.heads.evaluation import average_precision
from labeler_backend.heads.ingest import KEPT_ZOOM
from labeler_backend.heads.maps import Recipe
from labeler_backend.heads.patches import classes_of, table
from labeler_backend.heads.pixels import working_picture
from labeler_backend.heads.samples import coverage
from labeler_backend.heads.training import train
from labeler_backend.heads.types import CORRECTED, SHOWN, Sample
from labeler_backend.labeler import Labeler
from labeler_backend.masks import rle
from labeler_backend.masks.guided import FloatImage
from labeler_backend.masks.metrics import iou
from labeler_backend.media import RGB, decode
from labeler_backend.proposals.types import Proposal

SPLITS = Path(__file__).parent / "splits"
OFTEN = 0.19
"""Share of the test images that hold a class, from which on it counts in mIoU: 8 of 41."""
WORK = 2
"""Label maps are compared at every second pixel."""


@dataclass(frozen=True)
class Picture:
    """One labelled image: a sample, and the image itself."""

    sample: Sample
    image: RGB


@dataclass(frozen=True)
class Said:
    """What a method says of one image: objects, foreground, and a label map at every WORK-th pixel."""

    objects: Sequence[Proposal]
    foreground: rle.BoolMask
    labels: npt.NDArray[np.int64]


Method = Callable[[Picture], Said]


def task_of(data: str, person: bool) -> str:
    """`figure` where all labels of an image are one object, else `objects`."""
    return "figure" if data == "davis2016" or (person and data != "nuts_coco") else "objects"


def truth_of(data: Path, name: str, person: bool) -> Iterator[tuple[str, rle.BoolMask]]:
    """Label and mask of every object of an image of one of the four data sets."""
    if data.name == "nuts_coco":
        coco = _coco(data / "trainval.json")
        image = next(i for i in coco.imgs.values() if Path(i["file_name"]).stem == name)
        for row in coco.loadAnns(coco.getAnnIds(image["id"])):
            mask = coco.annToMask(row).astype(bool)
            if mask.any():
                yield coco.cats[row["category_id"]]["name"], mask
        return
    path = data / "labels" / f"{name}.png"
    if data.name == "davis2016":
        sequence, frame = name.split("/")
        path = data / sequence / "labels" / f"{frame}.png"
    numbers = np.asarray(Image.open(path))
    if task_of(data.name, person) == "figure":
        if numbers.any():
            yield "figure", numbers > 0
        return
    for number in np.unique(numbers[numbers > 0]):
        yield ("nucleus" if data.name == "dsb2018" else f"class {number:02d}"), numbers == number


_known: dict[Path, COCO] = {}


def _coco(path: Path) -> COCO:
    if path not in _known:
        _known[path] = COCO(str(path))
    return _known[path]


def image_of(data: Path, name: str) -> Path:
    """The file of an image."""
    if data.name == "davis2016":
        sequence, frame = name.split("/")
        return data / sequence / "frames" / f"{frame}.jpg"
    return next((data / "images").glob(f"{name}.*"))


def picture(labeler: Labeler, data: Path, name: str, person: bool) -> Picture:
    """As `labeler train` would store it."""
    image = decode(image_of(data, name))
    features = labeler.encode([image])[0]
    objects = list(truth_of(data, name, person))
    masks = tuple(rle.encode(mask) for _, mask in objects)
    return Picture(
        Sample(
            key=name,
            group=name.split("/")[0],
            features=features,
            picture=working_picture(image, features, KEPT_ZOOM),
            labels=tuple(label for label, _ in objects),
            masks=masks,
            coverage=coverage(masks, features.image_size, features.grid),
            unknown=np.zeros(features.grid, np.uint8),
            trust=CORRECTED,
            proposals=tuple(labeler.pool(image, features)),
            revision="1",
        ),
        image,
    )


def ours(labeler: Labeler, known: Sequence[Picture]) -> Method:
    """The product."""
    head = train([p.sample for p in known], shown=labeler.shown).head

    def say(seen: Picture) -> Said:
        features = seen.sample.features
        objects = head.answer(seen.image, features, seen.sample.proposals).proposals
        shown = [p.mask for p in objects if p.score >= SHOWN] or [p.mask for p in objects[:1]]
        found = np.asarray(np.any(shown, axis=0), bool) if shown else np.zeros(seen.image.shape[:2], bool)
        return Said(
            objects, found, _labels(head.pixel_map(seen.image, features, seen.sample.proposals), seen)
        )

    return say


def plain(recipe: Recipe) -> Callable[[Labeler, Sequence[Picture]], Method]:
    """A class map of tokens alone, upsampled; objects are its connected regions."""

    def learn(labeler: Labeler, known: Sequence[Picture]) -> Method:
        samples = [p.sample for p in known]
        classes = classes_of(samples)
        model = recipe.fit(table(samples, classes))
        return lambda seen: _from_map(maps.probabilities(model, seen.sample.features), seen, classes)

    return learn


def forest(labeler: Labeler, known: Sequence[Picture]) -> Method:
    """Random forest on smoothed colours, gradients and Laplacians of pixels (Berg et al. 2019, ilastik)."""
    samples = [p.sample for p in known]
    classes = classes_of(samples)
    rows, labels = [], []
    rng = np.random.default_rng(0)
    for seen in known:
        values = _texture(seen)
        truth = _truth_labels(seen, classes, (values.shape[0], values.shape[1])).ravel()
        chosen = rng.permutation(len(truth))[:4000]
        rows.append(values.reshape(-1, values.shape[-1])[chosen])
        labels.append(truth[chosen])
    model = RandomForestClassifier(100, min_samples_leaf=5, n_jobs=-1, random_state=0)
    model.fit(np.concatenate(rows), np.concatenate(labels))

    def say(seen: Picture) -> Said:
        values = _texture(seen)
        found = model.predict_proba(values.reshape(-1, values.shape[-1]))
        full = np.zeros((len(classes) + 1, found.shape[0]), np.float32)
        full[model.classes_] = found.T
        return _from_map(full.reshape(-1, *values.shape[:2]), seen, classes)

    return say


def nothing(labeler: Labeler, known: Sequence[Picture]) -> Method:
    """What emerges without labels; everything is of the commonest class."""
    counts = Counter(label for p in known for label in p.sample.labels)
    classes = classes_of([p.sample for p in known])
    common = counts.most_common(1)[0][0]

    def say(seen: Picture) -> Said:
        shown = [replace(p, label=common) for p in seen.sample.proposals]
        first = shown[0].mask if shown else np.zeros(seen.image.shape[:2], bool)
        labels = first[::WORK, ::WORK] * (1 + classes.index(common))
        return Said(shown, first, labels.astype(np.int64))

    return say


METHODS: dict[str, Callable[[Labeler, Sequence[Picture]], Method]] = {
    "ours": ours,
    "logistic": plain(Recipe("logistic", 1e-3)),
    "knn": plain(Recipe("knn")),
    "forest": forest,
    "nothing": nothing,
}


def _from_map(found: FloatArray, seen: Picture, classes: Sequence[str]) -> Said:
    size = seen.image.shape[:2]
    soft = np.stack([cv2.resize(c, size[::-1], interpolation=cv2.INTER_LINEAR) for c in found])
    there = soft[0] < 0.5
    best = soft[1:].argmax(axis=0)
    objects = []
    for number, label in enumerate(classes):
        count, parts = cv2.connectedComponents((there & (best == number)).astype(np.uint8), connectivity=4)
        for part in range(1, min(count, 500)):
            mask = parts == part
            objects.append(Proposal(rle.encode(mask), float(soft[1 + number][mask].mean()), "map", label))
    objects.sort(key=lambda p: -p.score)
    return Said(objects, there, ((best + 1) * there)[::WORK, ::WORK])


def _labels(found: FloatImage, seen: Picture) -> npt.NDArray[np.int64]:
    height, width = seen.image[::WORK, ::WORK].shape[:2]
    soft = np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in found])
    return np.asarray((soft[1:].argmax(axis=0) + 1) * (soft[0] < 0.5), np.int64)


def _truth_labels(seen: Picture, classes: Sequence[str], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    labels = np.zeros(seen.image.shape[:2], np.int32)
    for label, mask in zip(seen.sample.labels, seen.sample.masks, strict=True):
        labels[rle.decode(mask)] = classes.index(label) + 1 if label in classes else -1
    if labels.shape == size:
        return labels.astype(np.int64)
    return np.asarray(
        cv2.resize(labels.astype(np.float32), size[::-1], interpolation=cv2.INTER_NEAREST), np.int64
    )


def _texture(seen: Picture) -> FloatArray:
    size = seen.sample.features.input_size
    small = cv2.resize(seen.image, (size[1] // 2, size[0] // 2), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    channels: list[npt.NDArray[Any]] = [lab]
    for sigma in (1.0, 2.0, 4.0, 8.0):
        smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
        gradient = np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
        channels += [smooth, gradient, cv2.Laplacian(smooth, cv2.CV_32F)]
    return np.asarray(np.concatenate(channels, axis=2), np.float32)


def measure(method: Method, tests: Sequence[Picture], classes: Sequence[str]) -> dict[str, float]:
    """All figures of one method."""
    samples = [seen.sample for seen in tests]
    said = [method(seen) for seen in tests]
    foreground = [
        iou(one.foreground, np.asarray(np.any([rle.decode(m) for m in seen.sample.masks], axis=0), bool))
        for one, seen in zip(said, tests, strict=True)
        if seen.sample.masks
    ]
    both, ours_, theirs = (np.zeros(len(classes) + 1) for _ in range(3))
    for one, seen in zip(said, tests, strict=True):
        truth = _truth_labels(seen, classes, seen.sample.features.image_size)[::WORK, ::WORK]
        known = truth >= 0
        a, b = one.labels[known], truth[known]
        both += np.bincount(a[a == b], minlength=len(both))
        ours_ += np.bincount(a, minlength=len(both))
        theirs += np.bincount(b, minlength=len(both))
    ious = both / np.maximum(ours_ + theirs - both, 1)
    images = Counter(label for s in samples for label in set(s.labels))
    often = [1 + i for i, name in enumerate(classes) if images[name] >= OFTEN * len(samples)]
    tested = sorted({label for s in samples for label in s.labels})
    precision = average_precision({i: one.objects for i, one in enumerate(said)}, samples, tested)
    return {
        "foreground_iou": float(np.mean(foreground)),
        "miou": float(ious[often].mean()) if often else float("nan"),
        "miou_with_background": float(ious[[0, *often]].mean()),
        "ap50": float(np.mean(list(precision.values()))),
    }


def missing(data: str, args: argparse.Namespace, pool: int, known: set[Key]) -> list[Key]:
    """What is to be measured where `pool` images can be learned from: all asked for, but the known."""
    task = task_of(data, args.person)
    asked = [
        (data, task, count, seed, name)
        for count in args.images
        if count <= pool
        for seed in args.seeds
        for name in args.method
    ]
    return [one for one in asked if one not in known]


def measured(labeler: Labeler, data: Path, args: argparse.Namespace, known: set[Key]) -> Iterator[Row]:
    """The rows of one data set that are not known yet, one by one."""
    split = json.loads((SPLITS / f"{data.name}.json").read_text(encoding="utf-8"))
    todo = missing(data.name, args, len(split["pool"]), known)
    if not todo:
        return
    tests = [picture(labeler, data, name, args.person) for name in split["test"]]
    pool = {name: picture(labeler, data, name, args.person) for name in split["pool"]}
    for _, task, count, seed, name in todo:
        names = list(split["pool"])
        random.Random(seed).shuffle(names)
        learned = [pool[one] for one in names[:count]]
        start = time.perf_counter()
        method = METHODS[name](labeler, learned)
        seconds = time.perf_counter() - start
        found = measure(method, tests, classes_of([p.sample for p in learned]))
        row = {"data": data.name, "task": task, "images": count, "seed": seed, "method": name}
        yield {**row, **found, "seconds": seconds}


def run(args: argparse.Namespace) -> None:
    """Measures, prints and writes row by row.

    Raises:
        LabelerError: the model, an image or the file of results cannot be used.
    """
    labeler = load(args)
    rows = begun(args.json, labeler.fingerprint) if args.resume else []
    known = {key(row) for row in rows}
    print(f"{labeler.fingerprint}\n")
    print("| data | images | seed | method | foreground IoU | mIoU (with background) | AP50 | training, s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for data in args.data:
        for row in measured(labeler, data, args, known):
            rows.append(row)
            if args.json:
                write(args.json, Results(labeler.fingerprint, time.strftime("%Y-%m-%d"), rows))
            print(
                f"| {row['data']} | {row['images']} | {row['seed']} | {row['method']} "
                f"| {row['foreground_iou']:.3f} | {row['miou']:.3f} ({row['miou_with_background']:.3f}) "
                f"| {row['ap50']:.3f} | {row['seconds']:.0f} |",
                flush=True,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs, and returns 2 with a sentence on stderr where that cannot be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--person", action="store_true", help="all labels of an image are one object")
    add_model_options(parser)
    parser.add_argument("--json", type=Path, help="write all figures to this file, after every row")
    parser.add_argument("--resume", action="store_true", help="skip the rows that are in the file of --json")
    args = parser.parse_args(argv)
    if args.resume and not args.json:
        parser.error("--resume goes on with a file: name it with --json.")
    try:
        run(args)
    except LabelerError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
