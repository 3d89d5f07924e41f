"""Ids of objects: the same object of the same task has the same id, so that an answer replaces its region.

Label Studio's editor replaces an accepted region when a suggestion comes with its id, and puts another on top
when the id is new. So an id must outlive a restart and must not depend on which other proposals there are,
nor on a pixel more or less: the same picture encoded alone or in a batch, on another device or in another
precision gives masks that differ at their edges. A hash of the mask would change with each of those; a hash
of its centre and its spread, rounded to a 64th of the picture, does not (but for the rare object that lies
within a hair of a rounding step). Objects of one page that agree even in that are told apart by their order.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask

_STEPS = 64
_SAMPLES = 256  # along the longer side of an object's box
PREFIX = "el"
_PART = re.compile(rf"({PREFIX}[0-9a-f]{{12}})(-\d+)?")  # ids that the editor makes have 10 characters


def object_ids(task_id: int, image: str, page: int | None, masks: Iterable[BoolMask]) -> list[str]:
    """The id of each of a page's objects: 14 letters and digits, different from each other.

    Args:
        task_id: in Label Studio.
        image: name of the object tag.
        page: from 0; None where the picture has no pages.
        masks: (H, W) bool each, of all the page's proposals, best first.
    """
    seen: dict[str, int] = {}
    ids = []
    for mask in masks:
        about = f"{task_id}|{image}|{page}|{_coarse(mask)}"
        twins = seen.get(about, 0)
        seen[about] = twins + 1
        ids.append(PREFIX + hashlib.blake2b(f"{about}|{twins}".encode(), digest_size=6).hexdigest())
    return ids


def part_id(object_id: str, part: int) -> str:
    """The id of one region of an object that may have several.

    The largest (part 0) has the object's own, so that it is replaced also by an answer in one piece.
    """
    return f"{object_id}-{part}" if part else object_id


def object_of(region_id: str) -> str:
    """The proposed object that a region is, or is a part of; empty where the region was not proposed."""
    match = _PART.fullmatch(region_id)
    return match[1] if match else ""


def _coarse(mask: BoolMask) -> tuple[int, ...]:
    """Centre and standard deviations along both axes, in 64ths of the picture.

    Measured on every `step`-th pixel of the object's box, which is exact enough and spares large pictures.
    """
    by_columns = mask.flags.f_contiguous and not mask.flags.c_contiguous  # as pycocotools decodes
    pixels = np.ascontiguousarray(mask.T if by_columns else mask).view(np.uint8)
    left, top, w, h = cv2.boundingRect(pixels)
    step = max(1, max(w, h) // _SAMPLES)
    sample = np.ascontiguousarray(pixels[top : top + h : step, left : left + w : step])
    if not sample.any():
        return ()
    moments = cv2.moments(sample, binaryImage=True)
    x, y, xx, yy = (moments[key] / moments["m00"] for key in ("m10", "m01", "mu20", "mu02"))
    across = (left + x * step) / pixels.shape[1], math.sqrt(xx) * step / pixels.shape[1]
    down = (top + y * step) / pixels.shape[0], math.sqrt(yy) * step / pixels.shape[0]
    ordered = down + across if by_columns else across + down
    return tuple(round(share * _STEPS) for share in ordered)
