"""Features on disk, by content: what was computed once is not computed again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
from safetensors.numpy import save

from labeler_backend.backbone.encoder import IMAGE_SIZE, Encoder
from labeler_backend.backbone.features import Features
from labeler_backend.backbone.preprocess import Side, UInt8Image

logger = logging.getLogger("labeler_backend")

_SUFFIX = ".safetensors"
_KEEP = 0.9  # of the cap, after making room: so that not every new entry has to
_RECOUNT = 0.02  # of the cap written by this process between two looks at what all processes have stored
_STALE_SECONDS = 3600.0  # a temporary file this old was left by a kill


def rounded(features: Features) -> Features:
    """What comes back from disk: tokens through float16 and back, attention as it is.

    Halves the cache. float16 keeps 11 bits of a number, more than bf16 computes with, and tokens leave a
    LayerNorm, far inside its range; attention goes down to 1e-8, below it.
    """
    with np.errstate(over="ignore"):
        return replace(features, tokens=features.tokens.astype(np.float16).astype(np.float32))


class FeatureCache:
    """A folder of features, the least recently used deleted first; any number of processes may share it.

    An entry that is gone, damaged or not what it should be is a miss. Where nothing can be written (full
    disk, read-only folder) it warns once and goes on reading.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        """`root` is made with the first entry; `max_bytes` is of all entries together, 0 = no cache."""
        self.root = root
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._stored: int | None = None  # bytes, as far as this process knows; None = never looked
        self._written = 0  # bytes by this process since it looked
        self._writable = max_bytes > 0

    @staticmethod
    def key(image: UInt8Image, model_key: str, input_size: tuple[int, int]) -> str:
        """Hex SHA-256 of the upright RGB pixels, their shape, what computes and how large it sees them."""
        header = json.dumps([list(image.shape), model_key, list(input_size)])
        digest = hashlib.sha256(header.encode())
        digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def path(self, key: str) -> Path:
        """Where an entry stands: two levels of 256 folders keep each of them small."""
        return self.root / key[:2] / key[2:4] / f"{key}{_SUFFIX}"

    def get(self, key: str) -> Features | None:
        """The features stored under a key, or None."""
        if self.max_bytes <= 0:
            return None
        path = self.path(key)
        try:
            features = _read(path)
        except OSError:
            return None
        except (ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
            logger.warning("%s is damaged (%s) and is computed again.", path, error)
            _remove(path)
            return None
        with contextlib.suppress(
            OSError
        ):  # a read-only cache is still one, its entries only do not get younger
            os.utime(path)
        return features

    def put(self, key: str, features: Features) -> None:
        """Store features, making room if need be; never raises because of the disk."""
        data = _serialise(features)
        if not self._writable or len(data) > self.max_bytes:
            return
        try:
            _write_atomically(self.path(key), data)
            self._count(len(data))
        except OSError as error:
            self._writable = False
            logger.warning(
                "Features are not cached from here on: %s (%s).", self.root, error.strerror or error
            )

    def _count(self, written: int) -> None:
        """Add to the tally; look at the folder and make room when the tally is old or over the cap."""
        with self._lock:
            self._written += written
            self._stored = None if self._stored is None else self._stored + written
            old = self._written > _RECOUNT * self.max_bytes
            if self._stored is None or old or self._stored > self.max_bytes:
                self._stored = _make_room(self.root, self.max_bytes)
                self._written = 0


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
    with np.errstate(over="ignore"):
        tokens = np.ascontiguousarray(features.tokens, np.float16)
    attention = np.ascontiguousarray(features.attention, np.float32)
    facts = {
        "image_size": features.image_size,
        "input_size": features.input_size,
        "model_key": features.model_key,
        "crc32": _checksum(tokens, attention),
    }
    data: bytes = save({"tokens": tokens, "attention": attention}, metadata={"features": json.dumps(facts)})
    return data


def _checksum(tokens: npt.NDArray[np.float16], attention: npt.NDArray[np.float32]) -> int:
    return zlib.crc32(attention.tobytes(), zlib.crc32(tokens.tobytes()))


def _read(path: Path) -> Features:
    """Raises OSError where it cannot be read, anything else of a damaged file's where it is not sound."""
    with safetensors.safe_open(path, framework="numpy") as stored:
        facts = json.loads((stored.metadata() or {})["features"])
        tokens, attention = stored.get_tensor("tokens"), stored.get_tensor("attention")
    if _checksum(tokens, attention) != facts["crc32"]:
        raise ValueError("the checksum differs")
    return Features(
        tokens=tokens.astype(np.float32),
        attention=attention,
        image_size=(facts["image_size"][0], facts["image_size"][1]),
        input_size=(facts["input_size"][0], facts["input_size"][1]),
        model_key=facts["model_key"],
    )


def _write_atomically(path: Path, data: bytes) -> None:
    """No fsync: what a power cut kept from the disk, the checksum finds, and it is computed again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except BaseException:
        _remove(Path(temporary))
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _make_room(root: Path, max_bytes: int) -> int:
    """Delete the least recently used entries while they exceed the cap; returns the bytes that stay."""
    entries: list[tuple[float, int, Path]] = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            try:
                status = path.stat()
            except OSError:  # another process was first
                continue
            if name.endswith(_SUFFIX):
                entries.append((status.st_mtime, status.st_size, path))
            elif name.endswith(".part") and time.time() - status.st_mtime > _STALE_SECONDS:
                _remove(path)
    total = sum(size for _, size, _ in entries)
    if total <= max_bytes:
        return total
    for _, size, path in sorted(entries):
        if total <= _KEEP * max_bytes:
            break
        _remove(path)
        total -= size
    return total
