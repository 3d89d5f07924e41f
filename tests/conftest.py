"""What all tests share: no hub, one set of real weights, sample images."""

from __future__ import annotations

import os
from pathlib import Path

# before anything imports huggingface_hub: tests take dinov2-small from pip and nothing from the hub
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data

from labeler_backend.backbone.encoder import Encoder
from labeler_backend.backbone.weights import WeightsLocation, fetch
from labeler_backend.labeler import Labeler

EXAMPLES = Path(__file__).parents[1] / "examples" / "images"


@pytest.fixture(scope="session")
def dinov2_small() -> WeightsLocation:
    """The real default model, fetched into the user's own cache; tests using it carry `weights`."""
    return fetch("dinov2-small")


@pytest.fixture(scope="session")
def encoder(dinov2_small: WeightsLocation) -> Encoder:
    """Real dinov2-small on the CPU in fp32."""
    return Encoder.load("dinov2-small", device="cpu", dtype="fp32", offline=True)


@pytest.fixture(scope="session")
def labeler(dinov2_small: WeightsLocation) -> Labeler:
    """The product as it is by default, but in fp32 on the CPU: the same on every machine."""
    return Labeler.load("dinov2-small", device="cpu", dtype="fp32")


@pytest.fixture(scope="session")
def astronaut() -> npt.NDArray[np.uint8]:
    """(512, 512, 3) RGB: a person in front of things (NASA, public domain)."""
    return np.asarray(skimage.data.astronaut())


@pytest.fixture(scope="session")
def coffee() -> npt.NDArray[np.uint8]:
    """(400, 600, 3) RGB: a cup, a spoon, a table (CC0)."""
    return np.asarray(skimage.data.coffee())
