"""Which model makes the class map: chosen on images that it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.heads import knn, logistic
from labeler_backend.heads.knn import Neighbours
from labeler_backend.heads.logistic import Logistic
from labeler_backend.heads.patches import Patches, table, targets_of
from labeler_backend.heads.types import Sample

PENALTIES = (1e-3, 1e-2, 1e-1)
NEIGHBOURS_MOST = 20
"""With more images neighbours are not tried: regression is ahead, and the memory would not grow any more."""


@dataclass(frozen=True, slots=True)
class Blend:
    """The geometric mean of what neighbours and regression say: they are wrong in different places."""

    neighbours: Neighbours
    logistic: Logistic

    def logits(self, features: Features) -> FloatArray:
        """(K+1, gh, gw) float32."""
        return _logs(probabilities(self.neighbours, features), probabilities(self.logistic, features))

    @property
    def channels(self) -> int:
        """That it looks at."""
        return self.logistic.channels

    def tensors(self) -> dict[str, Any]:
        """What is saved."""
        return {**self.neighbours.tensors(), **self.logistic.tensors()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Any]) -> Blend:
        """What was saved."""
        return cls(Neighbours.from_tensors(tensors), Logistic.from_tensors(tensors))


MapModel = Logistic | Neighbours | Blend
KINDS: dict[str, type[Logistic] | type[Neighbours] | type[Blend]] = {
    "knn": Neighbours,
    "logistic": Logistic,
    "blend": Blend,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a class map is learned: `kind` of `KINDS`, and the penalty of the regression in it."""

    kind: str
    penalty: float = 0.0

    def fit(self, patches: Patches) -> MapModel:
        """Learns from patches."""
        if self.kind == "blend":
            return Blend(knn.fit(patches), logistic.fit(patches, self.penalty))
        return knn.fit(patches) if self.kind == "knn" else logistic.fit(patches, self.penalty)

    @property
    def parts(self) -> tuple[Recipe, ...]:
        """What a blend is made of; nothing else has parts."""
        return (Recipe("knn"), Recipe("logistic", self.penalty)) if self.kind == "blend" else ()


@dataclass(frozen=True, slots=True)
class Mapped:
    """The chosen recipe, fitted.

    Attributes:
        recipe: which.
        model: fitted to all samples.
        held_out: (K+1, gh, gw) of each sample, by models that had not seen it (with one group: its own).
    """

    recipe: Recipe
    model: MapModel
    held_out: list[FloatArray]


def probabilities(model: MapModel, features: Features) -> FloatArray:
    """(K+1, gh, gw) float32, sums to 1, background first."""
    return _softmax(model.logits(features))


def _softmax(logits: FloatArray) -> FloatArray:
    powers = np.exp(logits - logits.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0), np.float32)


def _logs(*maps: FloatArray) -> FloatArray:
    """The mean of the logarithms of probabilities."""
    return np.asarray(np.mean([np.log(np.clip(one, 1e-6, 1)) for one in maps], axis=0), np.float32)


def recipes(images: int, kind: str = "auto") -> list[Recipe]:
    """What is tried with so many images, or of what was asked for.

    Neighbours alone with one image, regression from two on, and a blend of both as long as there are few.
    """
    if kind != "auto":
        kinds = [kind]
    elif images == 1:
        kinds = ["knn"]
    else:
        kinds = ["knn", "logistic", "blend"] if images <= NEIGHBOURS_MOST else ["logistic"]
    penalties = PENALTIES if images > 1 else PENALTIES[1:2]
    return [Recipe(one, penalty) for one in kinds for penalty in ((0.0,) if one == "knn" else penalties)]


def choose(
    samples: Sequence[Sample],
    folds: npt.NDArray[np.int64],
    classes: Sequence[str],
    kind: str = "auto",
    progress: Callable[[float], None] = lambda share: None,
) -> Mapped:
    """The recipe with the lowest balanced cross entropy on images held out.

    Args:
        samples: labelled images.
        folds: (n,) which samples are held out together.
        classes: names.
        kind: of `KINDS`, or `auto`.
        progress: told the share done.
    """
    tried, parts = recipes(len(samples), kind), np.unique(folds)
    known: dict[Recipe, list[FloatArray]] = {}
    best: tuple[float, Recipe, list[FloatArray]] | None = None
    for number, recipe in enumerate(tried):
        held_out = _held_out(recipe, samples, folds, classes, known)
        loss = float(np.mean([_loss(m, s, classes) for m, s in zip(held_out, samples, strict=True)]))
        if best is None or loss < best[0]:
            best = loss, recipe, held_out
        progress((number + 1) / (len(tried) + 1))
        if len(parts) < 2:
            break
    assert best is not None
    return Mapped(best[1], best[1].fit(table(samples, classes)), best[2])


def _held_out(
    recipe: Recipe,
    samples: Sequence[Sample],
    folds: npt.NDArray[np.int64],
    classes: Sequence[str],
    known: dict[Recipe, list[FloatArray]],
) -> list[FloatArray]:
    """Maps of every sample by models that had not seen it; `known` keeps them for a blend."""
    if recipe.parts:
        each = [_held_out(part, samples, folds, classes, known) for part in recipe.parts]
        return [_softmax(_logs(*one)) for one in zip(*each, strict=True)]
    if recipe in known:
        return known[recipe]
    found: dict[int, FloatArray] = {}
    for part in np.unique(folds):
        rest = np.flatnonzero(folds != part)
        seen = [int(i) for i in rest] or range(len(samples))
        model = recipe.fit(table([samples[i] for i in seen], classes))
        for index in np.flatnonzero(folds == part):
            found[int(index)] = probabilities(model, samples[index].features)
    known[recipe] = [found[index] for index in range(len(samples))]
    return known[recipe]


def _loss(found: FloatArray, sample: Sample, classes: Sequence[str]) -> float:
    """Mean over the classes of an image of the cross entropy where they are."""
    truth = targets_of(sample, classes) * (1 - sample.unknown / np.float32(255))
    entropy = -truth * np.log(np.clip(found, 1e-4, 1))
    area = truth.sum(axis=(1, 2))
    there = area > 0
    return float((entropy.sum(axis=(1, 2))[there] / area[there]).mean()) if there.any() else 0.0


def tensors_of(model: MapModel) -> dict[str, Any]:
    """What is saved, under `map.`."""
    return {f"map.{name}": value for name, value in model.tensors().items()}


def from_tensors(kind: str, tensors: dict[str, Any]) -> MapModel:
    """What `tensors_of` gave.

    Raises:
        KeyError: an unknown kind, or something is missing.
    """
    part = {name.removeprefix("map."): v for name, v in tensors.items() if name.startswith("map.")}
    return KINDS[kind].from_tensors(part)
