"""Rows of a COCO file to what records are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from exporters.coco.shapes import Size, read_shape
from labeler_backend.media import DEFAULT_MAX_PIXELS
from labeler_backend.records import Instance, Keypoint

_OWN = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "score", "attributes"}
_OWN |= {"keypoints", "num_keypoints"}


class Class(NamedTuple):
    """A category: its name, and those of its key points."""

    name: str
    keypoints: tuple[str, ...]


def read_instance(row: Mapping[str, Any], known: Class | None, size: Size) -> tuple[Instance, str]:
    """An annotation as an instance, and what had to be mended.

    Raises:
        ShapeError: it has no shape.
    """
    shape, mended = read_shape(row, size)
    points = _keypoints(row.get("keypoints"), known.keypoints if known else ())
    score = row.get("score")
    certain = float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None
    odd = [
        mended,
        "its score is no number from 0 to 1" if certain is None and score is not None else "",
        "its keypoints are not triples of numbers" if points is None else "",
    ]
    more = {key: value for key, value in row.items() if key not in _OWN}
    own = row.get("attributes")
    attributes = {**more, **own} if isinstance(own, Mapping) else more
    track, annotator = attributes.pop("track_id", None), attributes.pop("annotator", None)
    instance = Instance(
        shape=shape,
        label=known.name if known else None,
        region_id=str(attributes.pop("region_id", "") or ""),
        annotation_id=int_or_none(attributes.pop("annotation_id", None)),
        annotator=None if annotator is None else str(annotator),
        score=certain,
        track_id=None if track is None else str(track),
        crowd=bool(row.get("iscrowd")),
        keypoints=points or (),
        attributes=attributes,
    )
    return instance, " and ".join(filter(None, odd))


def _keypoints(flat: Any, names: tuple[str, ...]) -> tuple[Keypoint, ...] | None:
    """Those of COCO's x, y, v that are labelled; one that the category does not name has its number.

    None where it is no list of such.
    """
    if flat is None:
        return ()
    if not isinstance(flat, list) or len(flat) % 3 or not all(type(v) in (int, float) for v in flat):
        return None
    triples = zip(flat[::3], flat[1::3], flat[2::3], strict=False)
    return tuple(
        Keypoint(names[n] if n < len(names) else str(n + 1), float(x), float(y))
        for n, (x, y, v) in enumerate(triples)
        if v > 0
    )


def read_size(row: Mapping[str, Any]) -> Size | None:
    """(H, W) of an image's row; None where it is not that of a picture."""
    height, width = row.get("height"), row.get("width")
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        return None
    return (height, width) if height * width <= DEFAULT_MAX_PIXELS else None


def int_or_none(value: object) -> int | None:
    """A whole number as it is, None for all else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
