"""Masks ↔ regions: the items of `result` in Label Studio's predictions and annotations.

Every tag that encloses an area goes both ways but vectors, which are only read. A region's `type` is its tag
in lower case: `polygonlabels`, or `polygon` where a `<Labels>` beside it holds the labels; then there are two
items with one id, the second of type `labels`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from labeler_backend.errors import InputError
from labeler_backend.masks.polygons import DEFAULT_MAX_POINTS
from labeler_backend.masks.rle import RLE, BoolMask, encode
from labeler_backend.masks.shape import Shape
from labeler_backend.media import DEFAULT_MAX_PIXELS
from labeler_backend.studio import brush, shapes
from labeler_backend.studio.areas import Area, areas
from labeler_backend.studio.identity import part_id
from labeler_backend.studio.shapes import ShapeError

_OUTLINES: Mapping[str, Callable[[Mapping[str, Any], tuple[int, int]], shapes.FloatArray]] = {
    "polygon": shapes.polygon_outline,
    "rectangle": shapes.rectangle_outline,
    "ellipse": shapes.ellipse_outline,
    "vector": shapes.vector_outline,
}
_RASTERS: Mapping[str, Callable[[Mapping[str, Any], tuple[int, int]], BoolMask]] = {
    "brush": brush.brush_mask,
    "bitmask": brush.bitmask_mask,
}
_VALUES: Mapping[str, Callable[[BoolMask], list[dict[str, Any]]]] = {
    "brush": brush.brush_values,
    "bitmask": brush.bitmask_values,
    "rectangle": shapes.rectangle_values,
    "ellipse": shapes.ellipse_values,
}
_KEYS: tuple[tuple[str, set[str]], ...] = (  # by which a value's shape is known, the most telling first
    ("polygon", {"points"}),
    ("brush", {"rle"}),
    ("bitmask", {"imageDataURL"}),
    ("vector", {"vertices"}),
    ("ellipse", {"x", "y", "radiusX", "radiusY"}),
    ("rectangle", {"x", "y", "width", "height"}),
    ("keypoint", {"x", "y"}),
)
_SHAPES = {shape for shape, _ in _KEYS}
POINT = "keypoint"
"""The shape that encloses nothing."""

_LONGEST_SIDE = 1e6
_PENDING = Area(None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a region goes.

    Attributes:
        from_name: the control tag.
        to_name: the object tag.
        item_index: the page, from 0; None where the picture has no pages.
        labels_name: the `<Labels>` that names it, where the control tag has no labels of its own.
    """

    from_name: str
    to_name: str
    item_index: int | None = None
    labels_name: str | None = None


def mask_to_regions(
    mask: BoolMask,
    kind: str,
    place: Place,
    *,
    object_id: str,
    labels: Sequence[str],
    score: float,
    max_points: int = DEFAULT_MAX_POINTS,
) -> list[dict[str, Any]]:
    """(H, W) bool → the items of a prediction's `result`; none for an empty mask.

    Polygons hold one blob each, so that an object in several blobs becomes several regions: `<object_id>`
    (the largest), `<object_id>-1`, …; all else is one region.

    Args:
        mask: of the upright image.
        kind: the region's type.
        place: where it goes.
        object_id: see `identity.object_ids`.
        labels: what it is.
        score: in [0, 1].
        max_points: of all its polygons together.

    Raises:
        ValueError: a kind that cannot be written.
    """
    solid = np.ascontiguousarray(mask)  # pycocotools decodes by columns
    shape = shape_of(kind)
    if shape == "polygon":
        values = shapes.polygon_values(solid, max_points)
    elif shape is not None and shape in _VALUES:
        values = _VALUES[shape](solid)
    else:
        raise ValueError(f"regions of type {kind!r} cannot be written")
    envelope = {
        "to_name": place.to_name,
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "image_rotation": 0,
        "score": round(float(score), 4),
    }
    if place.item_index is not None:
        envelope["item_index"] = place.item_index
    return [
        {"id": part_id(object_id, part), "type": item_kind, "from_name": from_name, **envelope, "value": item}
        for part, value in enumerate(values)
        for item_kind, from_name, item in _items(value, kind, place, list(labels))
    ]


def region_to_shape(result: Mapping[str, Any]) -> Shape:
    """One item of a `result` → the area it marks in the upright image.

    Raises:
        InputError: its value does not fit its type, is damaged, or encloses no pixel.
    """
    [area] = regions_to_areas([result])
    if area.shape is None:
        raise InputError(sentence(result, area.note))
    return area.shape


def regions_to_areas(results: Sequence[Mapping[str, Any]]) -> list[Area]:
    """Items of a `result` → what each marks, or why it marks nothing; quicker than one by one.

    What was drawn with corners stays corners, in pixels; what was painted, or has holes, becomes RLE.
    """
    found: list[Area] = []
    outlines: dict[tuple[int, int], list[tuple[int, shapes.FloatArray]]] = {}
    for n, result in enumerate(results):
        try:
            size, drawn = _drawn(result)
        except ShapeError as error:
            found.append(Area(None, str(error)))
            continue
        if isinstance(drawn, np.ndarray):
            outlines.setdefault(size, []).append((n, drawn))
            found.append(_PENDING)
        else:
            found.append(Area(drawn))
    for size, rings in outlines.items():
        for (n, _), area in zip(rings, areas([ring for _, ring in rings], size), strict=True):
            found[n] = area
    return found


def sentence(result: Mapping[str, Any], why: str) -> str:
    """Why a region cannot be used, and the mend."""
    return f"{named(result)} cannot be used, because {why}: draw it again or delete it."


def named(result: Mapping[str, Any]) -> str:
    """How sentences call a region."""
    return f"Region {text(result.get('id'))!r} of type {text(result.get('type'))!r}"


def region_size(result: Mapping[str, Any]) -> tuple[int, int] | None:
    """(H, W) of the upright image that a region says it lies in; None where it does not say."""
    height, width = result.get("original_height"), result.get("original_width")
    if not isinstance(height, int | float) or not isinstance(width, int | float):
        return None
    if not (1 <= height < _LONGEST_SIDE and 1 <= width < _LONGEST_SIDE):  # nor is NaN
        return None
    return int(height), int(width)


def region_labels(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels an item of a `result` carries itself."""
    value = result.get("value")
    if not isinstance(value, Mapping):
        return ()
    kind = str(result.get("type"))
    found = value.get(kind) if kind.endswith("labels") else None
    found = value.get("labels") if found is None else found  # smart tools and scripts put them there
    found = [found] if isinstance(found, str) else found
    return tuple([label for label in found if isinstance(label, str)]) if isinstance(found, list) else ()


def fits_type(result: Mapping[str, Any]) -> bool:
    """Whether an item's value is what its type promises.

    When a label of a smart tag is still active as a suggestion is accepted, Label Studio's editor stores the
    suggestion twice: as itself, and as a `keypointlabels` (or `labels`) with the polygon as its value.
    """
    kind, value = result.get("type"), result.get("value")
    if not isinstance(kind, str) or not isinstance(value, Mapping):
        return False
    if kind == "labels":
        return "labels" in value
    shape = shape_of(kind)
    return shape is None or shape == _found_shape(value)


@lru_cache(maxsize=1000)
def shape_of(kind: str) -> str | None:
    """The shape that regions of a type have (`polygonlabels` → `polygon`); None for types without one."""
    shape = kind.removesuffix("labels")
    shape = "brush" if shape == "magicwand" else shape
    return shape if shape in _SHAPES else None


def text(value: object) -> str:
    """An id or type as an error may show it: short, and empty where it is no text."""
    return str(value)[:40] if isinstance(value, str | int) else ""


def _found_shape(value: Mapping[str, Any]) -> str | None:
    for shape, keys in _KEYS:
        if keys <= value.keys():
            return shape
    return None


def _items(
    value: dict[str, Any], kind: str, place: Place, labels: list[str]
) -> list[tuple[str, str, dict[str, Any]]]:
    """Type, from_name and value of the one item of a region, or the two where `<Labels>` names it."""
    if place.labels_name is None:
        named = {**value, kind: labels} if kind.endswith("labels") else value
        return [(kind, place.from_name, named)]
    return [(kind, place.from_name, value), ("labels", place.labels_name, {**value, "labels": labels})]


def _drawn(result: Mapping[str, Any]) -> tuple[tuple[int, int], shapes.FloatArray | RLE]:
    """The image's size (H, W), and the region's outline in pixels or its mask."""
    if not fits_type(result):
        raise ShapeError("what it holds does not fit its type")
    value, shape = result["value"], shape_of(result["type"]) or ""
    if shape == POINT:
        raise ShapeError("a point encloses no area")
    if shape not in _OUTLINES and shape not in _RASTERS:
        raise ShapeError("its type marks no area")
    size = region_size(result)
    if size is None:
        raise ShapeError("its original_width and original_height are not a picture's size")
    if size[0] * size[1] > DEFAULT_MAX_PIXELS:
        raise ShapeError(f"its picture has more than {DEFAULT_MAX_PIXELS:,} pixels")
    if shape in _OUTLINES:
        return size, _OUTLINES[shape](value, size)
    mask = _RASTERS[shape](value, size)
    if not mask.any():
        raise ShapeError("it encloses no pixel of the picture")
    return size, encode(mask)
