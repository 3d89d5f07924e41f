"""What a result says about its regions besides their shape: answers, relations, notes, parents."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeler_backend.studio.regions import region_labels
from labeler_backend.studio.results import Item, id_of, kind_of

_TRACK = re.compile(r"\s*track(?:[ _-]?id)?\s*[:=]\s*(\S.*?)\s*", re.IGNORECASE)
_CROWD = re.compile(r"\s*(?:is)?crowd(?:\s*[:=]\s*(\w+))?\s*", re.IGNORECASE)
_NO = frozenset({"0", "false", "no", "off"})
_ANSWERS = ("choices", "text", "number", "rating", "taxonomy", "datetime", "pairwise", "ranker", "selected")


@dataclass(frozen=True, slots=True)
class Beside:
    """What the items of one result say that mark nothing themselves.

    Attributes:
        answers: by region id, what was answered for that region, by the name of the control tag.
        relations: by region id, those that start there, as an `Instance` holds them.
        links: by the id of a key point, the region that a relation ties it to.
        labels: by region id, what `<Labels>` say about what is no picture's region.
        rest: items that nothing takes: answers about whole pictures, relations of nothing, unknown types.
    """

    answers: Mapping[str, Mapping[str, Any]]
    relations: Mapping[str, Sequence[Mapping[str, Any]]]
    links: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]
    rest: tuple[Item, ...]


NOTHING = Beside({}, {}, {}, {}, ())


@dataclass(frozen=True, slots=True)
class Meta:
    """A region's `meta`, read.

    Attributes:
        track_id: where a line says `track: 3`.
        crowd: whether a line says `iscrowd`.
        rest: what else it holds: `text` (the other lines), `meta` (other keys).
    """

    track_id: str | None = None
    crowd: bool = False
    rest: Mapping[str, Any] = field(default_factory=dict)


_NO_META = Meta()


def is_answer(item: Item) -> bool:
    """Whether an item answers a question: choices, texts, numbers, ratings, taxonomies, dates."""
    value = item.get("value")
    return isinstance(value, Mapping) and _answer(item) is not None


def beside_of(others: Sequence[Item], regions: Mapping[str, str], points: Collection[str]) -> Beside:
    """Sorts the items of a result that mark nothing.

    Args:
        others: those items.
        regions: id of each region (of a track too) → id of the object it is part of.
        points: ids of the key points.
    """
    if not others:
        return NOTHING
    answers: dict[str, dict[str, Any]] = {}
    relations: dict[str, list[dict[str, Any]]] = {}
    links: dict[str, str] = {}
    labels: dict[str, tuple[str, ...]] = {}
    rest: list[Item] = []
    for item in others:
        name = id_of(item)
        if item.get("type") == "relation":
            start, end = (str(item.get(key, "")) for key in ("from_id", "to_id"))
            if start in points and end in regions:
                links[start] = end
            elif end in points and start in regions:
                links[end] = start
            elif start in regions:
                relations.setdefault(start, []).append(_relation(item, regions.get(end, end)))
            else:
                rest.append(item)
        elif item.get("type") == "labels" and name in regions:
            labels[name] = labels.get(name, ()) + region_labels(item)
        elif name in regions and is_answer(item):
            answers.setdefault(name, {})[str(item.get("from_name", ""))] = _answer(item)
        else:
            rest.append(item)
    return Beside(answers, relations, links, labels, tuple(rest))


def meta_of(item: Item) -> Meta:
    """What people wrote into a region's `meta`."""
    meta = item.get("meta")
    if not isinstance(meta, Mapping) or not meta:
        return _NO_META
    track = next((_name(meta[key]) for key in ("track", "track_id") if _name(meta.get(key))), None)
    crowd = any(_is_yes(meta.get(key)) for key in ("iscrowd", "crowd"))
    kept = []
    for line in _lines(meta.get("text")):
        if match := _TRACK.fullmatch(line):
            track = track or match[1]
        elif match := _CROWD.fullmatch(line):
            crowd = crowd or (match[1] or "1").lower() not in _NO
        elif line.strip():
            kept.append(line)
    known = {"text", "track", "track_id", "iscrowd", "crowd"}
    other = {str(key): value for key, value in meta.items() if key not in known}
    rest: dict[str, Any] = {"text": "\n".join(kept)} if kept else {}
    return Meta(track, crowd, rest | ({"meta": other} if other else {}))


def attributes_of(
    item: Item, region_ids: Sequence[str], labels: Sequence[str], rest: Mapping[str, Any], beside: Beside
) -> dict[str, Any]:
    """What is known of a region besides what an `Instance` or a `Track` has a field for."""
    found: dict[str, Any] = {}
    if len(labels) > 1:
        found["labels"] = list(labels)
    origin, parent = item.get("origin"), item.get("parentID")
    if isinstance(origin, str):
        found["origin"] = origin
    if isinstance(parent, str) and parent:
        found["parent"] = parent
    if beside is not NOTHING:
        for name in region_ids:
            if name in beside.answers:
                found["answers"] = {**found.get("answers", {}), **beside.answers[name]}
            if name in beside.relations:
                found["relations"] = [*found.get("relations", []), *beside.relations[name]]
    found.update(rest)
    return found


def _answer(item: Item) -> Any:
    value = item["value"]
    own = value.get(kind_of(item))
    if own is not None and not kind_of(item).endswith("labels"):
        return own
    return next((value[key] for key in _ANSWERS if value.get(key) is not None), None)


def _relation(item: Item, end: str) -> dict[str, Any]:
    labels = item.get("labels")
    names = [one for one in labels if isinstance(one, str)] if isinstance(labels, list) else []
    return {"to": end, "direction": item.get("direction"), "labels": names}


def _lines(texts: object) -> list[str]:
    entries = texts if isinstance(texts, list) else [texts]
    return [line for entry in entries if isinstance(entry, str) for line in entry.splitlines()]


def _name(value: object) -> str | None:
    return (
        str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None
    )


def _is_yes(value: object) -> bool:
    return value is not None and str(value).strip().lower() not in {*_NO, "", "none", "[]", "{}"}
