"""What Label Studio stores of what a model says of a task."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

GUESSED = 0.5
"""What a score is multiplied by where the label is only a guess."""


class Prediction(BaseModel):
    """One answer; `result` holds regions."""

    model_config = ConfigDict(protected_namespaces=())
    result: list[dict[str, Any]]
    score: float = Field(0.0, ge=0, le=1)
    model_version: str
