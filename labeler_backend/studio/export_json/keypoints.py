"""Key points → the instances they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from shapely.geometry import Point, Polygon

from labeler_backend.masks import rle
from labeler_backend.masks.shape import Polygons, Shape, area_of, size_of
from labeler_backend.records import Instance, Keypoint
from labeler_backend.studio.results import LabeledPoint

UNNAMED = "point"
"""What a key point is called that has no label."""


def with_keypoints(
    found: Sequence[Instance],
    points: Sequence[LabeledPoint],
    size: tuple[int, int],
    owners: Mapping[str, int],
    links: Mapping[str, str],
    inside: bool,
) -> tuple[list[Instance], list[LabeledPoint]]:
    """Instances of one picture with their key points, and the points that belong to none.

    Args:
        found: the instances.
        points: of the same picture.
        size: (H, W) of that picture, and of the instances.
        owners: region id → index in `found`.
        links: point id → region id, for those that a relation ties to a region.
        inside: points without a tie go to the smallest instance around them.
    """
    taken: dict[int, list[Keypoint]] = {}
    loose = []
    for point in points:
        at = _scaled(point, size)
        parent = point.item.get("parentID")
        owner = owners.get(parent) if isinstance(parent, str) else None
        owner = owners.get(links.get(point.id, "")) if owner is None else owner
        if owner is None and inside:
            owner = _around(at, found)
        if owner is None:
            loose.append(point)
        else:
            taken.setdefault(owner, []).append(at)
    if not taken:
        return list(found), loose
    return [
        replace(one, keypoints=tuple(taken[n])) if n in taken else one for n, one in enumerate(found)
    ], loose


def _scaled(point: LabeledPoint, size: tuple[int, int]) -> Keypoint:
    """In pixels of the picture, whose size the point's region may have had wrong."""
    x, y = point.x * size[1] / point.size[1], point.y * size[0] / point.size[0]
    return Keypoint(point.labels[0] if point.labels else UNNAMED, x, y)


def _around(point: Keypoint, found: Sequence[Instance]) -> int | None:
    """The smallest instance that contains a point."""
    holding = [(area_of(one.shape), n) for n, one in enumerate(found) if _contains(one.shape, point)]
    return min(holding)[1] if holding else None


def _contains(shape: Shape, point: Keypoint) -> bool:
    if isinstance(shape, Polygons):
        return any(Polygon(ring).intersects(Point(point.x, point.y)) for ring in shape.rings)
    height, width = size_of(shape)
    if not (0 <= point.x < width and 0 <= point.y < height):
        return False
    return bool(rle.decode(shape)[int(point.y), int(point.x)])
