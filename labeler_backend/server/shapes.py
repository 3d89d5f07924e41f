"""Regions as far as they are compared: what was proposed with what was submitted."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

TOLERANCE = 0.05
"""In percent of the picture. The editor writes coordinates as it read them; what it rounds is far below."""

_MAX_PIXELS = 100_000_000
_NAME = 100  # characters
_MAX_RLE = 2_000_000  # bytes; a speckled mask of this size takes seconds to decode

# which numbers of `value` make up a region, by its type less "labels"
_NUMBERS = {
    "rectangle": ("x", "y", "width", "height", "rotation"),
    "ellipse": ("x", "y", "radiusX", "radiusY", "rotation"),
}
_KINDS = frozenset({*_NUMBERS, "polygon", "vector", "brush", "bitmask"})


@dataclass(frozen=True, slots=True)
class Shape:
    """What is compared of a region.

    Attributes:
        kind: its type.
        labels: in alphabetical order.
        numbers: coordinates in percent; None for a mask, and for what cannot be read.
        mask: as Label Studio writes it: RLE, or a PNG; None for other kinds.
        size: height and width in pixels of the picture; 0, 0 where it does not say.
        place: the picture, and the page of it, that it lies in; empty where it does not say.
    """

    kind: str
    labels: tuple[str, ...]
    numbers: tuple[float, ...] | None = None
    mask: bytes | None = None
    size: tuple[int, int] = (0, 0)
    place: str = ""

    @property
    def base(self) -> str:
        """Its type less "labels": `polygon`, `brush`, …"""
        return self.kind.removesuffix("labels")

    @property
    def label(self) -> str:
        """Its labels, with commas between; empty where it has none."""
        return ", ".join(self.labels)


def shapes(result: Iterable[Any]) -> dict[str, Shape]:
    """The regions in `result` by their ids.

    What is no region (choices, text), a prompt (key points) or garbage is left out; so are second results of
    one id, which the editor leaves behind when a suggestion is accepted while a label is active.
    """
    found: dict[str, Shape] = {}
    for place, item in enumerate(result):
        if isinstance(item, Mapping) and (shape := _shape(item)) is not None:
            found.setdefault(str(item.get("id", f"#{place}")), shape)
    return found


def same(sent: Shape, made: Shape) -> bool:
    """Whether the annotator left a region as it was: type, labels and outline."""
    return sent.labels == made.labels and same_outline(sent, made)


def same_outline(sent: Shape, made: Shape) -> bool:
    """Whether type and outline are as they were, whatever the labels."""
    if sent.kind != made.kind:
        return False
    if sent.mask is not None and made.mask is not None:
        return _same_mask(sent, made)
    if sent.numbers is None or made.numbers is None or len(sent.numbers) != len(made.numbers):
        return False
    return all(abs(a - b) <= TOLERANCE for a, b in zip(sent.numbers, made.numbers, strict=True))


def pack(named: Sequence[tuple[str, Shape]]) -> bytes:
    """Regions with their ids, small; `unpack` is its inverse."""

    plain = []
    for region, shape in named:
        mask = None if shape.mask is None else base64.b85encode(zlib.compress(shape.mask, 9)).decode()
        plain.append((region, shape.kind, shape.labels, shape.numbers, mask, shape.size, shape.place))
    return zlib.compress(json.dumps(plain).encode(), 3)


def unpack(packed: bytes) -> list[tuple[str, Shape]]:
    """The inverse of `pack`."""
    found = []
    for region, kind, labels, numbers, mask, (height, width), *more in json.loads(zlib.decompress(packed)):
        numbers = None if numbers is None else tuple(numbers)
        mask = None if mask is None else zlib.decompress(base64.b85decode(mask))
        place = more[0] if more else ""  # version 0.1 did not write it
        found.append((region, Shape(kind, tuple(labels), numbers, mask, (height, width), place)))
    return found


def _shape(item: Mapping[str, Any]) -> Shape | None:
    kind, value = str(item.get("type", "")), item.get("value")
    base = kind.removesuffix("labels")
    if base not in _KINDS or not isinstance(value, Mapping):
        return None
    labels = value.get(kind)
    named = tuple(sorted(map(str, labels))) if isinstance(labels, list) else ()
    size = _pixels(item.get("original_height")), _pixels(item.get("original_width"))
    place = f"{str(item.get('to_name', ''))[:_NAME]}:{item.get('item_index') or 0}"
    if base in ("brush", "bitmask"):
        return Shape(kind, named, mask=_mask_bytes(base, value), size=size, place=place)
    keys = _NUMBERS.get(base)
    numbers = _finite(value.get(key, 0) for key in keys) if keys else _points(value)
    return Shape(kind, named, numbers, size=size, place=place)


def _points(value: Mapping[str, Any]) -> tuple[float, ...] | None:
    points = value.get("points", value.get("vertices"))
    if not isinstance(points, list):
        return None
    pairs = [(p.get("x"), p.get("y")) if isinstance(p, Mapping) else p for p in points]
    if not all(isinstance(pair, list | tuple) for pair in pairs):
        return None
    return _finite(number for pair in pairs for number in pair)


def _finite(numbers: Iterable[Any]) -> tuple[float, ...] | None:
    """None when one is no number. Four decimals of a percent are more than the tolerance tells apart."""
    found = tuple(numbers)
    if not all(isinstance(n, int | float) and abs(n) < 1e9 and math.isfinite(n) for n in found):
        return None
    return tuple(round(float(n), 4) for n in found)


def _pixels(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value <= _MAX_PIXELS else 0


def _mask_bytes(base: str, value: Mapping[str, Any]) -> bytes | None:
    """RLE or PNG; empty when it cannot be read, and then equal to nothing but itself."""
    try:
        if base == "brush":
            rle = value.get("rle")
            return bytes(rle) if isinstance(rle, list) else b""  # bytes(n) would be n zeros
        return base64.b64decode(str(value.get("imageDataURL", "")).partition(",")[2], validate=True)
    except (TypeError, ValueError, OverflowError, binascii.Error):
        return b""


def _same_mask(sent: Shape, made: Shape) -> bool:
    """Whether masks differ by no more than a pixel along their border.

    The editor draws a brush mask anew when the annotation is submitted, and encodes it in its own way.
    """
    if sent.mask == made.mask:
        return True
    before, after = alpha(sent), alpha(made)
    if before is None or after is None or before.shape != after.shape:
        return False
    square = np.ones((3, 3), np.uint8)
    # beyond the picture nothing changes: its edge is no border of a mask
    inner, outer = cv2.erode(before, square), cv2.dilate(before, square)
    return not bool(np.any((after < inner) | (after > outer)))


def alpha(shape: Shape) -> npt.NDArray[np.uint8] | None:
    """(H, W) uint8, 1 where a brush or bitmask is; None when it cannot be decoded."""
    try:
        if not shape.kind.startswith("brush"):
            with Image.open(io.BytesIO(shape.mask or b""), formats=("PNG",)) as image:
                if image.width * image.height > _MAX_PIXELS:
                    return None
                drawn = np.asarray(image.convert("RGBA"))[:, :, 3]
            return (drawn > 0).astype(np.uint8)
        height, width = shape.size
        if height * width > _MAX_PIXELS:
            return None
        rle = shape.mask or b""
        if int.from_bytes(rle[:4], "big") != height * width * 4 or not 0 < len(rle) <= _MAX_RLE:
            return None
        from label_studio_sdk.converter.brush import decode_rle  # brings nltk: seconds, and rarely needed

        layers: npt.NDArray[np.uint8] = decode_rle(list(rle)).reshape(height, width, 4)
        return (layers[:, :, 3] > 127).astype(np.uint8)
    except (OSError, ValueError, IndexError, OverflowError, SyntaxError, Image.DecompressionBombError):
        return None
