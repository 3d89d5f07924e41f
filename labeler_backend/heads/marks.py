"""A record → what it says of its image, whatever size that turns out to have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labeler_backend.errors import InputError
from labeler_backend.heads.annotations import Shares, coverage
from labeler_backend.heads.types import BULK, CORRECTED
from labeler_backend.masks.rle import RLE, BoolMask, area, decode, encode
from labeler_backend.masks.shape import Polygons, Shape, same_aspect, scaled, size_of, to_rle, union
from labeler_backend.records import UNNAMED, Instance, Problem, Record, Tell


@dataclass(frozen=True, slots=True)
class Marks:
    """What one record says.

    Attributes:
        record: itself.
        labels, shapes: of its instances.
        crowds: areas in which nobody told the instances apart.
        complete: False where an instance could not be read: it may be anywhere that is not marked.
        trust: of a `Sample`.
        content: the same for the same marks.
        revision: of a `Sample`; the same for the same marks and group.
        rank: of two records of one image, the one with the higher rank counts.
    """

    record: Record
    labels: tuple[str, ...]
    shapes: tuple[Shape, ...]
    crowds: tuple[Shape, ...]
    complete: bool
    trust: float
    content: str
    revision: str
    rank: int

    def group(self, key: str) -> str:
        """Of the sample `key`: the record's; frames of a video stay together, other images are alone."""
        return self.record.group or self.record.video or key


@dataclass(frozen=True, slots=True)
class Fitted:
    """Marks on an image whose size is known; masks have at least one pixel; `complete` as in `Marks`."""

    labels: tuple[str, ...]
    masks: tuple[RLE, ...]
    crowds: tuple[RLE, ...]
    complete: bool


def marks_of(record: Record, tell: Tell) -> Marks:
    """Reads a record; instances that are damaged are left out and told."""
    sound = []
    for instance in record.instances:
        if why := _fault(instance.shape):
            _tell_of(record, instance, why, tell)
        else:
            sound.append(instance)
    objects = tuple(one for one in sound if not one.crowd)
    crowds = tuple(one for one in sound if one.crowd)
    complete = len(sound) == len(record.instances)
    trust = BULK if record.bulk else CORRECTED
    content = _digest(objects, crowds, complete, trust)
    return Marks(
        record=record,
        labels=tuple(map(_label, objects)),
        shapes=tuple(one.shape for one in objects),
        crowds=tuple(one.shape for one in crowds),
        complete=complete,
        trust=trust,
        content=content,
        revision=hashlib.sha256(json.dumps([content, record.group, record.video]).encode()).hexdigest()[:32],
        rank=max((one.annotation_id or 0 for one in record.instances), default=0),
    )


def fit(marks: Marks, size: tuple[int, int], tell: Tell) -> Fitted:
    """Marks at an image's `size` (H, W); those that were drawn on a copy of it are scaled, those of which no
    pixel is left or can be read are told.

    Raises:
        InputError: they were drawn on something of another shape than the image.
    """
    for shape in (*marks.shapes, *marks.crowds):
        if not same_aspect(size_of(shape), size):
            then, now = (f"{width}×{height}" for height, width in (size_of(shape), size))
            raise InputError(
                f"Picture {marks.record.file_name} is {now} pixels, but was labelled at {then}: give the "
                f"picture that was labelled."
            )
    masks = [_placed(shape, size) for shape in marks.shapes]
    crowds = [_placed(shape, size) for shape in marks.crowds]
    kept = [(label, m) for label, m in zip(marks.labels, masks, strict=True) if m is not None and area(m)]
    _tell_of_lost(
        marks, masks, "hold no pixel: draw them larger", lambda m: m is not None and not area(m), tell
    )
    _tell_of_lost(marks, [*masks, *crowds], "cannot be read: draw them again", lambda m: m is None, tell)
    return Fitted(
        labels=tuple(label for label, _ in kept),
        masks=tuple(mask for _, mask in kept),
        crowds=tuple(mask for mask in crowds if mask is not None),
        complete=marks.complete and None not in masks and None not in crowds,
    )


def unknown_share(fitted: Fitted, size: tuple[int, int], grid: tuple[int, int]) -> Shares:
    """(gh, gw) uint8: `Sample.unknown`. What an instance covers is known, also inside a crowd."""
    if fitted.complete and not fitted.crowds:
        return np.zeros(grid, np.uint8)
    known: BoolMask = decode(union(fitted.masks)) if fitted.masks else np.zeros(size, bool)
    doubtful = decode(union(fitted.crowds)) if fitted.complete else np.ones(size, bool)
    share: Shares = coverage([encode(doubtful & ~known)], size, grid)[0]
    return share


def _placed(shape: Shape, size: tuple[int, int]) -> RLE | None:
    """At an image's size; None where it is a mask whose counts make no sense."""
    try:
        if not isinstance(shape, Polygons):
            decode(shape)
        return to_rle(scaled(shape, size))
    except ValueError:
        return None


def _tell_of_lost(
    marks: Marks, masks: Sequence[RLE | None], why: str, lost: Callable[[RLE | None], bool], tell: Tell
) -> None:
    if count := sum(map(lost, masks)):
        name, task = marks.record.file_name, marks.record.task_id
        tell(Problem(f"Regions of {name} ({count}) {why}.", "left out", task, file_name=name))


def _fault(shape: Shape) -> str:
    """What is wrong with it; empty where nothing is."""
    if isinstance(shape, Polygons):
        if not all(np.isfinite(ring).all() for ring in shape.rings):
            return "has corners that are no numbers"
        return "" if shape.rings else "has no corners"
    return "" if area(shape) else "marks no pixel"


def _tell_of(record: Record, instance: Instance, why: str, tell: Tell) -> None:
    reason = f"A region of {record.file_name} {why}: draw it again."
    where = (record.task_id, instance.annotation_id, instance.region_id or None, record.file_name)
    tell(Problem(reason, "left out", *where))


def _label(instance: Instance) -> str:
    return instance.label or UNNAMED


def _digest(objects: Sequence[Instance], crowds: Sequence[Instance], complete: bool, trust: float) -> str:
    digest = hashlib.sha256(json.dumps([complete, trust, len(objects)]).encode())
    for one in (*objects, *crowds):
        digest.update(json.dumps([_label(one), size_of(one.shape)]).encode())
        if isinstance(one.shape, Polygons):
            digest.update(json.dumps([ring.tolist() for ring in one.shape.rings]).encode())
        else:
            digest.update(one.shape["counts"].encode())
    return digest.hexdigest()[:32]
