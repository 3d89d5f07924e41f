"""The network that draws outlines: from a coarse map of one object and the picture, where the object is."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from labeler_backend.unet import TokenUNet


class OutlineNet(TokenUNet):
    """Of colours and a coarse map. It does not know which object it draws, so any number of them share it."""

    def __init__(self, tokens: int) -> None:
        """Args: components of a token; the coarse map comes on top of them."""
        super().__init__(4, tokens + 1, 1, widths=(16, 24, 32), dilations=(1, 2))

    def forward(self, picture: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 4, h, w), colours and the coarse map, and (B, T + 1, any grid) → (B, h, w) logits."""
        return super().forward(picture, tokens)[:, 0]


def loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and Dice, (B, h, w) each; the truth in [0, 1]."""
    likely = torch.sigmoid(logits)
    both, either = (likely * truth).sum((1, 2)), (likely + truth).sum((1, 2))
    dice = (1 - (2 * both + 20) / (either + 20)).mean()
    return F.binary_cross_entropy_with_logits(logits, truth) + 0.5 * dice
