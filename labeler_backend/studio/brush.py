"""Masks pixel by pixel: Label Studio's brush RLE and its bitmask PNG.

Both are pictures of the upright image's size whose alpha channel is the mask.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import DEFAULT_MAX_PIXELS
from labeler_backend.studio.shapes import ShapeError

_CHANNELS = 4
_RUN_BITS = (
    3,
    4,
    8,
    16,
)  # what encoders choose from for the length of a run; the SDK's and the editor's choice
_LONGEST_RUN = 1 << _RUN_BITS[-1]
_PNG_PREFIX = "data:image/png;base64,"


def brush_values(mask: BoolMask) -> list[dict[str, Any]]:
    """(H, W) bool → one value with all of it, holes included; nothing for an empty mask."""
    return [{"format": "rle", "rle": encode_brush(mask)}] if mask.any() else []


def brush_mask(value: Mapping[str, Any], size: tuple[int, int]) -> BoolMask:
    """A brush's `rle` → (H, W) bool: where alpha is more than half of its greatest.

    The editor's strokes have soft edges; other programs write an alpha of 1 or 100 for all of the mask.

    Raises:
        ShapeError: not an RLE, or of another size.
    """
    from label_studio_sdk.converter.brush import decode_rle  # a second, mostly for nltk, which few need

    rle = value.get("rle")
    if not isinstance(rle, list) or not all(isinstance(v, int) and 0 <= v <= 255 for v in rle):
        raise ShapeError("its rle is not a list of bytes")
    length = size[0] * size[1] * _CHANNELS
    if int.from_bytes(bytes(rle[:4]), "big") != length:
        raise ShapeError(f"its brush mask is not of the picture's size, {size[1]}×{size[0]} pixels")
    try:
        flat = decode_rle(rle)
    except (ValueError, IndexError, OverflowError) as error:  # cut off; damaged; values of more than a byte
        raise ShapeError("its brush mask is damaged") from error
    return _opaque(flat.reshape(*size, _CHANNELS)[:, :, -1])


def encode_brush(mask: BoolMask) -> list[int]:
    """(H, W) bool → Label Studio's RLE of the RGBA picture that is 0 outside and 255 inside.

    Decodes to the same as the SDK's `mask2rle`, which takes twenty times as long on large pictures because it
    works on four bytes per pixel.
    """
    flat = mask.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size) * _CHANNELS
    bits = [f"{flat.size * _CHANNELS:032b}", f"{8 - 1:05b}", *(f"{n - 1:04b}" for n in _RUN_BITS)]
    inside, start = bool(flat[0]), 0
    for end in ends.tolist():
        bits += _run(end - start, "1" * 8 if inside else "0" * 8)
        inside, start = not inside, end
    text = "".join(bits)
    padding = 8 - len(text) % 8
    return list(int(text + "0" * padding, 2).to_bytes((len(text) + padding) // 8, "big"))


def bitmask_values(mask: BoolMask) -> list[dict[str, Any]]:
    """(H, W) bool → black on transparent, all blobs and holes in one; nothing for an empty mask.

    Without an alpha channel the editor would take the whole picture.
    """
    if not mask.any():
        return []
    picture = np.zeros((*mask.shape, _CHANNELS), np.uint8)
    picture[:, :, -1] = mask * np.uint8(255)
    _, png = cv2.imencode(".png", picture)
    return [{"imageDataURL": _PNG_PREFIX + base64.b64encode(png.tobytes()).decode("ascii")}]


def bitmask_mask(value: Mapping[str, Any], size: tuple[int, int]) -> BoolMask:
    """A bitmask's `imageDataURL` → (H, W) bool: where alpha is more than half of its greatest.

    A PNG of another size is stretched, as the editor does.

    Raises:
        ShapeError: not a PNG as a data URI, damaged, or without transparency.
    """
    url = value.get("imageDataURL")
    if not isinstance(url, str) or not url.startswith(_PNG_PREFIX):
        raise ShapeError("its imageDataURL is not a PNG as a data URI")
    try:
        data = base64.b64decode(url[len(_PNG_PREFIX) :], validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            if picture.width * picture.height > DEFAULT_MAX_PIXELS:
                raise ShapeError(f"its PNG has more than {DEFAULT_MAX_PIXELS:,} pixels")
            transparent = picture.has_transparency_data
            alpha = np.asarray(picture.convert("RGBA"))[:, :, -1]
    except (binascii.Error, ShapeError) as error:
        raise ShapeError(str(error) if isinstance(error, ShapeError) else "its PNG is damaged") from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise ShapeError("its PNG is damaged") from error
    if not transparent:
        raise ShapeError("its PNG has no transparency, so that the editor shows it as the whole picture")
    if alpha.shape != size:
        alpha = cv2.resize(alpha, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    return _opaque(alpha)


def _run(length: int, value: str) -> list[str]:
    """The bits of `length` equal values, in as many runs as the longest allows."""
    runs = []
    while length > 0:
        part = min(length, _LONGEST_RUN)
        choice = next(i for i, n in enumerate(_RUN_BITS) if part <= 1 << n)
        runs.append(f"1{choice:02b}{part - 1:0{_RUN_BITS[choice]}b}{value}")
        length -= part
    return runs


def _opaque(alpha: npt.NDArray[np.uint8]) -> BoolMask:
    mask: BoolMask = alpha > alpha.max() // 2
    return mask
