"""`Head`: everything that was learned for one project, as one thing that answers, is saved and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.heads import maps
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.instances import Instances
from labeler_backend.heads.maps import MapModel
from labeler_backend.heads.novelty import Novelty
from labeler_backend.heads.types import Answer
from labeler_backend.heads.usefulness import confidence
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

FORMAT = 3
"""Of the files; another one is refused."""


@dataclass(frozen=True, slots=True)
class Head:
    """Learned for one project.

    Attributes:
        kind: of the class map: `knn`, `logistic` or `blend`.
        classes: names, in the order of the class map's channels after the background.
        model_key: of the features that it understands.
        n_images: it was learned from.
        map: the class map's model.
        instances: from the class map and the emergent proposals to named objects.
        novelty: what its images looked like.
    """

    kind: str
    classes: tuple[str, ...]
    model_key: str
    n_images: int
    map: MapModel
    instances: Instances
    novelty: Novelty

    def understands(self, features: Features) -> bool:
        """Whether it can answer about an image with such features."""
        beside = 0 if features.middle is None else features.middle.shape[-1]
        channels = features.tokens.shape[-1] + beside
        return features.model_key == self.model_key and self.map.channels <= channels

    def class_map(self, image: RGB, features: Features) -> FloatArray:
        """(K+1, gh, gw) float32 probabilities, background first.

        Raises:
            HeadError: features of another model, or without the middle layers that it looks at.
        """
        if features.model_key != self.model_key:
            raise HeadError(
                f"This head was trained on features of {self.model_key}, and these are of "
                f"{features.model_key}: train it again with this model, or start with the model it knows."
            )
        if not self.understands(features):
            raise HeadError(
                "This head looks at middle layers, and an earlier version of the program stored these "
                "features without: encode the image again."
            )
        return maps.probabilities(self.map, features)

    def pixel_map(self, image: RGB, features: Features, proposals: Sequence[Proposal]) -> FloatArray:
        """(K+1, h, w) float32 probabilities at the working size, background first.

        Raises:
            HeadError: features of another model.
        """
        class_map = self.class_map(image, features)
        return self.instances.pixels.predict(image, features, class_map, proposals).classes

    def answer(self, image: RGB, features: Features, proposals: Sequence[Proposal]) -> Answer:
        """Objects named and scored, by falling chance of being accepted.

        Args:
            image: (H, W, 3) uint8, upright.
            features: of it.
            proposals: the emergent ones, a large pool.

        Raises:
            HeadError: features of another model.
        """
        class_map = self.class_map(image, features)
        found = self.instances.answer(image, features, proposals, class_map)
        return Answer(tuple(found), confidence(found, class_map, self.novelty.of(features)))

    def to_files(self) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
        """Tensors and facts, as safetensors and JSON can hold them.

        Arrays are in C order: safetensors writes memory as it lies, and the network's lies channels last.
        """
        facts = {
            "format": FORMAT,
            "kind": self.kind,
            "map": next(name for name, kind in maps.KINDS.items() if isinstance(self.map, kind)),
            "classes": list(self.classes),
            "model_key": self.model_key,
            "n_images": self.n_images,
        }
        parts = {f"instances.{name}": value for name, value in self.instances.to_tensors().items()}
        tensors = {**maps.tensors_of(self.map), **parts, **self.novelty.tensors()}
        return {name: np.asarray(value, order="C") for name, value in tensors.items()}, facts

    @classmethod
    def from_files(cls, tensors: dict[str, Any], facts: dict[str, Any]) -> Head:
        """What `to_files` gave.

        Raises:
            HeadError: another format, or something is missing.
        """
        if facts.get("format") != FORMAT:
            raise HeadError(
                f"The head's format is {facts.get('format')} and not {FORMAT}: train it again with this "
                "version of the program."
            )
        try:
            classes = tuple(map(str, facts["classes"]))
            part = {n.removeprefix("instances."): v for n, v in tensors.items() if n.startswith("instances.")}
            return cls(
                kind=str(facts["kind"]),
                classes=classes,
                model_key=str(facts["model_key"]),
                n_images=int(facts["n_images"]),
                map=maps.from_tensors(facts["map"], tensors),
                instances=Instances.from_tensors(part, classes),
                novelty=Novelty.from_tensors(tensors),
            )
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise HeadError(
                f"The head's files are damaged ({error!r}): roll back, or train again."
            ) from error
