"""`Head`: everything that was learned for one project, as one thing that answers, is saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.logistic import Logistic
from labeler_backend.heads.types import Answer
from labeler_backend.masks import rle
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

FORMAT = 1
"""Of the files; another one is refused."""


@dataclass(frozen=True, slots=True)
class Head:
    """Learned for one project.

    Attributes:
        kind: of the class map: `knn`, `logistic` or `conv`.
        classes: names, in the order of the class map's channels after the background.
        model_key: of the features that it understands.
        n_images: it was learned from.
        map: the class map's model.
    """

    kind: str
    classes: tuple[str, ...]
    model_key: str
    n_images: int
    map: Logistic

    def class_map(self, image: RGB, features: Features) -> FloatArray:
        """(K+1, gh, gw) float32 probabilities, background first.

        Raises:
            HeadError: features of another model.
        """
        if features.model_key != self.model_key:
            raise HeadError(
                f"This head was trained on features of {self.model_key}, and these are of "
                f"{features.model_key}: train it again with this model, or start with the model it knows."
            )
        logits = self.map.logits(features)
        powers = np.exp(logits - logits.max(axis=0))
        return np.asarray(powers / powers.sum(axis=0), np.float32)

    def answer(self, image: RGB, features: Features, proposals: Sequence[Proposal]) -> Answer:
        """Proposals named, scored anew and sorted.

        Args:
            image: (H, W, 3) uint8, upright.
            features: of it.
            proposals: the emergent ones, a large pool.

        Raises:
            HeadError: features of another model.
        """
        probabilities = self.class_map(image, features)
        named = []
        for proposal in proposals:
            inside = _patch_mean(proposal, probabilities)
            best = int(np.argmax(inside[1:]))
            score = float(proposal.score * inside[1 + best])
            named.append(replace(proposal, score=score, label=self.classes[best]))
        named.sort(key=lambda p: -p.score)
        sure = float(np.abs(probabilities.max(axis=0)).mean())
        return Answer(tuple(named), sure)

    def to_files(self) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
        """Tensors and facts, as safetensors and JSON can hold them."""
        facts = {
            "format": FORMAT,
            "kind": self.kind,
            "classes": list(self.classes),
            "model_key": self.model_key,
            "n_images": self.n_images,
        }
        return dict(self.map.tensors()), facts

    @classmethod
    def from_files(cls, tensors: dict[str, Any], facts: dict[str, Any]) -> Head:
        """What `to_files` gave.

        Raises:
            HeadError: another format, or something is missing.
        """
        try:
            if facts["format"] != FORMAT:
                raise HeadError(f"The head's format is {facts['format']} and not {FORMAT}: train it again.")
            return cls(
                kind=str(facts["kind"]),
                classes=tuple(map(str, facts["classes"])),
                model_key=str(facts["model_key"]),
                n_images=int(facts["n_images"]),
                map=Logistic.from_tensors(tensors),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise HeadError(
                f"The head's files are damaged ({error!r}): roll back, or train again."
            ) from error


def _patch_mean(proposal: Proposal, maps: FloatArray) -> FloatArray:
    """(K+1,) mean of each map inside a mask."""
    grid = maps.shape[1:]
    mask = rle.decode(proposal.rle).astype(np.float32)
    cover = np.asarray(cv2.resize(mask, (grid[1], grid[0]), interpolation=cv2.INTER_AREA), np.float32)
    return np.asarray((maps * cover).sum(axis=(1, 2)) / max(float(cover.sum()), 1e-6), np.float32)
