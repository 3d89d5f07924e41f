"""Outlines: Label Studio's polygons, rectangles, ellipses and vectors ↔ rings in pixels of the upright image.

Percent are of the upright image's width and height. `image_rotation` says how the labeler had turned the view
(the editor's rotate buttons); coordinates, sizes and brush masks are those of the unturned image whatever it
says (the front end maps the pointer back through the stage's transform), so it is not applied.

Rotations are in degrees, clockwise on the screen, in pixel space: in percent a turned rectangle would be
skewed on any image that is not square.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.masks.polygons import bridge_holes, mask_to_polygons
from labeler_backend.masks.rle import BoolMask

FloatArray = npt.NDArray[np.float64]

_DECIMALS = 5  # of percent: 0.001 pixels of a picture 10,000 pixels wide
_FAR = 10_000.0  # percent; the editor keeps regions in the frame, so that more is damage
_ELLIPSE_POINTS = 256
_BEZIER_POINTS = 24
_NUMBERS = {int, float}
_STRAIGHT = 0.3  # where KonvaVector puts the control point that a curve's straight end lacks


class ShapeError(ValueError):
    """Why a value holds no mask: the middle of a sentence, which the caller completes."""


def number(value: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """A finite number of sensible size.

    Raises:
        ShapeError: missing (without a default), or something else.
    """
    found = value.get(key, default)
    if found is None and default is not None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ShapeError(f"its {key} is missing or not a number")
    if not -_FAR <= found <= _FAR:  # nor is NaN
        raise ShapeError(f"its {key} lies far outside the picture")
    return float(found)


def polygon_outline(value: Mapping[str, Any], size: tuple[int, int]) -> FloatArray:
    """`points` → (N, 2) x, y in pixels.

    Raises:
        ShapeError: fewer than three points, or something that is no point.
    """
    if value.get("closed") is False:
        raise ShapeError("its polygon was not closed")
    points = _items(value, "points")
    flat = _flat(points)
    return _pixels([_pair(point) for point in points] if flat is None else flat, size)


def rectangle_outline(value: Mapping[str, Any], size: tuple[int, int]) -> FloatArray:
    """`x`, `y`, `width`, `height`, `rotation` about the top left corner → its four corners in pixels.

    Raises:
        ShapeError: a number is missing or is none.
    """
    x, y, w, h = (number(value, key) for key in ("x", "y", "width", "height"))
    corners = _pixels([(x, y), (x + w, y), (x + w, y + h), (x, y + h)], size)
    return _turned(corners, corners[0], number(value, "rotation", 0.0))


def ellipse_outline(value: Mapping[str, Any], size: tuple[int, int]) -> FloatArray:
    """`x`, `y`, `radiusX`, `radiusY`, `rotation` about the centre → (256, 2) in pixels.

    Raises:
        ShapeError: a number is missing or is none.
    """
    x, y, rx, ry = (number(value, key) for key in ("x", "y", "radiusX", "radiusY"))
    turn = np.linspace(0, 2 * math.pi, _ELLIPSE_POINTS, endpoint=False)
    points = _pixels(np.column_stack([x + rx * np.cos(turn), y + ry * np.sin(turn)]), size)
    return _turned(points, _pixels([(x, y)], size)[0], number(value, "rotation", 0.0))


def vector_outline(value: Mapping[str, Any], size: tuple[int, int]) -> FloatArray:
    """A closed vector's `vertices`, curves included → (N, 2) in pixels.

    Curves as in the editor's `KonvaVector`: cubic, from a vertex' `controlPoint2` to the next one's
    `controlPoint1`; an end without one pulls straight.

    Raises:
        ShapeError: an open line, fewer than two vertices, or something that is no vertex.
    """
    if value.get("closed") is not True:
        raise ShapeError("its line is open and encloses nothing")
    vertices = _items(value, "vertices")
    if not all(isinstance(vertex, Mapping) for vertex in vertices):
        raise ShapeError("its vertices are not objects")
    ends = zip(vertices, vertices[1:] + vertices[:1], strict=True)
    return _pixels([point for start, end in ends for point in _curve(start, end)], size)


def polygon_values(mask: BoolMask, max_points: int) -> list[dict[str, Any]]:
    """(H, W) bool → one value per blob, largest first, together of at most `max_points` points.

    Label Studio's polygons have one ring: a hole is joined to it by a bridge of no width, so that neither the
    area nor what the editor fills changes.
    """
    polygons = mask_to_polygons(mask, max_points=max_points)
    return [{"points": _percent(bridge_holes(p), mask.shape).tolist(), "closed": True} for p in polygons]


def rectangle_values(mask: BoolMask) -> list[dict[str, Any]]:
    """(H, W) bool → its tight upright box; nothing for an empty mask."""
    x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
    if not w:
        return []
    (left, top), (width, height) = _percent(np.array([[x, y], [w, h]], float), mask.shape).tolist()
    return [{"x": left, "y": top, "width": width, "height": height, "rotation": 0}]


def ellipse_values(mask: BoolMask) -> list[dict[str, Any]]:
    """(H, W) bool → the ellipse of the same centre, proportions, direction and area; nothing if empty.

    A filled ellipse varies by a quarter of its squared radius along each axis.
    """
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    area = moments["m00"]
    if not area:
        return []
    centre = np.array([moments["m10"], moments["m01"]]) / area + 0.5
    pixel = 1 / 12  # what a single pixel varies by
    across = moments["mu11"] / area
    spread = np.array([[moments["mu20"] / area + pixel, across], [across, moments["mu02"] / area + pixel]])
    variances, axes = np.linalg.eigh(spread)
    first = int(
        np.argmax(np.abs(axes[0]))
    )  # the axis nearest to x: radiusX stays within Label Studio's limits
    rx, ry = np.sqrt(variances[[first, 1 - first]]) * math.sqrt(area / math.pi / math.sqrt(variances.prod()))
    x, y = axes[:, first] * np.sign(axes[0, first])
    middle, radii = _percent(np.array([centre, [rx, ry]]), mask.shape).clip(0, [[100], [50]]).tolist()
    turn = round(math.degrees(math.atan2(y, x)) % 360, _DECIMALS)
    return [{"x": middle[0], "y": middle[1], "radiusX": radii[0], "radiusY": radii[1], "rotation": turn}]


def _items(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    if not isinstance(found, list):
        raise ShapeError(f"its {key} are not a list")
    return found


def _flat(points: list[Any]) -> list[float] | None:
    """x, y, x, y, … where all are pairs of sensible numbers: in bulk, since this is most of what is read."""
    try:
        flat = list(chain.from_iterable(points))
        if not ({2} >= set(map(len, points)) and set(map(type, flat)) <= _NUMBERS):
            return None
        sensible = not flat or (math.isfinite(sum(flat)) and -_FAR <= min(flat) <= max(flat) <= _FAR)
    except (TypeError, OverflowError):
        return None
    return flat if sensible else None


def _pair(point: Any) -> tuple[float, float]:
    if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
        raise ShapeError("one of its points is not a pair of numbers")
    named = dict(zip("xy", point, strict=True))
    return number(named, "x"), number(named, "y")


def _curve(start: Mapping[str, Any], end: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """Points from `start` to just before `end`, in percent."""
    a, d = (np.array([number(v, "x"), number(v, "y")]) for v in (start, end))
    leaving, arriving = _control(start, "controlPoint2"), _control(end, "controlPoint1")
    if leaving is None and arriving is None:
        yield a[0], a[1]
        return
    b = a + _STRAIGHT * (d - a) if leaving is None else leaving
    c = d - _STRAIGHT * (d - a) if arriving is None else arriving
    for t in np.linspace(0, 1, _BEZIER_POINTS, endpoint=False):
        x, y = a * (1 - t) ** 3 + 3 * b * t * (1 - t) ** 2 + 3 * c * t**2 * (1 - t) + d * t**3
        yield x, y


def _control(vertex: Mapping[str, Any], key: str) -> FloatArray | None:
    point = vertex.get(key)
    if not vertex.get("isBezier") or not isinstance(point, Mapping):
        return None
    return np.array([number(point, "x"), number(point, "y")])


def _pixels(percent: npt.ArrayLike, size: tuple[int, int]) -> FloatArray:
    scaled: FloatArray = np.asarray(percent, np.float64).reshape(-1, 2) * _scale(size)
    return scaled


@lru_cache(maxsize=1000)
def _scale(size: tuple[int, int]) -> FloatArray:
    """Pixels per percent, x and y."""
    return np.array([size[1] / 100, size[0] / 100])


def _percent(pixels: FloatArray, size: tuple[int, ...]) -> FloatArray:
    height, width = size
    scaled: FloatArray = np.round(pixels * (100 / width, 100 / height), _DECIMALS)
    return scaled


def _turned(points: FloatArray, pivot: FloatArray, degrees: float) -> FloatArray:
    """Clockwise on the screen (y points down)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned: FloatArray = (points - pivot) @ np.array([[cos, sin], [-sin, cos]]) + pivot
    return turned
