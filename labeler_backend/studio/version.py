"""What predictions are stamped with."""

from __future__ import annotations

import re
from pathlib import Path

from labeler_backend.backbone.registry import resolve
from labeler_backend.proposals import propose


def model_version(model: str, size: int) -> str:
    """What predictions of this backend are stamped with, known without loading the model.

    Label Studio asks for all tasks again when it changes, so it holds just what changes proposals much.
    """
    name = re.sub(r"[^\w.-]+", "-", Path(resolve(model).name).name)
    return f"{name}-{size}-v{propose.VERSION}"


def with_head(base: str, number: int | None) -> str:
    """The version of a project in which a head answers."""
    return base if number is None else f"{base}-h{number}"


def is_ours(version: str, base: str) -> bool:
    """Whether `version` is this backend's, with whatever head, or without."""
    return re.fullmatch(re.escape(base) + r"(-h\d+)?", version) is not None
