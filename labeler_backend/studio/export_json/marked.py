"""One annotation or prediction, read: what it marks, whose it is, and what it says beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from labeler_backend.errors import InputError
from labeler_backend.records import Problem, Tell
from labeler_backend.studio.export_json.attributes import Beside, beside_of, is_answer
from labeler_backend.studio.export_json.choosing import Entry, annotator_of, entry_id
from labeler_backend.studio.export_json.tracks import is_track
from labeler_backend.studio.regions import named, region_labels, text
from labeler_backend.studio.results import Item, Reading, id_of, read_result
from labeler_backend.studio.tags import Tags


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose regions they are.

    Attributes:
        id: of the annotation or prediction.
        annotator: who drew them; None for predictions.
        score: of the prediction as a whole, for regions without one.
    """

    id: int | None
    annotator: str | None
    score: float | None


@dataclass(frozen=True, slots=True)
class Marked:
    """One annotation or prediction.

    Attributes:
        origin: whose it is.
        reading: what marks areas and points.
        tracks: `videorectangle` items.
        beside: the rest.
        items: all of it, as it came.
    """

    origin: Origin
    reading: Reading
    tracks: tuple[Item, ...]
    beside: Beside
    items: tuple[Item, ...]


class EntryReader:
    """Reads annotations; says only once what holds for every task of a source."""

    def __init__(self, tell: Tell, tags: Tags | None) -> None:
        self._tell = tell
        self._known = _static_labels(tags)
        self._said: set[tuple[str, str]] = set()

    def read(self, entry: Entry, task_id: int | None, *, predicted: bool) -> Marked | None:
        """None where its result cannot be read at all."""
        score = entry.get("score")
        origin = Origin(
            entry_id(entry),
            None if predicted else annotator_of(entry),
            float(score) if predicted and isinstance(score, int | float) and 0 <= score <= 1 else None,
        )
        try:
            result = [] if entry.get("result") is None else entry["result"]
            reading = read_result(result)
        except InputError as error:
            self._tell(Problem(str(error), "left out", task_id, origin.id))
            return None
        for note in reading.notes:
            self._tell(Problem(note.reason, note.done, task_id, origin.id, note.id or None))
        items = tuple(item for item in result if isinstance(item, Mapping))
        if self._known:
            for name, reason in self._unknown_labels(items):
                self._tell(Problem(reason, "kept", task_id, origin.id, name or None))
        tracks = tuple(item for item in reading.others if is_track(item))
        regions = {name: one.id for one in reading.objects for name in one.region_ids}
        regions |= {id_of(item): id_of(item) for item in tracks}
        others = [item for item in reading.others if not is_track(item)] if reading.others else []
        beside = beside_of(others, regions, {point.id for point in reading.points})
        for item in beside.rest:
            self._left_out(item, task_id, origin.id)
        return Marked(origin, reading, tracks, beside, items)

    def _left_out(self, item: Item, task_id: int | None, annotation_id: int | None) -> None:
        kind, tag = text(item.get("type")), text(item.get("from_name"))
        if kind == "relation":
            ends = f"from {text(item.get('from_id'))!r} to {text(item.get('to_id'))!r}"
            reason = f"The relation {ends} starts at no region that is exported: draw it again or delete it."
            self._tell(Problem(reason, "left out", task_id, annotation_id))
        elif is_answer(item):
            if (kind, tag) not in self._said:
                self._said.add((kind, tag))
                reason = (
                    f"The answers in {tag!r} ({kind}) are about whole tasks, which no format can hold: "
                    f"read them from Label Studio's own export; further ones are not listed."
                )
                self._tell(Problem(reason, "left out", task_id, annotation_id, id_of(item) or None))
        else:
            reason = f"{named(item)} cannot be used, because its type marks no area: export it another way."
            self._tell(Problem(reason, "left out", task_id, annotation_id, id_of(item) or None))

    def _unknown_labels(self, items: Iterable[Item]) -> Iterator[tuple[str, str]]:
        """Region id and sentence for each label that the labelling config does not have."""
        for item in items:
            known = self._known.get(str(item.get("from_name")))
            for label in region_labels(item) if known is not None else ():
                if known is not None and label not in known:
                    what = f"{named(item)} has the label {text(label)!r}"
                    yield id_of(item), f"{what}, which the labelling config does not have: add it there."


def _static_labels(tags: Tags | None) -> dict[str, frozenset[str]]:
    """The labels of each control tag that takes none from the tasks' data."""
    controls = tags.controls if tags else ()
    return {
        control.name: frozenset(control.labels)
        for control in controls
        if control.kind.endswith("labels")
        and control.labels
        and not any(name.startswith("$") for name in control.labels)
        and "value" not in control.attributes
    }
