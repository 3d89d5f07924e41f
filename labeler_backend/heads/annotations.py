"""What somebody says is in one image, and how it is written down."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks.rle import RLE, decode

Shares = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Annotation:
    """The half of a `Sample` that changes; its attributes are explained there."""

    group: str
    labels: tuple[str, ...]
    masks: tuple[RLE, ...]
    coverage: Shares
    unknown: Shares
    trust: float
    revision: str


def coverage(masks: Sequence[RLE], size: tuple[int, int], grid: tuple[int, int]) -> Shares:
    """The share of each patch that each mask covers, by area: the soft labels of DINOv3's
    `foreground_segmentation` notebook.

    Args:
        masks: at `size`.
        size: (H, W) in pixels.
        grid: (gh, gw) in patches.

    Returns:
        (n, gh, gw) uint8, 255 = all of the patch.

    Raises:
        ValueError: a mask is of another size.
    """
    shares = np.zeros((len(masks), *grid), np.uint8)
    for n, mask in enumerate(masks):
        if tuple(mask["size"]) != tuple(size):
            raise ValueError(f"a mask of {mask['size']} does not lie in an image of {list(size)}")
        shares[n] = _averaged(np.ascontiguousarray(decode(mask)).view(np.uint8) * np.uint8(255), grid)
    return shares


def _averaged(pixels: Shares, grid: tuple[int, int]) -> Shares:
    """(H, W) → (gh, gw). Where a pixel is larger than a patch it is repeated first, as INTER_AREA only
    averages when it shrinks."""
    (height, width), (rows, columns) = pixels.shape, grid
    tall, wide = height * -(-rows // height), width * -(-columns // width)
    if (tall, wide) != (height, width):
        pixels = np.repeat(np.repeat(pixels, tall // height, axis=0), wide // width, axis=1)
    return np.asarray(cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def to_entry(annotation: Annotation) -> dict[str, Any]:
    """As JSON can hold it."""
    return {
        "group": annotation.group,
        "labels": list(annotation.labels),
        "masks": [[*mask["size"], mask["counts"]] for mask in annotation.masks],
        "coverage": _packed(annotation.coverage),
        "unknown": _packed(annotation.unknown),
        "grid": [int(side) for side in annotation.unknown.shape],
        "trust": annotation.trust,
        "revision": annotation.revision,
    }


def from_entry(entry: Mapping[str, Any], size: tuple[int, int], grid: tuple[int, int]) -> Annotation:
    """What `to_entry` was given, on the `grid` (gh, gw) of an image of `size` (H, W).

    Raises:
        ValueError, KeyError, TypeError, zlib.error: it is something else, or of an image of another size.
    """
    masks: tuple[RLE, ...] = tuple({"size": [h, w], "counts": counts} for h, w, counts in entry["masks"])
    then = entry["grid"][0], entry["grid"][1]
    unknown = _unpacked(entry["unknown"]).reshape(then)
    shares: Shares
    if then == grid:
        shares = _unpacked(entry["coverage"]).reshape(len(masks), *grid)
    else:  # encoded anew since, by another model or larger
        shares, unknown = coverage(masks, size, grid), _averaged(unknown, grid)
    return Annotation(
        entry["group"], tuple(entry["labels"]), masks, shares, unknown, entry["trust"], entry["revision"]
    )


def _packed(shares: Shares) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(shares, np.uint8).data)).decode("ascii")


def _unpacked(text: str) -> Shares:
    return np.frombuffer(bytearray(zlib.decompress(base64.b64decode(text))), np.uint8)
