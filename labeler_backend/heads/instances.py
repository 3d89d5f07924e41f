"""Named, scored instances from a class map: pixel head, regions, quality and selection put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.heads import pixels, quality
from labeler_backend.heads.candidates import EMERGENT, gather, overlaps
from labeler_backend.heads.evidence import Sizes, Table, measure, sizes_of
from labeler_backend.heads.pairs import stack
from labeler_backend.heads.pixels import PixelHead
from labeler_backend.heads.quality import Quality
from labeler_backend.heads.types import Sample
from labeler_backend.heads.windows import grown, shrunk
from labeler_backend.masks import rle
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

JUDGED_MOST = 60
"""So many labelled images teach the quality model."""
OVERLAP = 0.5
"""IoU above which the lower of two instances goes, whatever their classes."""
CONTAINED = 0.7
"""Share of the smaller of two instances of one class inside the other, above which the lower one goes."""
SCORE_LEAST = 0.01
INSTANCES_MOST = 500
SOURCE = "head"


@dataclass(frozen=True, slots=True)
class Instances:
    """Trained for one project.

    Attributes:
        classes: names, in the order of class maps after the background.
        pixels: the pixel head.
        quality: scores regions.
        sizes: of the labelled objects.
    """

    classes: tuple[str, ...]
    pixels: PixelHead
    quality: Quality
    sizes: Sizes

    def answer(
        self, image: RGB, features: Features, proposals: Sequence[Proposal], class_map: FloatArray
    ) -> list[Proposal]:
        """Named instances by falling score, at most INSTANCES_MOST.

        Args:
            image: (H, W, 3) uint8, upright.
            features: of it.
            proposals: the emergent ones, a large pool.
            class_map: (K+1, gh, gw) probabilities, background first.
        """
        table = _table(self.pixels, self.sizes, image, features, proposals, class_map)
        return _answered(table, self.quality, features.image_size, self.classes)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Plain arrays, as safetensors holds them; the class names are not among them."""
        parts = {"pixels": self.pixels.to_tensors(), "quality": self.quality.to_tensors()}
        named = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        return {"sizes.middle": self.sizes.middle, "sizes.spread": self.sizes.spread, **named}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]], classes: Sequence[str]) -> Instances:
        """What `to_tensors` gave.

        Raises:
            KeyError, IndexError, RuntimeError: something is missing or of another shape.
        """

        def part(name: str) -> dict[str, npt.NDArray[Any]]:
            return {key[len(name) + 1 :]: v for key, v in tensors.items() if key.startswith(f"{name}.")}

        sizes = Sizes(*(np.asarray(part("sizes")[name], np.float32) for name in ("middle", "spread")))
        pixel_head = PixelHead.from_tensors(part("pixels"))
        return cls(tuple(classes), pixel_head, Quality.from_tensors(part("quality")), sizes)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was trained, and what models that had not seen an image say of it.

    Attributes:
        instances: from all images.
        held_out: number of the sample → answer; empty where there is one fold only.
    """

    instances: Instances
    held_out: dict[int, list[Proposal]]


def fit(
    samples: Sequence[Sample],
    class_maps: Sequence[FloatArray],
    folds: npt.NDArray[np.int64],
    classes: Sequence[str],
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
) -> Fitted:
    """Train pixel head and quality model; the latter on maps of pixel heads that had not seen the image.

    Args:
        samples: labelled images.
        class_maps: (K+1, gh, gw) probabilities of each, from a model that has not seen that image (with one
            image only: its own).
        folds: (n,) which samples are held out together; groups are never split.
        classes: names, in the order of the maps after the background.
        steps: of the pixel head's training; None = its own choice.
        seed: of everything drawn by chance.
        progress: called with the share done.
    """
    sizes = sizes_of(samples, classes)
    parts = [part for part in np.unique(folds) if (folds != part).any()]
    heads, judged = len(parts) + 1, dict[int, tuple[Table, npt.NDArray[np.bool_], FloatArray]]()
    zoom = pixels.choose_zoom(samples)

    def trained(chosen: Sequence[int], number: int) -> PixelHead:
        return pixels.fit(
            [samples[i] for i in chosen],
            [class_maps[i] for i in chosen],
            classes,
            zoom=zoom,
            steps=steps,
            seed=seed,
            progress=lambda done: progress((number + done) / heads),
        )

    for number, part in enumerate(parts):
        head = trained([int(i) for i in np.flatnonzero(folds != part)], number)
        for index in np.flatnonzero(folds == part)[: -(-JUDGED_MOST // len(parts))]:
            sample = samples[index]
            table = _table(head, sizes, sample.picture, sample.features, sample.proposals, class_maps[index])
            judged[int(index)] = (table, *_truth(table, sample, classes))

    def judge(chosen: Sequence[int]) -> Quality:
        rows = [judged[i] for i in chosen]
        return quality.fit(
            [t.values[known] for t, known, _ in rows], [worth[known] for _, known, worth in rows], seed
        )

    held_out = {}
    for part in parts:
        ours = judge([i for i in judged if folds[i] != part])
        for index in (i for i in judged if folds[i] == part):
            size = samples[index].features.image_size
            held_out[index] = _answered(judged[index][0], ours, size, classes)
    final = trained(range(len(samples)), len(parts))
    return Fitted(Instances(tuple(classes), final, judge(list(judged)), sizes), held_out)


def _answered(
    table: Table, judge: Quality, image_size: tuple[int, int], classes: Sequence[str]
) -> list[Proposal]:
    """Regions of one image as proposals, by falling score."""
    scores = judge.score(table.values)
    found = []
    for index in select(table, scores):
        region = table.regions[index]
        whole = region.proposal.rle if region.proposal and region.source == EMERGENT else None
        mask = whole or grown(region.window, table.members.size, image_size)
        if not rle.area(mask):
            continue  # a speck of the working picture, and less than a pixel of the image
        source = region.proposal.source if region.proposal else SOURCE
        found.append(Proposal(mask, float(scores[index]), source, classes[table.classes[index]]))
    return found


def select(table: Table, scores: FloatArray) -> list[int]:
    """Indices by falling score, without what overlaps a better one."""
    areas = table.members.areas
    alike = overlaps(table.shared, areas, areas)
    within = table.shared / np.maximum(np.minimum(areas[:, None], areas[None]), 1)
    same = table.classes[:, None] == table.classes[None]
    rivals = (alike > OVERLAP) | ((within > CONTAINED) & same)
    alive, kept = scores >= SCORE_LEAST, []
    for index in np.argsort(-scores, kind="stable"):
        if alive[index]:
            kept.append(int(index))
            alive &= ~rivals[index]
    return kept[:INSTANCES_MOST]


def _table(
    head: PixelHead,
    sizes: Sizes,
    image: RGB,
    features: Features,
    proposals: Sequence[Proposal],
    class_map: FloatArray,
) -> Table:
    picture = pixels.working_picture(image, features, head.zoom)
    maps = head.predict(picture, features, class_map, proposals)
    return measure(picture, features, class_map, maps, gather(maps, proposals), sizes)


def _truth(table: Table, sample: Sample, classes: Sequence[str]) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """(n,) whether somebody said what a region is, and what it is worth."""
    size = table.members.size
    objects = stack([shrunk(mask, size) for mask in sample.masks], size)
    names = list(classes)
    numbers = np.array([names.index(c) if c in names else -1 for c in sample.labels], np.int64)
    alike = overlaps(table.members.shared(objects), table.members.areas, objects.areas)
    same = numbers[None] == table.classes[:, None]
    named, misnamed = (np.where(which, alike, 0).max(axis=1, initial=0) for which in (same, ~same))
    unknown = np.asarray(sample.unknown, np.float32)[None] / np.float32(255)
    covered = table.members.means([*_enlarged(unknown, size)])[:, 0]
    return covered < 0.5, quality.worth(named, misnamed)


def _enlarged(maps: FloatArray, size: tuple[int, int]) -> FloatArray:
    return np.stack([cv2.resize(m, size[::-1], interpolation=cv2.INTER_LINEAR) for m in maps])
