"""What is stored once of an image: features, the picture as the model saw it, the pool of proposals."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import safetensors
from safetensors.numpy import load, save

from labeler_backend.backbone.features import Features
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 3)  # larger by a few percent than with 9, written five times as fast
_META = "image"


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image, without what anybody says is in it.

    Attributes:
        features: of the image.
        picture: (h, w, 3) uint8, at `features.input_size`.
        proposals: the emergent ones, by falling score.
    """

    features: Features
    picture: RGB
    proposals: tuple[Proposal, ...]


def to_bytes(image: StoredImage) -> bytes:
    """A safetensors file: tokens in float16 as the feature cache has them, attention in float32 (it goes
    below float16's range), the picture as PNG, all else as JSON, a checksum over it all."""
    features = image.features
    with np.errstate(over="ignore"):
        tokens = np.ascontiguousarray(features.tokens, np.float16)
    tensors: dict[str, npt.NDArray[Any]] = {
        "tokens": tokens,
        "attention": np.ascontiguousarray(features.attention, np.float32),
        "picture": _png(image.picture),
    }
    if features.middle is not None:
        tensors["middle"] = np.ascontiguousarray(features.middle, np.float16)
    facts = {
        "image_size": features.image_size,
        "input_size": features.input_size,
        "model_key": features.model_key,
        "proposals": [[one.rle, one.score, one.source, one.label] for one in image.proposals],
    }
    text = json.dumps(facts, separators=(",", ":"))
    data: bytes = save(tensors, metadata={_META: text, "crc32": str(_checksum(tensors, text))})
    return data


def from_bytes(data: bytes) -> StoredImage:
    """What `to_bytes` was given, tokens as float16 keeps them.

    Raises:
        ValueError: it is damaged, or something else.
    """
    try:
        return _read(data)
    except (safetensors.SafetensorError, KeyError, TypeError, IndexError, cv2.error) as error:
        raise ValueError(str(error)) from error


def _read(data: bytes) -> StoredImage:
    tensors: dict[str, npt.NDArray[Any]] = load(data)
    header_end = 8 + int.from_bytes(data[:8], "little")  # the format's own: length, JSON header, tensors
    meta = json.loads(data[8:header_end])["__metadata__"]
    if _checksum(tensors, meta[_META]) != int(meta["crc32"]):
        raise ValueError("the checksum differs")
    facts = json.loads(meta[_META])
    pixels = cv2.imdecode(tensors["picture"], cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("the picture is no PNG")
    features = Features(
        tokens=tensors["tokens"].astype(np.float32),
        attention=tensors["attention"],
        image_size=(facts["image_size"][0], facts["image_size"][1]),
        input_size=(facts["input_size"][0], facts["input_size"][1]),
        model_key=facts["model_key"],
        middle=tensors.get("middle"),  # files of earlier versions have none
    )
    proposals = tuple(Proposal(*proposal) for proposal in facts["proposals"])
    picture = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    return StoredImage(features, picture, proposals)


def _png(picture: RGB) -> npt.NDArray[np.uint8]:
    written, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _PNG)
    if not written:
        raise ValueError("the picture cannot be written as PNG")
    return np.asarray(data, np.uint8).ravel()


def _checksum(tensors: Mapping[str, npt.NDArray[Any]], text: str) -> int:
    crc = zlib.crc32(text.encode())
    for name in sorted(tensors):
        crc = zlib.crc32(np.ascontiguousarray(tensors[name]).data, crc)
    return crc
