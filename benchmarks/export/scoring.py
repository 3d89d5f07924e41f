"""How much of what is true of a project's pictures an export holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from benchmarks.export.drawing import BoolMask
from benchmarks.export.project import TrueImage

FIGURES = (
    "wrong_labels",
    "surplus",
    "twice",
    "missing",
    "wrong_sizes",
    "lost_files",
    "sideways",
    "trouble",
)
KEPT = 0.5  # the IoU from which an instance counts as kept


@dataclass(frozen=True)
class ImageRow:
    """What an export says of one picture.

    Attributes:
        name: as the export writes it.
        size: (H, W); None where the format holds none.
        there: whether the name leads to a file of the export.
        sideways: whether that file is upright only for those who heed EXIF.
    """

    name: str
    size: tuple[int, int] | None
    there: bool
    sideways: bool = False


@dataclass(frozen=True)
class Found:
    """One instance of an export: of which picture, and its area in the true picture's pixels."""

    image: str
    label: str
    area: BoolMask


@dataclass(frozen=True)
class Output:
    """All of an export. `trouble`: why there is none."""

    images: Sequence[ImageRow] = ()
    found: Sequence[Found] = ()
    trouble: str = ""


@dataclass
class Tally:
    """Instances of one kind: how many are true, how many of them are kept, and the sum of their IoUs."""

    true: int = 0
    kept: int = 0
    overlap: float = 0.0

    @property
    def mean(self) -> float:
        """Mean IoU; what is missing counts as 0."""
        return self.overlap / self.true if self.true else 0.0


@dataclass
class Score:
    """The figures of one export.

    Attributes:
        all: of all true instances.
        kinds: of those of each region type.
        wrong_labels: instances kept under another category.
        surplus: annotations that are no true instance, or one that is there already.
        twice: rows for a picture that has one already.
        missing: pictures without a row.
        wrong_sizes: rows with another size than the upright picture's.
        lost_files: rows whose name leads to no file of the export.
        sideways: files that are upright only for programs that heed EXIF; many trainers do not.
        trouble: why there is no export at all.
    """

    all: Tally = field(default_factory=Tally)
    kinds: dict[str, Tally] = field(default_factory=dict)
    wrong_labels: int = 0
    surplus: int = 0
    twice: int = 0
    missing: int = 0
    wrong_sizes: int = 0
    lost_files: int = 0
    sideways: int = 0
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """For --json."""
        kinds = {kind: _tally_json(tally) for kind, tally in self.kinds.items()}
        return {**_tally_json(self.all), **{name: getattr(self, name) for name in FIGURES}, "kinds": kinds}


def score(truth: Sequence[TrueImage], output: Output) -> Score:
    """Matches pictures by file name, and in each picture instances one to one with the greatest total IoU.

    Generous where a reader could be: folders before a name and the characters that Label Studio writes before
    it do not matter, and an IoU below `KEPT` still counts towards the mean.
    """
    result = Score(trouble=output.trouble)
    rows = by_image(truth, output.images, lambda row: row.name)
    found = by_image(truth, output.found, lambda one: one.image)
    known = sum(len(ones) for ones in found.values())
    result.surplus = len(output.found) - known
    for image in truth:
        _score_rows(image, rows[image.name], result)
        _score_instances(image, found[image.name], result)
    return result


def by_image(truth: Sequence[TrueImage], rows: Iterable[Any], name_of: Any) -> dict[str, list[Any]]:
    """What belongs to which true picture, by the stem of its file; others are left out."""
    found: dict[str, list[Any]] = {image.name: [] for image in truth}
    for row in rows:
        if (image := which(truth, name_of(row))) is not None:
            found[image.name].append(row)
    return found


def which(truth: Iterable[TrueImage], name: str) -> TrueImage | None:
    """The true picture that a file name in an export means."""
    stem = PurePosixPath(name.replace("\\", "/")).stem
    for image in truth:
        own = PurePosixPath(image.name).stem
        if stem == own or stem.endswith(f"-{own}"):
            return image
    return None


def overlaps(true: Sequence[BoolMask], found: Sequence[BoolMask]) -> npt.NDArray[np.float64]:
    """(T, F) IoU of each with each."""
    table = np.zeros((len(true), len(found)))
    for i, one in enumerate(true):
        for j, other in enumerate(found):
            shared = np.count_nonzero(one & other)
            if shared:
                table[i, j] = shared / np.count_nonzero(one | other)
    return table


def _score_rows(image: TrueImage, rows: Sequence[ImageRow], result: Score) -> None:
    result.missing += not rows
    result.twice += max(0, len(rows) - 1)
    result.wrong_sizes += sum(row.size is not None and row.size != image.size for row in rows)
    result.lost_files += sum(not row.there for row in rows)
    result.sideways += sum(row.sideways for row in rows)


def _score_instances(image: TrueImage, found: Sequence[Found], result: Score) -> None:
    iou = overlaps([one.area for one in image.instances], [one.area for one in found])
    same = np.array([[t.label == f.label for f in found] for t in image.instances], bool)
    same = same.reshape(iou.shape)
    chosen = linear_sum_assignment(iou + 1e-6 * (same & (iou > 0)), maximize=True)
    best: Mapping[int, int] = {int(i): int(j) for i, j in zip(*chosen, strict=True)}
    result.surplus += len(found)
    for i, instance in enumerate(image.instances):
        tallies = (result.all, result.kinds.setdefault(instance.kind, Tally()))
        overlap = float(iou[i, best[i]]) if i in best else 0.0
        for tally in tallies:
            tally.true += 1
            tally.overlap += overlap
            tally.kept += overlap >= KEPT
        if overlap >= KEPT:
            result.surplus -= 1
            result.wrong_labels += not same[i, best[i]]


def _tally_json(tally: Tally) -> dict[str, Any]:
    return {"true": tally.true, "kept": tally.kept, "mean_iou": round(tally.mean, 4)}
