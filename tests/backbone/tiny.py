"""Models of every family, too small to be good at anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

FAMILIES = ("vit", "dinov2", "dinov2_with_registers", "dinov3_vit")

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]

_SIZES: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "image_size": 56,
}


def config_of(family: str) -> Any:
    """A transformers config; patch 14 for DINOv2, 16 for DINOv3, 8 for DINO."""
    if family == "vit":
        return transformers.ViTConfig(**_SIZES, patch_size=8, intermediate_size=96)
    if family == "dinov2":
        return transformers.Dinov2Config(**_SIZES, patch_size=14, mlp_ratio=2)
    if family == "dinov2_with_registers":
        return transformers.Dinov2WithRegistersConfig(
            **_SIZES, patch_size=14, mlp_ratio=2, num_register_tokens=4
        )
    if family == "dinov3_vit":
        return transformers.DINOv3ViTConfig(
            **_SIZES, patch_size=16, intermediate_size=96, num_register_tokens=4
        )
    raise ValueError(family)


def save_tiny(family: str, folder: Path) -> Path:
    """Random weights of a family, the same every time, as save_pretrained writes them."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config_of(family))
    for parameter in model.parameters():
        if parameter.ndim > 1:  # large enough that attention is far from uniform and registers from zero
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    preprocessor = {"image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder
