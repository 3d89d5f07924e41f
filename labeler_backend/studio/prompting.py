"""What somebody clicked or drew: the `context` of an interactive request.

The editor collects what was drawn with one smart tool and one label since the last answer was accepted or
rejected. With auto-accept on that is the newest click alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.prompts.types import Box, Point
from labeler_backend.studio.config import ImageTag, PromptTag
from labeler_backend.studio.regions import fits_type, named, region_labels, shape_of
from labeler_backend.studio.results import id_of, page_of
from labeler_backend.studio.shapes import ShapeError, number, rectangle_outline


@dataclass(frozen=True, slots=True)
class Pointing:
    """Clicks and boxes that mean one object on one page.

    Attributes:
        image: on which picture.
        page: from 0.
        label: which was active; None where none was.
        clicks: x and y in percent of the upright image, and whether they are on the object; in order.
        boxes: values of rectangles, in order.
        ids: of all of them.
    """

    image: ImageTag
    page: int
    label: str | None
    clicks: tuple[tuple[float, float, bool], ...]
    boxes: tuple[Mapping[str, Any], ...]
    ids: frozenset[str]

    def points(self, size: tuple[int, int]) -> tuple[Point, ...]:
        """The clicks in pixels of an image of `size` (H, W)."""
        return tuple(Point(x * size[1] / 100, y * size[0] / 100, on) for x, y, on in self.clicks)

    def box(self, size: tuple[int, int]) -> Box | None:
        """The last box, upright, in pixels of an image of `size` (H, W)."""
        return box_of(self.boxes[-1], size) if self.boxes else None


def box_of(value: Mapping[str, Any], size: tuple[int, int]) -> Box:
    """A rectangle's value → the upright box around it; its corners stay the other way round where they are.

    Raises:
        ShapeError: a number is missing or is none.
    """
    corners = rectangle_outline(value, size)
    if number(value, "rotation", 0.0):
        return Box(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    return Box(*corners[0].tolist(), *corners[2].tolist())


def read_pointing(
    context: Mapping[str, Any], images: Sequence[ImageTag], tags: Sequence[PromptTag]
) -> tuple[Pointing | None, list[str]]:
    """The clicks and boxes in a request's context, and sentences on what of it cannot be used.

    All must be on one page of one picture: where they are not, the last one says which counts. Nothing usable
    is None; so is an empty context, with which the editor asks for nothing.
    """
    results = context.get("result")
    if not isinstance(results, list):
        return None, [] if results is None else ["A prompt came that is not a list: it was left out."]
    notes: list[str] = []
    usable = [item for item in results if _usable(item, tags, notes)]
    if not usable:
        return None, notes
    at = _where(usable[-1])
    here = [item for item in usable if _where(item) == at]
    if len(here) < len(usable):
        notes.append("A prompt lies on several pages: what is on the last one was answered.")
    image = next(tag for tag in images if tag.name == at[0])
    points = [item for item in here if shape_of(item["type"]) == "keypoint"]
    boxes = tuple(item["value"] for item in here if shape_of(item["type"]) == "rectangle")
    clicks = tuple((*_xy(item["value"]), item.get("is_positive") is not False) for item in points)
    ids = frozenset(map(id_of, here))
    beside = [item for item in results if isinstance(item, Mapping) and id_of(item) in ids]
    label = next((label for item in beside for label in region_labels(item)), None)
    return Pointing(image, at[1], label, clicks, boxes, ids), notes


def _usable(item: Any, tags: Sequence[PromptTag], notes: list[str]) -> bool:
    """Whether it is a point or a rectangle of a prompt tag; why not goes to the notes."""
    if not isinstance(item, Mapping):
        notes.append("A part of a prompt is not an object: it was left out.")
        return False
    if item.get("type") == "labels":  # names what has its id
        return False
    if (item.get("from_name"), item.get("to_name")) not in {(tag.name, tag.image.name) for tag in tags}:
        notes.append(f"{named(item)} asks for nothing: click with a smart key point, or draw a smart box.")
        return False
    reason = _unusable(item)
    if reason:
        notes.append(f"{named(item)} was left out, because {reason}: click again.")
    return not reason


def _unusable(item: Mapping[str, Any]) -> str:
    """Why a prompt cannot be used, the middle of a sentence; empty where it can."""
    if not fits_type(item):
        return "what it holds does not fit its type"
    try:
        if shape_of(item["type"]) == "rectangle":
            box_of(item["value"], (1, 1))
        elif shape_of(item["type"]) == "keypoint":
            _xy(item["value"])
        else:
            return "only key points and boxes ask for a mask"
    except ShapeError as error:
        return str(error)
    return ""


def _where(item: Mapping[str, Any]) -> tuple[str, int]:
    """Image tag and page."""
    return str(item.get("to_name")), page_of(item) or 0


def _xy(value: Mapping[str, Any]) -> tuple[float, float]:
    x, y = number(value, "x"), number(value, "y")
    return x, y
