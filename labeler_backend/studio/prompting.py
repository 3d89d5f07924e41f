"""What somebody clicked or drew: the `context` of an interactive request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.studio.config import PromptTag
from labeler_backend.studio.regions import fits_type, region_labels, shape_of
from labeler_backend.studio.shapes import ShapeError, number, rectangle_outline

Pixel = tuple[int, int]  # row, column
Box = tuple[float, float, float, float]  # x, y, width, height in pixels


@dataclass(frozen=True, slots=True)
class Prompt:
    """Points and a box on one page, in percent of the upright image.

    Attributes:
        image: name of the image tag.
        page: from 0.
        label: which was active; None where none was.
        positive: points x, y on the object.
        negative: points x, y that are not.
        box: the value of the last rectangle drawn.
    """

    image: str
    page: int
    label: str | None
    positive: tuple[tuple[float, float], ...]
    negative: tuple[tuple[float, float], ...]
    box: Mapping[str, Any] | None

    def in_pixels(self, size: tuple[int, int]) -> tuple[list[Pixel], list[Pixel], Box | None]:
        """Positive and negative pixels (row, column) and the box, of an image of `size` (H, W)."""
        positive, negative = ([_pixel(p, size) for p in points] for points in (self.positive, self.negative))
        if self.box is None:
            return positive, negative, None
        corners = rectangle_outline(self.box, size)
        (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return positive, negative, (x0, y0, x1 - x0, y1 - y0)


def read_prompt(context: Mapping[str, Any], tags: Sequence[PromptTag]) -> Prompt | None:
    """The points and boxes in a request's context; None where there is nothing positive to go by.

    All must be on one page; where they are not, the last one says which page counts. What does not come from
    one of the prompt `tags`, or does not hold what its type says, is passed over.
    """
    results = context.get("result")
    items = [i for i in results if isinstance(i, Mapping)] if isinstance(results, list) else []
    known = {(tag.name, tag.image.name) for tag in tags}
    drawn = [i for i in items if _pair(i) in known and _usable(i)]
    if not drawn:
        return None
    at = _where(drawn[-1])
    here = [i for i in drawn if _where(i) == at]
    points = [i for i in here if shape_of(i["type"]) == "keypoint"]
    boxes = [i["value"] for i in here if shape_of(i["type"]) == "rectangle"]
    positive = tuple(_xy(i) for i in points if i.get("is_positive") is not False)
    negative = tuple(_xy(i) for i in points if i.get("is_positive") is False)
    if not positive and not boxes:
        return None
    ids = {str(i.get("id")) for i in here}
    named = [label for i in items if str(i.get("id")) in ids for label in region_labels(i)]
    return Prompt(*at, next(iter(named), None), positive, negative, boxes[-1] if boxes else None)


def _pair(item: Mapping[str, Any]) -> tuple[str, str]:
    return str(item.get("from_name")), str(item.get("to_name"))


def _usable(item: Mapping[str, Any]) -> bool:
    """Whether it is a point or a rectangle with numbers."""
    if not fits_type(item):
        return False
    try:
        if shape_of(item["type"]) == "rectangle":
            rectangle_outline(item["value"], (1, 1))
        else:
            number(item["value"], "x"), number(item["value"], "y")
    except ShapeError:
        return False
    return shape_of(item["type"]) in ("keypoint", "rectangle")


def _where(item: Mapping[str, Any]) -> tuple[str, int]:
    """Image tag and page."""
    page = item.get("item_index")
    return str(item.get("to_name")), page if isinstance(page, int) else 0


def _xy(item: Mapping[str, Any]) -> tuple[float, float]:
    return float(item["value"]["x"]), float(item["value"]["y"])


def _pixel(point: tuple[float, float], size: tuple[int, int]) -> Pixel:
    """The pixel that holds a point, the nearest one where it lies on or beyond the frame."""
    x, y = point
    height, width = size
    row, column = int(y * height // 100), int(x * width // 100)
    return min(max(row, 0), height - 1), min(max(column, 0), width - 1)
