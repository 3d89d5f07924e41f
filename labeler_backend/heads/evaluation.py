"""How good answers are: panoptic quality, average precision, and IoU of what they cover."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from labeler_backend.heads.types import SHOWN, Metrics, Sample
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou_matrix
from labeler_backend.proposals.types import Proposal

_MOST = 500
_GOOD = 0.5


def evaluate(answers: Mapping[int, Sequence[Proposal]], samples: Sequence[Sample]) -> Metrics:
    """Answers against what people accepted.

    Args:
        answers: number of the sample → named proposals by falling score; samples without are left out.
        samples: the truth.
    """
    numbers = sorted(answers)
    if not numbers:
        return Metrics(0, float("nan"), float("nan"), float("nan"), float("nan"))
    per_image = {samples[i].key: panoptic_quality(answers[i], samples[i]) for i in numbers}
    classes = sorted({label for i in numbers for label in samples[i].labels})
    precision = average_precision(answers, samples, classes)
    overlap, union = _painted(answers, samples, classes)
    ious = overlap[1:] / np.maximum(union[1:], 1)
    counts = [sum(samples[i].labels.count(name) for i in numbers) for name in classes]
    return Metrics(
        images=len(numbers),
        pq=float(np.mean(list(per_image.values()))),
        ap50=float(np.mean(list(precision.values()))) if classes else float("nan"),
        foreground=float(np.mean([foreground_iou(answers[i], samples[i]) for i in numbers])),
        miou=float(ious.mean()) if classes else float("nan"),
        per_class={
            name: {"ap50": precision[name], "iou": float(iou), "instances": float(count)}
            for name, iou, count in zip(classes, ious, counts, strict=True)
        },
        per_image=per_image,
    )


def panoptic_quality(answer: Sequence[Proposal], sample: Sample) -> float:
    """Of one image, all classes at once (Kirillov et al. 2019); 1 where there is and was given nothing."""
    given = [p for p in answer if p.score >= SHOWN]
    if not given and not sample.masks:
        return 1.0
    same = np.array([[p.label == label for label in sample.labels] for p in given], bool)
    ious = iou_matrix([p.rle for p in given], list(sample.masks))
    ious = np.where(same.reshape(ious.shape), ious, 0)
    total, matches = 0.0, 0
    while ious.size and ious.max() > _GOOD:
        row, column = np.unravel_index(int(ious.argmax()), ious.shape)
        total, matches = total + float(ious[row, column]), matches + 1
        ious[row], ious[:, column] = 0, 0
    return total / (matches + (len(given) - matches + len(sample.masks) - matches) / 2)


def foreground_iou(answer: Sequence[Proposal], sample: Sample) -> float:
    """IoU of all that was given with all that is there; 1 where both are empty."""
    size = sample.features.image_size
    ours = _union([p.rle for p in answer if p.score >= SHOWN], size)
    theirs = _union(list(sample.masks), size)
    union = int((ours | theirs).sum())
    return int((ours & theirs).sum()) / union if union else 1.0


def average_precision(
    answers: Mapping[int, Sequence[Proposal]], samples: Sequence[Sample], classes: Sequence[str]
) -> dict[str, float]:
    """COCO's mask AP at IoU 0.5 of each class, with at most 500 answers per image."""
    found = dict.fromkeys(classes, 0.0)
    numbers = {name: number for number, name in enumerate(classes, 1)}
    rows = [
        {"image_id": i, "category_id": numbers[p.label], "segmentation": p.rle, "score": p.score}
        for i in answers
        for p in answers[i]
        if p.label in numbers
    ]
    if not rows or not classes:
        return found
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _coco(answers, samples, numbers)
        judge = COCOeval(truth, truth.loadRes(rows), "segm")
        judge.params.iouThrs, judge.params.maxDets = np.array([_GOOD]), [1, 10, _MOST]
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"]  # thresholds, recalls, classes, areas, numbers of answers
    for index, name in enumerate(classes):
        values = precision[0, :, index, 0, -1]
        found[name] = float(values.mean()) if (values > -1).all() else 0.0
    return found


def _coco(
    answers: Mapping[int, Sequence[Proposal]], samples: Sequence[Sample], numbers: Mapping[str, int]
) -> COCO:
    rows: list[dict[str, Any]] = [
        {
            "image_id": i,
            "category_id": numbers[label],
            "segmentation": mask,
            "area": rle.area(mask),
            "bbox": list(rle.box(mask)),
            "iscrowd": 0,
        }
        for i in answers
        for label, mask in zip(samples[i].labels, samples[i].masks, strict=True)
    ]
    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": i, "height": samples[i].features.image_size[0], "width": samples[i].features.image_size[1]}
            for i in answers
        ],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, 1)],
    }
    coco.createIndex()
    return coco


def _painted(
    answers: Mapping[int, Sequence[Proposal]], samples: Sequence[Sample], classes: Sequence[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(K+1,) pixels in common and together of the label maps, over all images."""
    numbers = {name: number for number, name in enumerate(classes, 1)}
    both, ours, theirs = (np.zeros(len(classes) + 1, np.int64) for _ in range(3))
    for i in answers:
        size = samples[i].features.image_size
        given = [(p.rle, numbers.get(p.label or "", 0)) for p in answers[i] if p.score >= SHOWN]
        a = paint(given[::-1], size)
        b = paint([(m, numbers[n]) for m, n in zip(samples[i].masks, samples[i].labels, strict=True)], size)
        both += np.bincount(a[a == b], minlength=len(both))
        ours += np.bincount(a.ravel(), minlength=len(both))
        theirs += np.bincount(b.ravel(), minlength=len(both))
    return both, ours + theirs - both


def paint(masks: Sequence[tuple[rle.RLE, int]], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(H, W): the number of the last mask that covers a pixel, else 0."""
    canvas = np.zeros(size, np.int64)
    for mask, number in masks:
        canvas[rle.decode(mask)] = number
    return canvas


def _union(masks: Sequence[rle.RLE], size: tuple[int, int]) -> rle.BoolMask:
    return np.asarray(paint([(mask, 1) for mask in masks], size) > 0, bool)
