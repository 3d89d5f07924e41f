"""How much of a proposal is in the region that was submitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks.metrics import iou_matrix
from labeler_backend.masks.rle import RLE, encode
from labeler_backend.masks.shape import to_rle
from labeler_backend.server.shapes import Shape, alpha
from labeler_backend.studio import shapes as outlines
from labeler_backend.studio.areas import areas
from labeler_backend.studio.shapes import FloatArray

_LONGEST = 2048
"""Pixels of a picture's longer side: finer makes no difference that matters to an IoU, and costs more."""
_UNKNOWN = (1000, 1000)  # an IoU does not change with the scale of an axis; only turned boxes come out skewed

_KEYS = {
    "rectangle": ("x", "y", "width", "height", "rotation"),
    "ellipse": ("x", "y", "radiusX", "radiusY", "rotation"),
}
_OUTLINES: Mapping[str, Callable[[dict[str, object], tuple[int, int]], FloatArray]] = {
    "rectangle": outlines.rectangle_outline,
    "ellipse": outlines.ellipse_outline,
}


def overlaps(sent: Sequence[Shape], made: Sequence[Shape]) -> npt.NDArray[np.float64]:
    """IoU of each proposal with each region: (len(sent), len(made)).

    NaN where one of the two encloses nothing or cannot be read; 0 where they lie in different pictures.
    """
    found = np.full((len(sent), len(made)), np.nan)
    size = _size([*sent, *made])
    columns = [(n, rle) for n, shape in enumerate(made) if (rle := _encoded(shape, size)) is not None]
    for row, shape in enumerate(sent):
        rle = _encoded(shape, size)
        if rle is not None and columns:
            numbers, masks = zip(*columns, strict=True)
            found[row, list(numbers)] = iou_matrix([rle], masks)[0]
    for row, shape in enumerate(sent):
        for column, other in enumerate(made):
            if shape.place and other.place and shape.place != other.place:
                found[row, column] = 0.0
    return found


def _size(shapes: Sequence[Shape]) -> tuple[int, int]:
    """(H, W) to compare at: the first picture's, at most `_LONGEST` pixels long."""
    height, width = next((shape.size for shape in shapes if 0 not in shape.size), _UNKNOWN)
    scale = min(1.0, _LONGEST / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _encoded(shape: Shape, size: tuple[int, int]) -> RLE | None:
    """What it encloses in a picture of `size`; None where that is nothing."""
    if shape.mask is not None:
        drawn = alpha(shape)
        if drawn is None or not drawn.any():
            return None
        resized = cv2.resize(drawn, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
        return encode(resized.view(bool)) if resized.any() else None
    outline = _outline(shape, size)
    area = areas([outline], size)[0].shape if outline is not None else None
    return to_rle(area) if area is not None else None


def _outline(shape: Shape, size: tuple[int, int]) -> FloatArray | None:
    """Its corners in pixels; of a vector, without its curves."""
    if not shape.numbers:
        return None
    try:
        if shape.base in _KEYS:
            return _OUTLINES[shape.base](dict(zip(_KEYS[shape.base], shape.numbers, strict=True)), size)
        corners = np.asarray(shape.numbers, float).reshape(-1, 2)
        return outlines.polygon_outline({"points": corners.tolist()}, size)
    except ValueError:
        return None
