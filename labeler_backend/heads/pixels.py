"""The pixel head: what is figure to the pixel, and how deep inside an object each pixel lies.

A patch is 14 pixels wide; many objects are smaller, and touching ones share patches. This head sees the
picture's own pixels, and takes from the backbone what kind of thing they belong to. It learns from a handful
of pictures within a minute, because tokens carry the meaning and only the outlines are left to learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.heads.emergence import CHANNELS, emergent
from labeler_backend.heads.pixel_crops import Truth, batch, normalised, truth
from labeler_backend.heads.pixel_net import PixelNet, loss
from labeler_backend.heads.types import Sample
from labeler_backend.masks import rle
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal
from labeler_backend.unet import STRIDE, channels_last

COMPONENTS = 32
"""Principal components of the tokens that the head sees."""
STEPS = 500
STEPS_MOST = 800
IMAGES_MOST = 200
"""More pictures than these teach outlines little, and would not fit in memory."""
BATCH = 5
RATE = 8e-3
FINE = 16.0
"""Objects narrower than this in pixels of the model's input call for a finer working picture."""


@dataclass(frozen=True, slots=True)
class PixelMaps:
    """What the pixel head says of one image, at its working size.

    Attributes:
        classes: (K+1, h, w) float32 probabilities, background first.
        depth: (h, w) float32: 0 at an object's outline, up to 1 in its middle.
    """

    classes: FloatArray
    depth: FloatArray

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the working picture."""
        return self.depth.shape[0], self.depth.shape[1]


@dataclass(frozen=True, slots=True)
class PixelHead:
    """A trained network and what turns an image into its input.

    Attributes:
        mean: (C,) of the tokens.
        basis: (C, COMPONENTS) whitening them.
        zoom: working size over the model's input size, where the picture has the pixels.
        net: in evaluation mode.
    """

    mean: FloatArray
    basis: FloatArray
    zoom: float
    net: PixelNet

    def predict(
        self, image: RGB, features: Features, class_map: FloatArray, proposals: Sequence[Proposal]
    ) -> PixelMaps:
        """Maps of one image.

        Args:
            image: (H, W, 3) uint8, upright.
            features: of it.
            class_map: (K+1, gh, gw) probabilities, background first.
            proposals: the emergent ones, by falling score.
        """
        picture = working_picture(image, features, self.zoom)
        height, width = picture.shape[:2]
        found = emergent(proposals, (height, width)) / np.float32(255)
        channels = np.dstack([normalised(picture), found]).transpose(2, 0, 1)
        pixels = torch.from_numpy(np.ascontiguousarray(channels))[None]
        tokens = torch.from_numpy(_token_input(features, class_map, self.mean, self.basis))[None]
        with torch.inference_mode():
            figure, depth = torch.sigmoid(
                self.net(pixels.contiguous(memory_format=torch.channels_last), tokens)[0]
            ).numpy()
        kinds = class_map[1:] / np.maximum(class_map[1:].sum(axis=0), 1e-9)
        sharp = [cv2.resize(kind, (width, height), interpolation=cv2.INTER_LINEAR) * figure for kind in kinds]
        return PixelMaps(np.asarray([1 - figure, *sharp], np.float32), depth)

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Plain arrays, as safetensors holds them."""
        net = {f"net.{name}": value.numpy() for name, value in self.net.state_dict().items()}
        return {"mean": self.mean, "basis": self.basis, "zoom": np.array([self.zoom], np.float32), **net}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> PixelHead:
        """What `to_tensors` gave.

        Raises:
            KeyError, RuntimeError: something is missing or of another shape.
        """
        state = {
            name.removeprefix("net."): torch.from_numpy(np.array(value))
            for name, value in tensors.items()
            if name.startswith("net.")
        }
        net = PixelNet(3 + CHANNELS, state["tokens.1.weight"].shape[1] + 1)
        net.load_state_dict(state)
        mean, basis = (np.asarray(tensors[name], np.float32) for name in ("mean", "basis"))
        return cls(mean, basis, float(tensors["zoom"][0]), _ready(net))


def working_picture(image: RGB, features: Features, zoom: float) -> RGB:
    """(h, w, 3) uint8: the image at `zoom` times the model's input, but not finer than it is itself."""
    most = max(image.shape[:2]) / max(features.input_size)
    scale = min(zoom, max(1.0, most))
    height, width = (max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in features.input_size)
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def choose_zoom(samples: Sequence[Sample]) -> float:
    """2 where a fifth of the objects is narrower than FINE and pictures are stored that fine, else 1."""
    finer = any(max(s.picture.shape[:2]) > 1.2 * max(s.features.input_size) for s in samples)
    widths = [
        np.sqrt(rle.area(mask)) * max(s.features.input_size) / max(s.features.image_size)
        for s in samples
        for mask in s.masks
    ]
    return 2.0 if finer and widths and float(np.percentile(widths, 20)) < FINE else 1.0


def fit(
    samples: Sequence[Sample],
    class_maps: Sequence[FloatArray],
    classes: Sequence[str],
    *,
    zoom: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
) -> PixelHead:
    """Train on labelled images.

    Args:
        samples: at least one.
        class_maps: (K+1, gh, gw) probabilities of each, from a model that has not seen that image.
        classes: names, in the order of the maps after the background.
        zoom: None = `choose_zoom`.
        steps: of BATCH crops; None = STEPS, more where there are many images.
        seed: of the crops and the first weights.
        progress: called with the share done.
    """
    rng = np.random.default_rng(seed)
    if len(samples) > IMAGES_MOST:
        chosen = sorted(rng.choice(len(samples), IMAGES_MOST, replace=False))
        samples, class_maps = [samples[i] for i in chosen], [class_maps[i] for i in chosen]
    zoom = choose_zoom(samples) if zoom is None else zoom
    mean, basis = _whitening(samples)
    truths = [
        truth(
            sample,
            classes,
            working_picture(sample.picture, sample.features, zoom),
            _token_input(sample.features, class_map, mean, basis),
        )
        for sample, class_map in zip(samples, class_maps, strict=True)
    ]
    trust = np.array([sample.trust for sample in samples], np.float64)
    steps = steps or min(STEPS_MOST, STEPS + 2 * len(samples))
    net = _train(truths, trust / trust.sum(), steps, rng, seed, progress)
    return PixelHead(mean, basis, zoom, net)


def _train(
    truths: Sequence[Truth],
    chances: npt.NDArray[np.float64],
    steps: int,
    rng: np.random.Generator,
    seed: int,
    progress: Callable[[float], None],
) -> PixelNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = channels_last(PixelNet(3 + CHANNELS, len(truths[0].tokens)))
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
        for step in range(steps):
            pictures, tokens, figure, depth, weight = map(
                torch.from_numpy, batch(truths, chances, BATCH, rng)
            )
            logits = net(pictures.contiguous(memory_format=torch.channels_last), tokens)
            optimizer.zero_grad()
            loss(logits, figure, depth, weight).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress((step + 1) / steps)
    return _ready(net)


def _ready(net: PixelNet) -> PixelNet:
    return channels_last(net.eval().requires_grad_(False))


def _whitening(samples: Sequence[Sample]) -> tuple[FloatArray, FloatArray]:
    """Mean and scaled principal directions of all tokens; faint directions are not blown up."""
    count, channels = 0, samples[0].features.tokens.shape[2]
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for sample in samples:
        tokens = sample.features.tokens.reshape(-1, channels).astype(np.float64)
        count += len(tokens)
        total += tokens.sum(axis=0)
        products += tokens.T @ tokens
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    values, vectors = values[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    return mean.astype(np.float32), (vectors / np.sqrt(values + 0.1 * values.mean())).astype(np.float32)


def _token_input(
    features: Features, class_map: FloatArray, mean: FloatArray, basis: FloatArray
) -> FloatArray:
    """(COMPONENTS + K + 2, gh, gw): whitened tokens, log probabilities of the map, log odds of its figure."""
    white = np.moveaxis((features.tokens - mean) @ basis, -1, 0)
    clipped = np.clip(class_map, 1e-7, 1)
    odds = np.log(clipped[1:].sum(axis=0) / clipped[0])
    return np.ascontiguousarray(np.concatenate([white, np.log(clipped) / 4, odds[None]]), np.float32)
