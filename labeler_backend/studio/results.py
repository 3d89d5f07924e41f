"""A whole `result` of Label Studio's → the objects it marks, and why the rest is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labeler_backend.errors import InputError
from labeler_backend.masks.rle import RLE, BoolMask, decode, encode
from labeler_backend.studio.identity import object_of
from labeler_backend.studio.regions import region_labels, region_to_mask, shape_of, text

_Key = tuple[str, str, int | None]  # region id, object tag, page


@dataclass(frozen=True, slots=True)
class LabeledObject:
    """One object somebody (or a prediction) marked.

    Attributes:
        id: of its region; of the object, where it came as several polygons.
        region_ids: of all its regions.
        labels: its labels; empty where it has none.
        rle: the mask at the upright image's full size.
        type: of its regions.
        to_name: the object tag.
        item_index: the page, from 0; None where the picture has no pages.
        score: of the prediction it came from.
        origin: `manual`, `prediction` or `prediction-changed`; a moved polygon still says `prediction`.
    """

    id: str
    region_ids: tuple[str, ...]
    labels: tuple[str, ...]
    rle: RLE
    type: str
    to_name: str
    item_index: int | None
    score: float | None
    origin: str | None

    @property
    def mask(self) -> BoolMask:
        """(H, W) bool."""
        return decode(self.rle)


@dataclass(frozen=True, slots=True)
class Dropped:
    """An item of a result that holds no object.

    Attributes:
        id: of the region, where it has one.
        type: of the region, as it is written.
        reason: one sentence: what, where, the mend.
    """

    id: str
    type: str
    reason: str


def read_result(results: Sequence[Any]) -> tuple[list[LabeledObject], list[Dropped]]:
    """A `result` → its objects in their order, and what was dropped, each with the reason.

    Items that mark nothing in a picture (choices, texts, ratings, relations) are neither. Polygons that
    `mask_to_regions` made of one object become one again while they have the same labels.

    Raises:
        InputError: not a list.
    """
    if not isinstance(results, list | tuple):
        raise InputError("The annotation's result is not a list: export it again.")
    items = [item for item in results if isinstance(item, Mapping)]
    dropped = [Dropped("", "", "An item is not an object: export it again.")] * (len(results) - len(items))
    names = _labels_beside(items)
    drawn: list[LabeledObject] = []
    for item in filter(_marks_something, items):
        try:
            drawn.append(_object(item, names))
        except InputError as error:
            dropped.append(Dropped(text(item.get("id")), text(item.get("type")), str(error)))
    dropped += _stray_labels(items)
    return _joined(_merged(drawn)), dropped


def _marks_something(item: Mapping[str, Any]) -> bool:
    kind = item.get("type")
    return isinstance(kind, str) and shape_of(kind) is not None


def _object(item: Mapping[str, Any], names: Mapping[_Key, tuple[str, ...]]) -> LabeledObject:
    key = _key(item)
    labels = region_labels(item) if item["type"].endswith("labels") else names.get(key, ())
    score, origin = item.get("score"), item.get("origin")
    return LabeledObject(
        id=key[0],
        region_ids=(key[0],),
        labels=labels,
        rle=encode(region_to_mask(item)),
        type=item["type"],
        to_name=key[1],
        item_index=key[2],
        score=float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None,
        origin=origin if isinstance(origin, str) else None,
    )


def _key(item: Mapping[str, Any]) -> _Key:
    page = item.get("item_index")
    return text(item.get("id")), text(item.get("to_name")), page if isinstance(page, int) else None


def _labels_beside(items: Sequence[Mapping[str, Any]]) -> dict[_Key, tuple[str, ...]]:
    """What the `<Labels>` items say, per region."""
    names: dict[_Key, tuple[str, ...]] = {}
    for item in items:
        if item.get("type") == "labels":
            names[_key(item)] = names.get(_key(item), ()) + region_labels(item)
    return names


def _stray_labels(items: Sequence[Mapping[str, Any]]) -> Iterator[Dropped]:
    """`labels` on pictures that name no region: the editor leaves them when a suggestion is accepted."""
    bare = {_key(i) for i in items if _marks_something(i) and not str(i.get("type")).endswith("labels")}
    for item in items:
        value = item.get("value")
        on_picture = "original_width" in item or (isinstance(value, Mapping) and "points" in value)
        if item.get("type") == "labels" and on_picture and _key(item) not in bare:
            name = text(item.get("id"))
            reason = f"The labels of region {name!r} belong to no shape of their own: they can be ignored."
            yield Dropped(name, "labels", reason)


def _merged(drawn: Sequence[LabeledObject]) -> list[LabeledObject]:
    """One object per region: two control tags may both have labelled it."""
    found: dict[tuple[object, ...], LabeledObject] = {}
    for n, one in enumerate(drawn):
        key = (one.id or n, one.to_name, one.item_index)
        first = found.setdefault(key, one)
        found[key] = replace(first, labels=tuple(dict.fromkeys(first.labels + one.labels)))
    return list(found.values())


def _joined(drawn: Sequence[LabeledObject]) -> list[LabeledObject]:
    """Parts of one object back into one, in the place of its first part."""
    found: dict[tuple[object, ...], list[LabeledObject]] = {}
    for n, one in enumerate(drawn):
        whole = object_of(one.id)
        key = (whole, one.labels, one.to_name, one.item_index, *one.rle["size"]) if whole else (n,)
        found.setdefault(key, []).append(one)
    return [parts[0] if len(parts) == 1 else _union(parts) for parts in found.values()]


def _union(parts: Sequence[LabeledObject]) -> LabeledObject:
    mask = parts[0].mask
    for part in parts[1:]:
        mask = mask | part.mask
    ids = tuple(part.id for part in parts)
    return replace(parts[0], id=object_of(ids[0]), region_ids=ids, rle=encode(mask))
