"""Regions as an annotator draws them in Label Studio, and the area each of them really has.

The areas are computed here, and not with what the exporter under test uses: polygons by PIL on a raster eight
times as fine, rectangles and ellipses from their equations, brushes and bitmasks from the pixels painted.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from label_studio_sdk.converter.brush import mask2rle
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import measure

BoolMask = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float64]
FINER = 8
TURNED = 33.0  # degrees


@dataclass(frozen=True)
class Drawn:
    """One region.

    Attributes:
        kind: what it is called in the tables.
        type: Label Studio's, and the key of its labels.
        value: without its labels.
        area: (H, W) bool, what it encloses.
    """

    kind: str
    type: str
    value: Mapping[str, Any]
    area: BoolMask


def draw(kind: str, mask: BoolMask) -> Drawn | None:
    """An object as a region of one of the `KINDS`; None where it is too small to be drawn like that."""
    if not mask.any():
        return None
    drawn = KINDS[kind](kind, mask)
    return drawn if drawn is not None and drawn.area.any() else None


def outline(mask: BoolMask, tolerance: float = 1.0) -> Points | None:
    """(N, 2) x, y in pixels: the outer border of the largest blob, simplified."""
    contours = measure.find_contours(np.pad(mask, 1).astype(float), 0.5)
    rings = [measure.approximate_polygon(c, tolerance)[:-1] for c in contours]
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        return None
    largest = max(rings, key=_enclosed)
    height, width = mask.shape
    # the contour runs through pixel centres of the padded mask, and a centre lies at +0.5
    points: Points = np.clip(largest[:, ::-1] - 0.5, 0, (width, height))
    return points


def fill_finely(points: Points, size: tuple[int, int]) -> BoolMask:
    """(H, W) bool: the pixels of which the polygon covers at least half."""
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, (size[1], size[0]))
    canvas = Image.new("L", (FINER * int(x1 - x0), FINER * int(y1 - y0)))
    corners = (points - (x0, y0)) * FINER - 0.5  # PIL's whole numbers are pixel centres
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in corners], fill=1)
    cells = np.asarray(canvas).reshape(int(y1 - y0), FINER, int(x1 - x0), FINER)
    area = np.zeros(size, bool)
    area[y0:y1, x0:x1] = cells.mean(axis=(1, 3)) >= 0.5
    return area


def _enclosed(ring: Points) -> float:
    x, y = ring.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1)))


def _percent(points: Points, mask: BoolMask) -> list[list[float]]:
    return [[100 * float(x) / mask.shape[1], 100 * float(y) / mask.shape[0]] for x, y in points]


def _polygon(kind: str, mask: BoolMask) -> Drawn | None:
    points = outline(mask)
    if points is None:
        return None
    value = {"points": _percent(points, mask), "closed": True}
    return Drawn(kind, "polygonlabels", value, fill_finely(points, _size(mask)))


def _vector(kind: str, mask: BoolMask) -> Drawn | None:
    points = outline(mask, tolerance=2.0)
    if points is None:
        return None
    corners = [
        {"id": f"v{n}", "x": x, "y": y, "prevPointId": f"v{n - 1}" if n else None, "isBezier": False}
        for n, (x, y) in enumerate(_percent(points, mask))
    ]
    value = {"vertices": corners, "closed": True}
    return Drawn(kind, "vectorlabels", value, fill_finely(points, _size(mask)))


def _brush(kind: str, mask: BoolMask) -> Drawn:
    rle = mask2rle(mask.astype(np.uint8) * 255)  # type: ignore[no-untyped-call]
    value = {"format": "rle", "rle": rle}
    return Drawn(kind, "brushlabels", value, mask)


def _brush_with_hole(kind: str, mask: BoolMask) -> Drawn | None:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    ring = mask & (depth < 0.55 * depth.max())
    holes = ndimage.binary_fill_holes(ring) & ~ring
    return _brush(kind, ring) if holes.any() else None


def _brush_in_blobs(kind: str, mask: BoolMask) -> Drawn | None:
    across = np.flatnonzero(mask.any(axis=0))
    middle, half = int(np.median(across)), max(2, len(across) // 20)
    parted = mask.copy()
    parted[:, middle - half : middle + half] = False
    return _brush(kind, parted) if ndimage.label(parted)[1] > 1 else None


def _bitmask(kind: str, mask: BoolMask) -> Drawn:
    picture = np.zeros((*mask.shape, 4), np.uint8)
    picture[..., 3] = np.where(mask, 255, 0)
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    url = "data:image/png;base64," + base64.b64encode(png.getvalue()).decode("ascii")
    return Drawn(kind, "bitmasklabels", {"imageDataURL": url}, mask)


def _rectangle(kind: str, mask: BoolMask) -> Drawn:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    angle = TURNED if "turned" in kind else 0.0
    share = 0.7 if angle else 1.0  # so that it stays within the picture, more or less
    w, h = share * float(np.ptp(columns) + 1), share * float(np.ptp(rows) + 1)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    cx, cy = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    x0, y0 = cx - (w * cos - h * sin) / 2, cy - (w * sin + h * cos) / 2  # turned around this corner
    px, py = _centres(mask)
    along, down = (px - x0) * cos + (py - y0) * sin, (py - y0) * cos - (px - x0) * sin
    area = (along >= 0) & (along < w) & (down >= 0) & (down < h)
    value = {
        "x": 100 * x0 / width,
        "y": 100 * y0 / height,
        "width": 100 * w / width,
        "height": 100 * h / height,
        "rotation": angle,
    }
    return Drawn(kind, "rectanglelabels", {k: float(v) for k, v in value.items()}, area)


def _ellipse(kind: str, mask: BoolMask) -> Drawn:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    angle = TURNED if "turned" in kind else 0.0
    a, b = float(np.ptp(columns) + 1) / 2, float(np.ptp(rows) + 1) / 2
    cx, cy = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    px, py = _centres(mask)
    along, down = (px - cx) * cos + (py - cy) * sin, (py - cy) * cos - (px - cx) * sin
    value = {
        "x": 100 * cx / width,
        "y": 100 * cy / height,
        "radiusX": 100 * a / width,
        "radiusY": 100 * b / height,
        "rotation": angle,
    }
    area = (along / a) ** 2 + (down / b) ** 2 <= 1
    return Drawn(kind, "ellipselabels", {k: float(v) for k, v in value.items()}, area)


def _centres(mask: BoolMask) -> tuple[Points, Points]:
    """x (1, W) and y (H, 1) of the pixels' centres."""
    height, width = mask.shape
    x: Points = np.arange(width, dtype=np.float64)[None] + 0.5
    y: Points = np.arange(height, dtype=np.float64)[:, None] + 0.5
    return x, y


def _size(mask: BoolMask) -> tuple[int, int]:
    return mask.shape[0], mask.shape[1]


KINDS: Mapping[str, Callable[[str, BoolMask], Drawn | None]] = {
    "polygon": _polygon,
    "brush": _brush,
    "brush with a hole": _brush_with_hole,
    "brush in several blobs": _brush_in_blobs,
    "bitmask": _bitmask,
    "rectangle": _rectangle,
    "rectangle, turned": _rectangle,
    "ellipse": _ellipse,
    "ellipse, turned": _ellipse,
    "vector": _vector,
}
