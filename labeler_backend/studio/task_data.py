"""Where in a task's data its pictures stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from labeler_backend.errors import InputError


def addresses(data: Mapping[str, Any], key: str, shown_by: str) -> list[str]:
    """The addresses of pictures under a key of a task's data, one or more.

    Args:
        data: the task's, as it came.
        key: a key, or a path as the editor understands it (`a.b`, `a[0].b`).
        shown_by: how errors call the tag.

    Raises:
        InputError: nothing is there, or something else than text or a list of texts.
    """
    value = _lookup(data, key, shown_by)
    found = value if isinstance(value, list) else [value]
    for address in found or [None]:
        if not isinstance(address, str) or not address.strip():
            raise InputError(
                f"The task's {key!r}, which {shown_by} shows, holds {_kind_of(address)} instead of a "
                f"picture's address: import the task again."
            )
    return found


def _lookup(data: Mapping[str, Any], key: str, shown_by: str) -> Any:
    if not isinstance(data, Mapping):
        raise InputError(f"The task's data is {_kind_of(data)} instead of an object: import the task again.")
    if key in data:
        return data[key]
    value: Any = data
    for step in re.findall(r"[^.\[\]]+", key):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise InputError(
                f"The task's data has no {key!r}, which {shown_by} shows: import the task again with it, "
                f"or change the labelling config."
            )
    return value


def _kind_of(value: object) -> str:
    """How an error calls a value that is not what it should be."""
    if value is None or value == "":
        return "nothing"
    names = {
        "dict": "an object",
        "list": "a list",
        "str": "a blank text",
        "int": "a number",
        "float": "a number",
    }
    return names.get(type(value).__name__, f"a {type(value).__name__}")
