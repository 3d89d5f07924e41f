"""Image → Features, for every DINO-family ViT that transformers loads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from labeler_backend.backbone import attention, middle, preprocess
from labeler_backend.backbone.device import dtype_name, one_thread_each, pick_device, pick_dtype
from labeler_backend.backbone.features import Features
from labeler_backend.backbone.model import forward_options, load_model
from labeler_backend.backbone.preprocess import Normalisation, Side, UInt8Image
from labeler_backend.backbone.registry import DEFAULT_MODEL
from labeler_backend.backbone.weights import fetch

IMAGE_SIZE = 518
"""Default long side of an image in pixels."""

# On a CPU a batch is no faster, and with one image at a time the result cannot depend on its neighbours.
_BATCH = {"cpu": 1, "mps": 4, "cuda": 16}


@dataclass(frozen=True, eq=False)
class Encoder:
    """A backbone, ready to use from several threads.

    Attributes:
        model_key: identity of what it computes: model, SHA-256 of the weights, dtype, preprocessing version.
        patch: side of a patch in input pixels.
        hidden_size: length of a token.
        heads: attention heads per layer.
        prefix_tokens: tokens before the patches: [CLS] and registers.
        device: where it runs.
        dtype: what it computes in; of Features, tokens and attention are float32 always.
    """

    model: nn.Module
    normalisation: Normalisation
    model_key: str
    patch: int
    hidden_size: int
    heads: int
    prefix_tokens: int
    device: torch.device
    dtype: torch.dtype
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        dtype: str = "auto",
        cache_dir: Path | None = None,
        offline: bool = False,
    ) -> Encoder:
        """Fetch if need be, and load.

        Args:
            name: short name, hub id or local folder.
            device: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`.
            dtype: `auto`, `fp32`, `bf16`, `fp16`.
            cache_dir: as for `weights.fetch`.
            offline: touch no network.

        Raises:
            LabelerError: an unknown name, device or dtype.
            WeightsError: no weights, or not those of a DINO-family ViT.
        """
        chosen = pick_device(device)
        number_format = pick_dtype(dtype, chosen)
        location = fetch(name, cache_dir, offline)
        model = load_model(location, number_format)
        config: Any = model.config
        key = f"{location.spec.name}:{location.sha256[:12]}:{dtype_name(number_format)}"
        return cls(
            model=model.to(chosen),
            normalisation=Normalisation.from_folder(location.folder),
            model_key=f"{key}:p{preprocess.PREPROCESSING_VERSION}",
            patch=_square(config.patch_size),
            hidden_size=int(config.hidden_size),
            heads=int(config.num_attention_heads),
            prefix_tokens=1 + int(getattr(config, "num_register_tokens", 0)),
            device=chosen,
            dtype=number_format,
        )

    def target_size(self, image: UInt8Image, size: int = IMAGE_SIZE, side: Side = "long") -> tuple[int, int]:
        """(h, w) this model would see of an image; see `preprocess.target_size`."""
        return preprocess.target_size((image.shape[0], image.shape[1]), size, self.patch, side)

    def encode(
        self,
        images: Sequence[UInt8Image],
        size: int = IMAGE_SIZE,
        side: Side = "long",
        batch_size: int | None = None,
    ) -> list[Features]:
        """Features of upright RGB images, (H, W, 3) uint8 each, in their order.

        Args:
            images: of any sizes; those with equal grids share batches.
            size: long or short side in pixels of what the model sees.
            side: which one `size` means.
            batch_size: images per forward pass; None takes what suits the device. Only with 1 are the last
                bits of a result the same whatever goes beside it.
        """
        return self.encode_at(images, [self.target_size(image, size, side) for image in images], batch_size)

    def encode_at(
        self,
        images: Sequence[UInt8Image],
        input_sizes: Sequence[tuple[int, int]],
        batch_size: int | None = None,
    ) -> list[Features]:
        """As `encode`, each image at its own (h, w) in pixels, multiples of the patch.

        Raises:
            ValueError: an input size that is no multiple of the patch, or not one per image.
        """
        if len(images) != len(input_sizes):
            raise ValueError(f"{len(images)} images but {len(input_sizes)} input sizes.")
        wrong = [
            size for size in input_sizes if size[0] % self.patch or size[1] % self.patch or min(size) < 1
        ]
        if wrong:
            raise ValueError(f"Input size {wrong[0]} is no multiple of the patch, {self.patch}.")
        groups = list(_batches(input_sizes, batch_size or _BATCH.get(self.device.type, 1)))

        def forward(group: list[int]) -> list[Features]:
            return self._forward([images[index] for index in group], input_sizes[group[0]])

        parallel = self.device.type == "cpu" and len(groups) > 1
        found = list(one_thread_each().map(forward, groups) if parallel else map(forward, groups))
        results = {
            index: one
            for group, ones in zip(groups, found, strict=True)
            for index, one in zip(group, ones, strict=True)
        }
        return [results[index] for index in range(len(images))]

    def _forward(self, images: Sequence[UInt8Image], input_size: tuple[int, int]) -> list[Features]:
        """Features of one batch of one input size."""
        height, width = input_size
        gh, gw = height // self.patch, width // self.patch
        resized = np.stack([preprocess.resize(image, input_size) for image in images])
        with (
            self._turn(),
            torch.inference_mode(),
            attention.capture(self.model) as last,
            middle.capture(self.model) as between,
        ):
            tokens = self.model(self._pixels(resized), **forward_options(self.model)).last_hidden_state
            attended = last.cls_row(self.heads, self.prefix_tokens).cpu().numpy()
            patches = tokens[:, self.prefix_tokens :].float().cpu().numpy()
            beside = between.patches(self.prefix_tokens).cpu().numpy()
        return [
            Features(
                tokens=np.ascontiguousarray(patches[i].reshape(gh, gw, self.hidden_size)),
                attention=np.ascontiguousarray(attended[i].reshape(self.heads, gh, gw)),
                image_size=(image.shape[0], image.shape[1]),
                input_size=input_size,
                model_key=self.model_key,
                middle=np.ascontiguousarray(beside[i].reshape(gh, gw, -1)),
            )
            for i, image in enumerate(images)
        ]

    def _turn(self) -> AbstractContextManager[object]:
        """One forward pass at a time on an accelerator; a CPU takes as many as there are."""
        return nullcontext() if self.device.type == "cpu" else self._lock

    def _pixels(self, resized: UInt8Image) -> torch.Tensor:
        """(B, h, w, 3) uint8 → (B, 3, h, w) float32, normalised, on the device."""
        pixels = torch.from_numpy(resized).to(self.device).permute(0, 3, 1, 2).float()
        scale = torch.tensor(self.normalisation.scale, device=self.device).view(1, 3, 1, 1)
        offset = torch.tensor(self.normalisation.offset, device=self.device).view(1, 3, 1, 1)
        return (pixels * scale + offset).contiguous()


def _batches(input_sizes: Sequence[tuple[int, int]], batch_size: int) -> Iterator[list[int]]:
    """Indices of images that can go through the model together."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(input_sizes):
        groups.setdefault(size, []).append(index)
    for indices in groups.values():
        for start in range(0, len(indices), batch_size):
            yield indices[start : start + batch_size]


def _square(patch_size: int | Sequence[int]) -> int:
    return int(patch_size) if isinstance(patch_size, int) else int(patch_size[0])
