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
