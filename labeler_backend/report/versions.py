"""How model versions are called on pages."""

from __future__ import annotations

import re

_HEAD = re.compile(r"-h(\d+)$")


def head_number(version: str | None) -> int | None:
    """Of the head behind a model version (`dinov2-small-518-v1-h3` → 3)."""
    found = _HEAD.search(version or "")
    return int(found.group(1)) if found else None


def short(version: str | None) -> str:
    """How a version is called where there is little room."""
    number = head_number(version)
    if number is not None:
        return f"head {number}"
    return version or ("no prediction" if version == "" else "not recorded")
