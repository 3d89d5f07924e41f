from __future__ import annotations

from dataclasses import dataclass

import pytest

from labeler_backend.backbone.features import Features, FloatArray, unit_tokens
from labeler_backend.labeler import Labeler
from labeler_backend.media import RGB, decode
from labeler_backend.proposals.types import Proposal
from tests.conftest import EXAMPLES

NAMES = ("astronaut", "cat", "coffee", "coins")


@dataclass(frozen=True)
class Real:
    """A photo, what the real model sees in it, and what the product makes of that."""

    image: RGB
    features: Features
    proposals: list[Proposal]

    @property
    def unit(self) -> FloatArray:
        """(gh, gw, C) of unit length."""
        return unit_tokens(self.features.tokens)


@pytest.fixture(scope="session")
def photos(labeler: Labeler) -> dict[str, Real]:
    """Each example once through the real model; tests using it carry `weights`."""
    found = {}
    for name in NAMES:
        image = decode(EXAMPLES / f"{name}.jpg")
        features = labeler.encode([image])[0]
        found[name] = Real(image, features, labeler.propose(image, features))
    return found
