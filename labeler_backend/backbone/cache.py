"""Features on disk, by content: what was computed once is not computed again."""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
from safetensors.numpy import load, save

from labeler_backend.backbone.encoder import IMAGE_SIZE, Encoder
from labeler_backend.backbone.features import Features
from labeler_backend.backbone.preprocess import Side, UInt8Image
from labeler_backend.store import Store

logger = logging.getLogger("labeler_backend")


def rounded(features: Features) -> Features:
    """What comes back from disk: tokens through float16 and back, all else as it is.

    Halves the cache. float16 keeps 11 bits of a number, more than bf16 computes with, and tokens leave a
    LayerNorm, far inside its range; attention goes down to 1e-8, below it.
    """
    with np.errstate(over="ignore"):
        return replace(features, tokens=features.tokens.astype(np.float16).astype(np.float32))


class FeatureCache:
    """A folder of features, the least recently used deleted first; any number of processes may share it.

    An entry that is gone, damaged, without middle layers or not what it should be is a miss. Where
    nothing can be written (full disk, read-only folder) it warns once and goes on reading.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        """`root` is made with the first entry; `max_bytes` is of all entries together, 0 = no cache."""
        self.store = Store(root, max_bytes, ".safetensors")

    @property
    def root(self) -> Path:
        """The folder."""
        return self.store.root

    @property
    def max_bytes(self) -> int:
        """Of all entries together."""
        return self.store.max_bytes

    @staticmethod
    def key(image: UInt8Image, model_key: str, input_size: tuple[int, int]) -> str:
        """Hex SHA-256 of the upright RGB pixels, their shape, what computes and how large it sees them."""
        header = json.dumps([list(image.shape), model_key, list(input_size)])
        digest = hashlib.sha256(header.encode())
        digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def path(self, key: str) -> Path:
        """Where an entry stands."""
        return self.store.path(key)

    def get(self, key: str) -> Features | None:
        """The features stored under a key, or None."""
        data = self.store.read(key)
        if data is None:
            return None
        try:
            return _deserialise(data)
        except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            logger.warning("%s is damaged (%s) and is computed again.", self.path(key), error)
            self.store.discard(key)
            return None

    def put(self, key: str, features: Features) -> None:
        """Store features, making room if need be; never raises because of the disk."""
        if self.max_bytes > 0:
            self.store.write(key, _serialise(features))


def encode_cached(
    encoder: Encoder,
    cache: FeatureCache | None,
    images: Sequence[UInt8Image],
    size: int = IMAGE_SIZE,
    side: Side = "long",
    batch_size: int | None = None,
) -> list[Features]:
    """As `Encoder.encode`, computing only what the cache does not hold.

    Always `rounded`, with or without a cache and whether found or fresh: the same image gives the same bits.
    """
    input_sizes = [encoder.target_size(image, size, side) for image in images]
    return encode_at_cached(encoder, cache, images, input_sizes, batch_size)


def encode_at_cached(
    encoder: Encoder,
    cache: FeatureCache | None,
    images: Sequence[UInt8Image],
    input_sizes: Sequence[tuple[int, int]],
    batch_size: int | None = None,
) -> list[Features]:
    """As `Encoder.encode_at`, computing only what the cache does not hold; always `rounded`."""
    if cache is None or cache.max_bytes <= 0:
        return [rounded(features) for features in encoder.encode_at(images, input_sizes, batch_size)]
    keys = [
        cache.key(image, encoder.model_key, size) for image, size in zip(images, input_sizes, strict=True)
    ]
    found = {key: cache.get(key) for key in dict.fromkeys(keys)}
    missing = {key: index for index, key in enumerate(keys) if found[key] is None}
    fresh = encoder.encode_at(
        [images[index] for index in missing.values()],
        [input_sizes[index] for index in missing.values()],
        batch_size,
    )
    for key, computed in zip(missing, fresh, strict=True):
        found[key] = rounded(computed)
        cache.put(key, computed)
    return [features for key in keys if (features := found[key]) is not None]


def _serialise(features: Features) -> bytes:
    tensors: dict[str, npt.NDArray[Any]] = {"attention": np.ascontiguousarray(features.attention, np.float32)}
    with np.errstate(over="ignore"):
        tensors["tokens"] = np.ascontiguousarray(features.tokens, np.float16)
    if features.middle is not None:
        tensors["middle"] = np.ascontiguousarray(features.middle, np.float16)
    facts = {
        "image_size": features.image_size,
        "input_size": features.input_size,
        "model_key": features.model_key,
        "crc32": _checksum(tensors),
    }
    data: bytes = save(tensors, metadata={"features": json.dumps(facts)})
    return data


def _checksum(tensors: Mapping[str, npt.NDArray[Any]]) -> int:
    crc = 0
    for name in ("tokens", "attention", "middle"):
        if name in tensors:
            crc = zlib.crc32(tensors[name].tobytes(), crc)
    return crc


def _deserialise(data: bytes) -> Features | None:
    """None where an earlier version of the program wrote it, without the middle layers.

    Raises ValueError, KeyError, TypeError or SafetensorError where the data is not sound.
    """
    tensors: dict[str, npt.NDArray[Any]] = load(data)
    header_end = 8 + int.from_bytes(data[:8], "little")  # the format's own: length, JSON header, tensors
    facts = json.loads(json.loads(data[8:header_end])["__metadata__"]["features"])
    if _checksum(tensors) != facts["crc32"]:
        raise ValueError("the checksum differs")
    if "middle" not in tensors:
        return None
    return Features(
        tokens=tensors["tokens"].astype(np.float32),
        attention=tensors["attention"],
        image_size=(facts["image_size"][0], facts["image_size"][1]),
        input_size=(facts["input_size"][0], facts["input_size"][1]),
        model_key=facts["model_key"],
        middle=tensors["middle"],
    )
