"""Instances to the regions of a prediction, with the very corners they have."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from labeler_backend.masks.shape import Polygons, Shape, size_of, to_mask
from labeler_backend.records import UNNAMED, Instance, Record
from labeler_backend.studio.identity import object_of, part_id
from labeler_backend.studio.regions import Place, mask_to_regions

Region = dict[str, Any]

IMAGE = "image"
TAGS = {
    "polygon": "PolygonLabels",
    "brush": "BrushLabels",
    "box": "RectangleLabels",
    "bitmask": "BitmaskLabels",
    "keypoint": "KeyPointLabels",
}
_DECIMALS = 5  # of percent


def object_id(record: Record, instance: Instance, number: int, taken: set[str], whole: bool) -> str:
    """The region's own id where it may keep it, else one made of the image's id and its place.

    An object in several regions needs an id of the kind by which its parts find together again.
    """
    own = instance.region_id
    if own and own not in taken and (whole or object_of(own) == own):
        return own
    about = f"{record.id}|{own or number}|{number if own in taken else ''}"
    return "el" + hashlib.blake2b(about.encode("utf-8", "replace"), digest_size=6).hexdigest()


def drawn(shape: Shape, kind: str, name: str, labels: Sequence[str]) -> list[Region]:
    """Regions of one kind; polygons and boxes with the very corners they have."""
    tag = TAGS[kind].lower()
    if kind == "polygon" and isinstance(shape, Polygons):
        values = [{"points": percent(ring, shape.size), "closed": True} for ring in shape.rings]
    elif kind == "box":
        values = _box_values(shape)
    else:
        place = Place(kind, IMAGE)
        return mask_to_regions(to_mask(shape), tag, place, object_id=name, labels=labels, score=0)
    height, width = size_of(shape)
    return [
        {
            "id": part_id(name, part),
            "type": tag,
            "from_name": kind,
            "to_name": IMAGE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {**value, tag: list(labels)},
        }
        for part, value in enumerate(values)
    ]


def _box_values(shape: Shape) -> list[dict[str, Any]]:
    if isinstance(shape, Polygons):
        points = np.concatenate(shape.rings)
        start, end = points.min(axis=0), points.max(axis=0)
        size = shape.size
    else:
        x, y, w, h = coco_mask.toBbox(shape).tolist()
        start, end = np.array([x, y]), np.array([x + w, y + h])
        size = (shape["size"][0], shape["size"][1])
    (left, top), (width, height) = percent(np.array([start, end - start]), size)
    return (
        [{"x": left, "y": top, "width": width, "height": height, "rotation": 0}] if width and height else []
    )


def percent(pixels: npt.NDArray[np.float64], size: tuple[int, int]) -> list[list[float]]:
    """(N, 2) in pixels → the same in percent of an (H, W) image."""
    found: list[list[float]] = np.round(pixels * (100 / size[1], 100 / size[0]), _DECIMALS).tolist()
    return found


def labels_of(instance: Instance) -> list[str]:
    """All its labels, the one it is exported with first."""
    several = instance.attributes.get("labels")
    more = [one for one in several if isinstance(one, str)] if isinstance(several, list | tuple) else []
    return list(dict.fromkeys([instance.label or UNNAMED, *more]))


def texts_of(instance: Instance) -> list[str]:
    """What goes into a region's `meta`."""
    text = instance.attributes.get("text")
    lines = text.splitlines() if isinstance(text, str) else []
    track = [f"track: {instance.track_id}"] if instance.track_id is not None else []
    return [*lines, *track, *(["iscrowd"] if instance.crowd else [])]
