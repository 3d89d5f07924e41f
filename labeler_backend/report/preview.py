"""What a report page embeds of one image: a small picture and the outlines of its proposals over it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal

MAX_PREVIEWS = 300
"""Images a page embeds; at about 50 kB each it still opens at once."""

MAX_SIDE = 480
_QUALITY = 80
_TOLERANCE = 0.6  # pixels of the small picture


def preview(image: RGB, proposals: Sequence[Proposal], max_side: int = MAX_SIDE) -> dict[str, Any]:
    """(H, W, 3) image and its proposals → JSON-ready values.

    Returns:
        `width`, `height` of the original and `w`, `h` of the small picture in pixels, `jpeg` (base64) and
        `shapes`: per proposal `d` (an SVG path in pixels of the small picture, to be filled even-odd),
        `score`, `share` of the image's area, `source` and `label`.
    """
    height, width = image.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return {
        "width": width,
        "height": height,
        "w": size[0],
        "h": size[1],
        "jpeg": jpeg(np.asarray(small, dtype=np.uint8)),
        "shapes": [_shape(proposal, size) for proposal in proposals],
    }


def _shape(proposal: Proposal, size: tuple[int, int]) -> dict[str, Any]:
    mask = proposal.mask
    return {
        "d": outline(mask, size),
        "score": round(proposal.score, 4),
        "share": round(proposal.area / mask.size, 5),
        "source": proposal.source,
        "label": proposal.label or "",
    }


def outline(mask: BoolMask, size: tuple[int, int]) -> str:
    """(H, W) mask → SVG path of its borders, holes included, at `size` (w, h) in pixels."""
    # Decoded masks lie in memory column by column, as COCO has them: turned, they need no copy.
    turned, turned_size = np.ascontiguousarray(mask.T).view(np.uint8), (size[1], size[0])
    inside = cv2.resize(turned, turned_size, interpolation=cv2.INTER_AREA)
    if not inside.any():  # nothing covers half a pixel: better thick than not there
        cover = cv2.resize(255 * turned, turned_size, interpolation=cv2.INTER_AREA)
        inside = (cover > 0).astype(np.uint8)
    # Twice the size, so that a line one pixel wide still encloses something.
    doubled = cv2.resize(
        np.ascontiguousarray(inside.T), (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_NEAREST
    )
    rings, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return "".join(_ring(cv2.approxPolyDP(ring, 2 * _TOLERANCE, True)) for ring in rings)


def _ring(points: np.ndarray[Any, Any]) -> str:
    xy = np.round((points.reshape(-1, 2) + 0.5) / 2, 1)
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in xy.tolist()) + "Z"


def jpeg(image: RGB) -> str:
    """(H, W, 3) uint8 → a JPEG in base64."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    if not done:
        raise ValueError(f"OpenCV cannot encode a picture of {image.shape}.")
    return base64.b64encode(np.asarray(data).tobytes()).decode("ascii")
