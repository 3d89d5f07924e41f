"""Which backbones there are: short names, hub ids, licences."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from labeler_backend.errors import LabelerError

FAMILIES = {
    "vit": "DINO",
    "dinov2": "DINOv2",
    "dinov2_with_registers": "DINOv2 with registers",
    "dinov3_vit": "DINOv3",
}
"""`model_type` in a model's config.json → the family a person knows it by."""

DEFAULT_MODEL = "dinov2-small"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A backbone somebody asked for.

    Attributes:
        name: what cached features and heads are stamped with: the short name, else the hub id, else the
            folder's name.
        hub_id: `org/name` on the Hugging Face hub; empty for a local folder.
        family: as in `FAMILIES`; empty where only the model's own config knows.
        licence: empty where only the model's own page knows.
        gated: the hub asks for an accepted licence and a token.
        folder: a local folder with config.json and the weights.
    """

    name: str
    hub_id: str = ""
    family: str = ""
    licence: str = ""
    gated: bool = False
    folder: Path | None = None


def _table() -> dict[str, ModelSpec]:
    specs = [
        ModelSpec(f"dino-{size}", f"facebook/dino-{size}", "DINO", "Apache-2.0")
        for size in ("vits16", "vits8", "vitb16", "vitb8")
    ]
    for suffix, family in (("", "DINOv2"), ("-with-registers", "DINOv2 with registers")):
        for size in ("small", "base", "large", "giant"):
            name = f"dinov2{suffix}-{size}"
            specs.append(ModelSpec(name, f"facebook/{name}", family, "Apache-2.0"))
    specs += [
        ModelSpec(
            f"dinov3-{size}",
            f"facebook/dinov3-{size}-pretrain-lvd1689m",
            "DINOv3",
            "DINOv3 License",
            gated=True,
        )
        for size in ("vits16", "vits16plus", "vitb16", "vitl16")
    ]
    return {spec.name: spec for spec in specs}


MODELS: dict[str, ModelSpec] = _table()
"""Short name → model."""


def resolve(name: str) -> ModelSpec:
    """The model behind a short name, a hub id (`org/name`) or a local folder, in this order.

    A folder that exists wins over a hub id spelled the same; whether it holds a model is seen on loading.

    Raises:
        LabelerError: none of the three; lists the short names that come near.
    """
    if name in MODELS:
        return MODELS[name]
    by_hub_id = {spec.hub_id: spec for spec in MODELS.values()}
    folder = os.path.expanduser(name)
    if os.path.isdir(folder):  # unlike Path's, it takes any text without raising
        return ModelSpec(name=Path(folder).resolve().name, folder=Path(folder).resolve())
    if name in by_hub_id:
        return by_hub_id[name]
    if _is_hub_id(name):
        return ModelSpec(name=name, hub_id=name)
    near = difflib.get_close_matches(name.lower(), MODELS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the short names are {', '.join(MODELS)}."
    raise LabelerError(f"Model {name!r} is no short name, no hub id (org/name) and no folder: {hint}")


def _is_hub_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1
