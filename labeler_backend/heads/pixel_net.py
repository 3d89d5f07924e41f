"""The pixel head's network: a small U-Net that sees the picture, and the backbone's tokens at its bottom."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from labeler_backend.unet import TokenUNet, like


class PixelNet(TokenUNet):
    """Out of colours and tokens come figure and depth. About 5 000 multiply-adds per pixel.

    The figure is a correction of what the class map says. What kind of thing a figure is stays the class
    map's word: tokens know it better than colours do, and with many classes and few pictures a network that
    names pixels anew unlearns most of them.
    """

    def __init__(self, inputs: int, tokens: int) -> None:
        """Args: channels of the picture and of the token input, whose last one is what the class map says of
        the figure, in log odds."""
        super().__init__(inputs, tokens - 1, 2, widths=(24, 32, 48), dilations=(1, 2, 4))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        self.trust = nn.Parameter(torch.ones(1))

    def forward(self, picture: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) and (B, T, any grid) → (B, 2, h, w) log odds: figure, and depth."""
        found = super().forward(picture, tokens[:, :-1])
        figure = found[:, :1] + self.trust * like(tokens[:, -1:], found)
        return torch.cat([figure, found[:, 1:]], dim=1)


def loss(
    logits: torch.Tensor, figure: torch.Tensor, depth: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy and Dice of the figure, and the divergence of the depth, each crop counting the same.

    Args:
        logits: (B, 2, h, w) from `PixelNet`.
        figure: (B, h, w) 0 or 1.
        depth: (B, h, w) in [0, 1].
        weight: (B, h, w), 0 where nobody said what it is.
    """
    inside = (weight * figure).sum((1, 2), keepdim=True)
    outside = (weight * (1 - figure)).sum((1, 2), keepdim=True)
    # half way to equal shares: with equal ones, small objects come out too fat
    ratio = (outside / (inside + 1)).clamp(1 / 3, 6).sqrt()
    share = weight * torch.where(figure > 0, ratio, 1 / ratio)
    share = share / share.sum((1, 2), keepdim=True).clamp_min(1e-6) / len(logits)
    parted = (F.binary_cross_entropy_with_logits(logits[:, 0], figure, reduction="none") * share).sum()
    likely = torch.sigmoid(logits[:, 0]) * (weight > 0)
    both, either = (likely * figure).sum((1, 2)), (likely + figure * (weight > 0)).sum((1, 2))
    dice = (1 - (2 * both + 20) / (either + 20)).mean()
    floor = torch.xlogy(depth, depth) + torch.xlogy(1 - depth, 1 - depth)
    deep = F.binary_cross_entropy_with_logits(logits[:, 1], depth, reduction="none") + floor
    return parted + 0.5 * dice + 2 * (deep * share).sum()
