"""Numbers that tune an answer: attributes of its tag, or the backend's extra params."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from labeler_backend.masks.polygons import HARD_MAX_POINTS


class _Range(NamedTuple):
    field: str
    low: float
    high: float
    whole: bool


_TUNABLE = {
    "model_score_threshold": _Range("min_score", 0, 1, whole=False),
    "model_max_proposals": _Range("max_proposals", 1, 200, whole=True),  # 200 polygons open in 4.5 s
    "model_overlap": _Range("overlap", 0, 1, whole=False),
    "model_max_points": _Range("max_points", 4, HARD_MAX_POINTS, whole=True),
}


def extra_of(text: str | None) -> tuple[Mapping[str, Any], list[str]]:
    """The backend's extra params, JSON as text → the mapping, and notes on what cannot be used."""
    if text is None or not text.strip():
        return {}, []
    try:
        extra = json.loads(text)
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        return {}, [
            "The backend's extra params are not used, because they are not a JSON object: "
            'write them like {"model_max_proposals": 10}.'
        ]
    return extra, []


def tuned(
    attributes: Mapping[str, Any], extra: Mapping[str, Any], tag: str
) -> tuple[dict[str, Any], list[str]]:
    """`AnswerTag`'s tunable fields that are set, attributes before `extra`, kept in range; and notes.

    Args:
        attributes: of the tag.
        extra: the backend's extra params.
        tag: how notes call the tag.
    """
    fields: dict[str, Any] = {}
    notes: list[str] = []
    for name, allowed in _TUNABLE.items():
        sources = [(tag, attributes), ("the backend's extra params", extra)]
        where, given = next(((w, s[name]) for w, s in sources if name in s), ("", None))
        if given is None:
            continue
        value = _number(given)
        if value is None:
            notes.append(f"{name} in {where} is not used, because {str(given)[:40]!r} is not a number.")
            continue
        kept = min(max(value, allowed.low), allowed.high)
        if kept != value:
            notes.append(
                f"{name} in {where} must be between {allowed.low} and {allowed.high}: {kept} is used."
            )
        fields[allowed.field] = int(kept) if allowed.whole else float(kept)
    return fields, notes


def _number(given: object) -> float | None:
    """A finite number, or text that holds one."""
    try:
        value = (
            float(given) if isinstance(given, str | int | float) and not isinstance(given, bool) else math.nan
        )
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
