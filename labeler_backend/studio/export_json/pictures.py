"""What annotators marked in one picture → its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from labeler_backend import merging
from labeler_backend.masks.shape import scaled, size_of
from labeler_backend.records import Instance, Problem, Tell
from labeler_backend.studio.export_json.attributes import Beside, attributes_of, meta_of
from labeler_backend.studio.export_json.choosing import Policy
from labeler_backend.studio.export_json.keypoints import with_keypoints
from labeler_backend.studio.export_json.marked import Marked, Origin
from labeler_backend.studio.export_json.pages import Page
from labeler_backend.studio.regions import named, region_size
from labeler_backend.studio.results import LabeledObject, LabeledPoint, page_of

Size = tuple[int, int]


def picture_instances(
    page: Page,
    marked: Sequence[Marked],
    predictions: Iterable[Any],
    policy: Policy,
    tell: Tell,
    task_id: int | None,
) -> tuple[Size | None, tuple[Instance, ...]]:
    """(H, W) of a picture, where anything says it, and its instances.

    Args:
        page: the picture.
        marked: annotations of its task; several where a consensus is wanted.
        predictions: of its task, as they came: they say the size where the annotations do not.
        policy: what to take.
        tell: hears of what could not be taken as it is.
        task_id: for `tell`.
    """
    objects = [[o for o in one.reading.objects if _lies_on(o, page)] for one in marked]
    points = [[p for p in one.reading.points if _lies_on(p, page)] for one in marked]
    sizes = [size_of(o.shape) for found in objects for o in found] + [
        p.size for found in points for p in found
    ]
    size = _majority(sizes)
    if size is None:
        items = [item for one in marked for item in one.items]
        size = _majority([s for item in items if _says(item, page) and (s := region_size(item))])
    if size is None:
        return _majority(list(_predicted_sizes(predictions, page))), ()

    def report(problem: Problem) -> None:
        tell(replace(problem, task_id=task_id, file_name=page.file_name))

    if len(set(sizes)) > 1:
        said = " and ".join(f"{w}×{h}" for h, w in dict.fromkeys(sizes))
        scale = f"all were scaled to {size[1]}×{size[0]}"
        report(Problem(f"The regions of {page.file_name} say that it has {said} pixels: {scale}.", "mended"))
    by_entry = [
        _instances(one, found, at, size, policy, report)
        for one, found, at in zip(marked, objects, points, strict=True)
    ]
    agreed = merging.consensus(by_entry) if len(by_entry) > 1 else by_entry[0]
    return size, tuple(agreed)


def _instances(
    one: Marked,
    objects: Sequence[LabeledObject],
    points: Sequence[LabeledPoint],
    size: Size,
    policy: Policy,
    report: Tell,
) -> list[Instance]:
    """Of one annotation."""
    found = [_instance(drawn, one.beside, one.origin, policy) for drawn in objects]
    found = [i if size_of(i.shape) == size else replace(i, shape=scaled(i.shape, size)) for i in found]
    if not points:
        return found
    owners = {name: n for n, drawn in enumerate(objects) for name in drawn.region_ids if name}
    inside = policy.keypoints == "inside"
    found, loose = with_keypoints(found, points, size, owners, one.beside.links, inside)
    for point in loose:
        reason = (
            f"{named(point.item)} belongs to no region: draw a relation between the two, "
            f"or delete it if it was only a click for a proposal."
        )
        report(Problem(reason, "left out", annotation_id=one.origin.id, region_id=point.id or None))
    return found


def _instance(one: LabeledObject, beside: Beside, origin: Origin, policy: Policy) -> Instance:
    meta = meta_of(one.item)
    labels: Sequence[str] = one.labels
    crowd = meta.crowd
    if policy.crowd_label is not None and policy.crowd_label in labels:
        crowd = True
        labels = [label for label in labels if label != policy.crowd_label]
    return Instance(
        shape=one.shape,
        label=labels[0] if labels else None,
        region_id=one.id,
        annotation_id=origin.id,
        annotator=origin.annotator,
        score=one.score if one.score is not None else origin.score,
        track_id=meta.track_id,
        crowd=crowd,
        attributes=attributes_of(one.item, one.region_ids, labels, meta.rest, beside),
    )


def _lies_on(one: LabeledObject | LabeledPoint, page: Page) -> bool:
    return (one.item_index or 0) == page.index and (one.to_name == page.to_name or not page.to_name)


def _says(item: Any, page: Page) -> bool:
    """Whether an item of a result is about a page."""
    if (page_of(item) or 0) != page.index:
        return False
    return not page.to_name or item.get("to_name") in (page.to_name, None)


def _predicted_sizes(predictions: Iterable[Any], page: Page) -> Iterable[Size]:
    for prediction in predictions:
        result = prediction.get("result") if isinstance(prediction, dict) else None
        for item in result if isinstance(result, list) else ():
            if isinstance(item, dict) and _says(item, page) and (size := region_size(item)):
                yield size


def _majority(sizes: Sequence[Size]) -> Size | None:
    """The one that most say; of those, the first."""
    return Counter(sizes).most_common(1)[0][0] if sizes else None
