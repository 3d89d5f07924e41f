"""A whole `result` of Label Studio's → the objects and points it marks, and why the rest is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from labeler_backend.errors import InputError
from labeler_backend.masks.rle import BoolMask
from labeler_backend.masks.shape import Shape, same, size_of, to_mask
from labeler_backend.studio.areas import joined
from labeler_backend.studio.identity import object_of
from labeler_backend.studio.regions import (
    POINT,
    fits_type,
    named,
    region_labels,
    region_size,
    regions_to_areas,
    sentence,
    shape_of,
    text,
)
from labeler_backend.studio.shapes import ShapeError, number

Item = Mapping[str, Any]
Key = tuple[str, str, int | None]  # region id, object tag, page


@dataclass(slots=True)  # frozen ones take thrice as long to make, and there are many
class LabeledObject:
    """One object somebody (or a prediction) marked.

    Attributes:
        id: of its region; of the object, where it came as several polygons.
        region_ids: of all its regions.
        labels: its labels; empty where it has none.
        shape: in pixels of the upright image.
        type: of its regions.
        to_name: the object tag.
        item_index: the page, from 0; None where the picture has no pages.
        score: of the prediction it came from.
        origin: `manual`, `prediction` or `prediction-changed`; a moved polygon still says `prediction`.
        item: its first region, as it came.
    """

    id: str
    region_ids: tuple[str, ...]
    labels: tuple[str, ...]
    shape: Shape
    type: str
    to_name: str
    item_index: int | None
    score: float | None
    origin: str | None
    item: Item = field(repr=False, compare=False)

    @property
    def mask(self) -> BoolMask:
        """(H, W) bool."""
        return to_mask(self.shape)


@dataclass(frozen=True, slots=True)
class LabeledPoint:
    """One key point.

    Attributes:
        id: of its region.
        labels: its labels; empty where it has none.
        x, y: in pixels of the upright image.
        size: (H, W) of that image.
        to_name, item_index, item: as of a `LabeledObject`.
    """

    id: str
    labels: tuple[str, ...]
    x: float
    y: float
    size: tuple[int, int]
    to_name: str
    item_index: int | None
    item: Item = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Note:
    """An item of a result that could not be taken as it is.

    Attributes:
        id: of the region, where it has one.
        type: of the region, as it is written.
        reason: one sentence: what, where, the mend.
        done: what became of it.
    """

    id: str
    type: str
    reason: str
    done: Literal["left out", "mended", "kept"] = "left out"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a result holds.

    Attributes:
        objects: what marks an area, in the order in which it was drawn.
        points: key points.
        others: items that mark neither: choices, texts, relations, tracks, types nobody knows.
        notes: on what could not be taken as it is.
    """

    objects: list[LabeledObject]
    points: list[LabeledPoint]
    others: list[Item]
    notes: list[Note]

    def drawn(self) -> list[LabeledObject | LabeledPoint]:
        """Everything that lies on a picture."""
        return [*self.objects, *self.points]


def read_result(results: Sequence[Any]) -> Reading:
    """A `result` → what it marks, with a note on everything that could not be taken as it is.

    Polygons that `mask_to_regions` made of one object become one again while they have the same labels.

    Raises:
        InputError: not a list.
    """
    if not isinstance(results, list | tuple):
        raise InputError("The annotation's result is not a list: export it again.")
    items = [item for item in results if isinstance(item, Mapping)]
    notes = [Note("", "", "An item is not an object: export it again.")] * (len(results) - len(items))
    kinds = [_shape(item) for item in items]
    beside = _labels_beside(items)
    points = [item for item, kind in zip(items, kinds, strict=True) if kind == POINT]
    drawn = [item for item, kind in zip(items, kinds, strict=True) if kind not in (None, POINT)]
    others = [item for item, kind in zip(items, kinds, strict=True) if kind is None and not _names(item)]
    objects = _apart(_objects(drawn, beside, notes), notes)
    found = Reading(_whole(objects), list(_points(points, beside, notes)), others, notes)
    notes += _stray_labels(items, kinds)
    return found


def id_of(item: Item) -> str:
    """A region's id, or an empty text."""
    name = item.get("id")
    return str(name) if isinstance(name, str | int) else ""


def kind_of(item: Item) -> str:
    """A region's type, or an empty text."""
    kind = item.get("type")
    return kind if isinstance(kind, str) else ""


def page_of(item: Item) -> int | None:
    """The page an item lies on, from 0; None where it does not say."""
    page = item.get("item_index")
    if isinstance(page, float) and page.is_integer():
        page = int(page)
    if isinstance(page, str) and page.isdecimal() and len(page) < 10:
        page = int(page)
    return page if isinstance(page, int) and not isinstance(page, bool) and page >= 0 else None


def _shape(item: Item) -> str | None:
    return shape_of(kind_of(item))


def _objects(
    drawn: Sequence[Item], beside: Mapping[Key, tuple[str, ...]], notes: list[Note]
) -> Iterator[LabeledObject]:
    for item, area in zip(drawn, regions_to_areas(drawn), strict=True):
        if area.shape is None:
            notes.append(Note(id_of(item), item["type"], sentence(item, area.note)))
            continue
        if area.note:
            reason = f"{named(item)} was mended, because {area.note}: look at it in Label Studio."
            notes.append(Note(id_of(item), item["type"], reason, "mended"))
        key, score, origin = _key(item), item.get("score"), item.get("origin")
        yield LabeledObject(
            id=key[0],
            region_ids=(key[0],),
            labels=_labels(item, key, beside),
            shape=area.shape,
            type=item["type"],
            to_name=key[1],
            item_index=key[2],
            score=float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None,
            origin=origin if isinstance(origin, str) else None,
            item=item,
        )


def _points(
    items: Sequence[Item], beside: Mapping[Key, tuple[str, ...]], notes: list[Note]
) -> Iterator[LabeledPoint]:
    for item in items:
        size, key = region_size(item), _key(item)
        try:
            if not fits_type(item):
                raise ShapeError("what it holds does not fit its type")
            if size is None:
                raise ShapeError("its original_width and original_height are not a picture's size")
            x, y = number(item["value"], "x") * size[1] / 100, number(item["value"], "y") * size[0] / 100
        except ShapeError as error:
            notes.append(Note(key[0], item["type"], sentence(item, str(error))))
            continue
        yield LabeledPoint(key[0], _labels(item, key, beside), x, y, size, key[1], key[2], item)


def _labels(item: Item, key: Key, beside: Mapping[Key, tuple[str, ...]]) -> tuple[str, ...]:
    return region_labels(item) if item["type"].endswith("labels") else beside.get(key, ())


def _key(item: Item) -> Key:
    name = item.get("to_name")
    return id_of(item), name if isinstance(name, str) else "", page_of(item)


def _labels_beside(items: Sequence[Item]) -> dict[Key, tuple[str, ...]]:
    """What the `<Labels>` items say, per region."""
    names: dict[Key, tuple[str, ...]] = {}
    for item in items:
        if _names(item):
            names[_key(item)] = names.get(_key(item), ()) + region_labels(item)
    return names


def _stray_labels(items: Sequence[Item], kinds: Sequence[str | None]) -> Iterator[Note]:
    """`labels` on pictures that name no region: the editor leaves them when a suggestion is accepted."""
    bare = {
        _key(i) for i, kind in zip(items, kinds, strict=True) if kind and not i["type"].endswith("labels")
    }
    for item in items:
        if _names(item) and _key(item) not in bare:
            name = id_of(item)
            reason = (
                f"The labels of region {text(name)!r} belong to no shape of their own: they can be ignored."
            )
            yield Note(name, "labels", reason)


def _names(item: Item) -> bool:
    """Whether it is a `<Labels>` item of a picture; others are of texts, sounds and videos."""
    if item.get("type") != "labels":
        return False
    value = item.get("value")
    return "original_width" in item or (isinstance(value, Mapping) and "points" in value)


def _apart(drawn: Iterator[LabeledObject], notes: list[Note]) -> list[LabeledObject]:
    """One object per region, which two control tags may both have labelled; two shapes get two ids."""
    found: dict[Key | tuple[int], LabeledObject] = {}
    for one in drawn:
        key: Key | tuple[int] = (one.id, one.to_name, one.item_index) if one.id else (len(found),)
        first = found.setdefault(key, one)
        if first is one:
            continue
        if same(first.shape, one.shape):
            found[key] = replace(first, labels=tuple(dict.fromkeys(first.labels + one.labels)))
            continue
        count = next(n for n in range(2, len(found) + 3) if (f"{one.id}#{n}", *key[1:]) not in found)
        name = f"{one.id}#{count}"
        reason = (
            f"{named(one.item)} has the id of another region, and is called {name!r} here: both were kept."
        )
        notes.append(Note(one.id, one.type, reason, "kept"))
        found[name, one.to_name, one.item_index] = replace(one, id=name, region_ids=(name,))
    return list(found.values())


def _whole(drawn: Sequence[LabeledObject]) -> list[LabeledObject]:
    """Parts of one object back into one, in the place of its first part."""
    found: dict[tuple[object, ...], list[LabeledObject]] = {}
    for n, one in enumerate(drawn):
        whole = object_of(one.id)
        key = (whole, one.labels, one.to_name, one.item_index, *size_of(one.shape)) if whole else (n,)
        found.setdefault(key, []).append(one)
    return [parts[0] if len(parts) == 1 else _joined(parts) for parts in found.values()]


def _joined(parts: Sequence[LabeledObject]) -> LabeledObject:
    ids = tuple(part.id for part in parts)
    return replace(parts[0], id=object_of(ids[0]), region_ids=ids, shape=joined([p.shape for p in parts]))
