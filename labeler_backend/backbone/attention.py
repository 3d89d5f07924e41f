"""The last layer's [CLS] → patch attention, without `output_attentions`, which makes all layers slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from labeler_backend.backbone import hooks
from labeler_backend.errors import WeightsError

# transformers 5.x and DINOv3 say q_proj and k_proj, 4.5x says attention.attention.query and .key
_QUERY, _KEY = ("q_proj", "query"), ("k_proj", "key")


@dataclass(frozen=True, slots=True)
class LastAttention:
    """What the hooks caught in one forward pass.

    Attributes:
        outputs: `query` and `key`, (B, N, C) each, of the last layer before rotation; `rotation`, cos and
            sin of (patches, C / heads) each, where the model has rotary position embeddings.
    """

    outputs: dict[str, Any]

    def cls_row(self, heads: int, prefix: int) -> torch.Tensor:
        """(B, heads, patches) float32: softmax over all tokens of the [CLS] row, patches only.

        In DINOv3 (Siméoni et al. 2025) patch keys are rotated by their position, as in transformers'
        `apply_rotary_pos_emb`; [CLS] and registers are not.

        Args:
            heads: attention heads.
            prefix: tokens before the patches, [CLS] and registers.
        """
        batch, tokens, channels = self.outputs["key"].shape
        query = self.outputs["query"][:, 0].float().reshape(batch, heads, channels // heads)
        key = self.outputs["key"].float().reshape(batch, tokens, heads, channels // heads)
        if "rotation" in self.outputs:
            key = torch.cat([key[:, :prefix], _rotate(key[:, prefix:], *self.outputs["rotation"])], dim=1)
        scores = torch.einsum("bhd,bnhd->bhn", query, key) * (channels // heads) ** -0.5
        attention: torch.Tensor = scores.softmax(dim=-1)[:, :, prefix:]
        return attention


def _rotate(key: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """(B, patches, heads, d) turned by its patch's angles; cos and sin are (patches, d)."""
    first, second = key.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return key * cos.float()[:, None] + turned * sin.float()[:, None]


def last_projections(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The last layer's query and key projections, under either of transformers' namings.

    Raises:
        WeightsError: the model has none; it is no ViT this program knows.
    """
    queries = [module for name, module in model.named_modules() if name.rpartition(".")[2] in _QUERY]
    keys = [module for name, module in model.named_modules() if name.rpartition(".")[2] in _KEY]
    if not queries or not keys:
        raise WeightsError(f"{type(model).__name__} has no query and key projections: use a DINO-family ViT.")
    return queries[-1], keys[-1]


@contextmanager
def capture(model: nn.Module) -> Iterator[LastAttention]:
    """Catch the last layer's query and key (and the rotation) of the forward pass made inside.

    Only of this thread's.
    """
    query, key = last_projections(model)
    rope = getattr(model, "rope_embeddings", None)
    rotation = {} if rope is None else {"rotation": rope}
    with hooks.outputs({"query": query, "key": key, **rotation}) as caught:
        yield LastAttention(caught)
