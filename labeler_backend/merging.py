"""Instances that become others: agreed on by several annotators, merged where they touch, split by blobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt
import shapely
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import Polygon

from labeler_backend.masks.rle import RLE, BoolMask, decode, encode
from labeler_backend.masks.shape import Polygons, Shape, to_mask, to_rle, union
from labeler_backend.records import Instance

SAME_OBJECT = 0.5
"""IoU from which two annotators are taken to mean the same object."""


def consensus(by_annotator: Sequence[Sequence[Instance]]) -> list[Instance]:
    """What most annotators of one image agree on, in the order of the first who drew it.

    Instances of different annotators are matched one to one where their IoU is at least 0.5, so that the sum
    of IoU is the largest (Kuhn 1955). An object stays when more than half of the annotators drew it; its area
    is the pixels that more than half of those enclose, its label the most frequent one (the first drawn where
    two are as frequent). Who drew it, and the mean IoU of their areas with the result, stand in its
    attributes as `annotators` and `agreement`.

    Args:
        by_annotator: each annotator's instances, all of one image.
    """
    objects: list[_Object] = []
    for instances in by_annotator:
        _match(objects, instances)
    agreed = (one for one in objects if 2 * len(one.drawn) > len(by_annotator))
    return [voted for one in agreed if (voted := _vote(one)) is not None]


def merge_touching(instances: Sequence[Instance]) -> list[Instance]:
    """Instances of one label that touch or overlap become one, in the place of the first.

    Two touch when pixels of theirs are neighbours, diagonally too. Crowds, and objects of different tracks,
    are not merged.
    """
    groups: dict[Hashable, list[int]] = {}
    for n, instance in enumerate(instances):
        alone = n if instance.crowd else None
        groups.setdefault((instance.label, instance.track_id, alone), []).append(n)
    merged: dict[int, Instance] = {}
    for members in groups.values():
        for touching in _touching([instances[n] for n in members]):
            merged[members[touching[0]]] = _merged([instances[members[n]] for n in touching])
    return [merged[n] for n in sorted(merged)]


def split_blobs(instance: Instance) -> list[Instance]:
    """One instance per connected part, largest first; keypoints go with the part that holds them, or is next.

    Parts that touch only at a corner are one.
    """
    parts = _blobs(instance.shape)
    if len(parts) == 1:
        return [instance]
    masks = [to_mask(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda n: -int(masks[n].sum()))
    home = [_nearest(masks, point.x, point.y) for point in instance.keypoints]
    return [
        replace(
            instance,
            shape=parts[n],
            keypoints=tuple(p for p, where in zip(instance.keypoints, home, strict=True) if where == n),
        )
        for n in order
    ]


@dataclass(slots=True)
class _Object:
    """What several annotators took for one object, and each one's area."""

    drawn: list[Instance] = field(default_factory=list)
    areas: list[RLE] = field(default_factory=list)


def _match(objects: list[_Object], instances: Sequence[Instance]) -> None:
    """Adds one annotator's instances to the objects that they are, or as new ones."""
    areas = [to_rle(instance.shape) for instance in instances]
    found: dict[int, _Object] = {}
    if objects and areas:
        overlap = np.array([np.mean(_iou(one.areas, areas), axis=0) for one in objects])
        overlap[overlap < SAME_OBJECT] = 0
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] > 0:
                found[int(column)] = objects[row]
    for n, (instance, rle) in enumerate(zip(instances, areas, strict=True)):
        if n not in found:
            objects.append(found.setdefault(n, _Object()))
        found[n].drawn.append(instance)
        found[n].areas.append(rle)


def _iou(first: Sequence[RLE], second: Sequence[RLE]) -> npt.NDArray[np.float64]:
    """(N, M)."""
    overlaps: npt.NDArray[np.float64] = coco_mask.iou(second, first, [0] * len(first)).T
    return overlaps


def _vote(one: _Object) -> Instance | None:
    votes: npt.NDArray[np.int32] = np.sum([decode(rle) for rle in one.areas], axis=0, dtype=np.int32)
    mask: BoolMask = np.greater(2 * votes, len(one.areas))
    if not mask.any():
        return None
    area = encode(mask)
    overlaps = _iou([area], one.areas)[0]
    nearest = one.drawn[int(np.argmax(overlaps))]
    labels = Counter(instance.label for instance in one.drawn)
    crowds = sum(instance.crowd for instance in one.drawn)
    about = {
        "annotators": [instance.annotator for instance in one.drawn],
        "agreement": round(float(overlaps.mean()), 4),
    }
    return replace(
        nearest,
        shape=nearest.shape if overlaps.max() == 1 else area,
        label=labels.most_common(1)[0][0],
        annotator=None,
        crowd=2 * crowds > len(one.drawn),
        attributes={**nearest.attributes, **about},
    )


def _touching(instances: Sequence[Instance]) -> list[list[int]]:
    """Groups of indices, each and all of them in rising order."""
    rles = [to_rle(instance.shape) for instance in instances]
    boxes = np.array([coco_mask.toBbox(rle) for rle in rles]).reshape(-1, 4)
    starts, ends = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    near = np.all((starts[:, None] <= ends[None]) & (starts[None] <= ends[:, None]), axis=2)
    pairs = [(a, b) for a, b in np.argwhere(np.triu(near, 1)).tolist() if _neighbours(rles[a], rles[b])]
    links = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(links.shape[1]), (links[0], links[1])), shape=(len(rles), len(rles)))
    _, group = connected_components(graph, directed=False)
    return [np.flatnonzero(group == n).tolist() for n in dict.fromkeys(group.tolist())]


def _neighbours(first: RLE, second: RLE) -> bool:
    """Whether pixels of theirs touch; looks only where both boxes are."""
    x, y, w, h = (int(v) for v in coco_mask.toBbox(first))
    window = np.s_[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1]
    grown = cv2.dilate(np.ascontiguousarray(decode(first)[window]).view(np.uint8), np.ones((3, 3), np.uint8))
    return bool((grown.view(bool) & decode(second)[window]).any())


def _merged(instances: Sequence[Instance]) -> Instance:
    if len(instances) == 1:
        return instances[0]
    shapes = [instance.shape for instance in instances]
    drawn = [shape for shape in shapes if isinstance(shape, Polygons)]
    shape: Shape | None = _outline(drawn) if len(drawn) == len(shapes) else None
    points = tuple(point for instance in instances for point in instance.keypoints)
    about = {"merged": [instance.region_id for instance in instances]}
    return replace(
        instances[0],
        shape=shape or union(shapes),
        keypoints=points,
        attributes={**instances[0].attributes, **about},
    )


def _outline(shapes: Sequence[Polygons]) -> Polygons | None:
    """Their union with corners; None where it has a hole."""
    parts = list(_parts(ring for shape in shapes for ring in shape.rings))
    if any(part.interiors for part in parts):
        return None
    return Polygons(tuple(np.asarray(part.exterior.coords)[:-1] for part in parts), shapes[0].size)


def _parts(rings: Iterator[npt.NDArray[np.float64]]) -> Iterator[Polygon]:
    """What the rings enclose together, in connected parts."""
    joined = shapely.union_all([Polygon(ring) for ring in rings])
    return (part for part in shapely.get_parts(joined) if isinstance(part, Polygon))


def _blobs(shape: Shape) -> list[Shape]:
    if isinstance(shape, Polygons):
        rings = [Polygon(ring) for ring in shape.rings]
        parts = shapely.get_parts(shapely.union_all([ring.buffer(1e-6) for ring in rings]))
        home = [next(n for n, part in enumerate(parts) if part.intersects(ring)) for ring in rings]
        return [
            Polygons(tuple(r for r, where in zip(shape.rings, home, strict=True) if where == n), shape.size)
            for n in range(len(parts))
        ]
    count, labels = cv2.connectedComponents(np.ascontiguousarray(decode(shape)).view(np.uint8))
    return [encode(labels == n) for n in range(1, count)]


def _nearest(masks: Sequence[BoolMask], x: float, y: float) -> int:
    """Index of the mask that holds a point, or has a pixel next to it."""

    def distance(mask: BoolMask) -> float:
        rows, columns = np.nonzero(mask)
        return float(np.min((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2)) if len(rows) else np.inf

    return min(range(len(masks)), key=lambda n: distance(masks[n]))
