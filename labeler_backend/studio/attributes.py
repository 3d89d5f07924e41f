"""What a result says about its regions besides their shape: answers, relations, notes, parents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeler_backend.studio.results import Item, LabeledObject, id_of

_TRACK = re.compile(r"\s*track(?:[ _-]?id)?\s*[:=]\s*(\S.*?)\s*", re.IGNORECASE)
_CROWD = re.compile(r"\s*(?:is)?crowd(?:\s*[:=]\s*(\w+))?\s*", re.IGNORECASE)
_NO = frozenset({"0", "false", "no", "off"})
_ANSWERS = ("choices", "text", "number", "rating", "taxonomy", "datetime", "pairwise", "ranker", "selected")


@dataclass(frozen=True, slots=True)
class Relation:
    """A line that somebody drew from one region to another; both by their ids."""

    start: str
    end: str
    direction: str | None
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Of one result.

    Attributes:
        answers: by region id, what was answered for that region, by the name of the control tag.
        relations: in their order.
    """

    answers: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    relations: tuple[Relation, ...] = ()


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


def beside_of(others: Iterable[Item]) -> Beside:
    """The answers and relations among the items of a result that mark nothing."""
    answers: dict[str, dict[str, Any]] = {}
    relations: list[Relation] = []
    for item in others:
        if item.get("type") == "relation":
            relations.append(_relation(item))
        elif id_of(item) and is_answer(item):
            answers.setdefault(id_of(item), {})[str(item.get("from_name", ""))] = _answer(item)
    return Beside(answers, tuple(relations))


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


def attributes_of(one: LabeledObject, labels: Sequence[str], meta: Meta, answers: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of an object besides what an `Instance` has a field for; relations come later."""
    found: dict[str, Any] = {}
    if len(labels) > 1:
        found["labels"] = list(labels)
    if one.origin is not None:
        found["origin"] = one.origin
    parent = one.item.get("parentID")
    if isinstance(parent, str) and parent:
        found["parent"] = parent
    if answers:
        found["answers"] = dict(answers)
    found.update(meta.rest)
    return found


def _answer(item: Item) -> Any:
    value = item["value"]
    own = value.get(item.get("type"))
    if own is not None and not str(item.get("type")).endswith("labels"):
        return own
    return next((value[key] for key in _ANSWERS if value.get(key) is not None), None)


def _relation(item: Item) -> Relation:
    labels = item.get("labels")
    names = tuple(one for one in labels if isinstance(one, str)) if isinstance(labels, list) else ()
    direction = item.get("direction")
    ends = [str(item.get(key, "")) for key in ("from_id", "to_id")]
    return Relation(ends[0], ends[1], direction if isinstance(direction, str) else None, names)


def _lines(texts: object) -> list[str]:
    entries = texts if isinstance(texts, list) else [texts]
    return [line for entry in entries if isinstance(entry, str) for line in entry.splitlines()]


def _name(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def _is_yes(value: object) -> bool:
    return value is not None and str(value).strip().lower() not in {*_NO, "", "none", "[]", "{}"}
