"""What one annotation marks → the instances of its pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labeler_backend.masks.shape import scaled, size_of
from labeler_backend.records import Instance
from labeler_backend.studio.attributes import Beside, attributes_of, meta_of
from labeler_backend.studio.choosing import Policy
from labeler_backend.studio.results import LabeledObject

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose regions they are.

    Attributes:
        id: of the annotation or prediction.
        annotator: who drew it; None for predictions.
        score: of the prediction as a whole, for regions without one.
    """

    id: int | None
    annotator: str | None
    score: float | None = None


def instances(objects: Sequence[LabeledObject], beside: Beside, origin: Origin, policy: Policy) -> list[Instance]:
    """Objects of one result → instances, in their order."""
    return [_instance(one, beside, origin, policy) for one in objects]


def majority(sizes: Sequence[Size]) -> Size | None:
    """(H, W) that most say; of those, the first."""
    return Counter(sizes).most_common(1)[0][0] if sizes else None


def fitted(found: Sequence[Instance], size: Size) -> list[Instance]:
    """Instances of one picture, all at its size."""
    return [
        one if size_of(one.shape) == size else replace(one, shape=scaled(one.shape, size)) for one in found
    ]


def _instance(one: LabeledObject, beside: Beside, origin: Origin, policy: Policy) -> Instance:
    meta = meta_of(one.item)
    labels: Sequence[str] = one.labels
    crowd = meta.crowd
    if policy.crowd_label is not None and policy.crowd_label in labels:
        crowd = True
        labels = [label for label in labels if label != policy.crowd_label]
    answers: Mapping[str, object] = {}
    for name in one.region_ids if beside.answers else ():
        answers = {**answers, **beside.answers.get(name, {})}
    return Instance(
        shape=one.shape,
        label=labels[0] if labels else None,
        region_id=one.id,
        annotation_id=origin.id,
        annotator=origin.annotator,
        score=one.score if one.score is not None else origin.score,
        track_id=meta.track_id,
        crowd=crowd,
        attributes=attributes_of(one, labels, meta, answers),
    )
