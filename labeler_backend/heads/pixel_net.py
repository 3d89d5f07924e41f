"""The pixel head's network: a small U-Net that sees the picture, and the backbone's tokens at its bottom."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (24, 32, 48)
STRIDE = 8
"""Pictures must be multiples of it."""


class PixelNet(nn.Module):
    """Colours at half, quarter and eighth size; tokens join at the eighth. Out come figure and depth.

    The figure is a correction of what the class map says. What kind of thing a figure is stays the class
    map's word: tokens know it better than colours do, and with many classes and few pictures a network that
    names pixels anew unlearns most of them.

    About 5 000 multiply-adds per pixel. Everything finer than half size is moved into channels
    (pixel unshuffle) and back, because convolutions at full size are what would cost most.
    """

    def __init__(self, inputs: int, tokens: int) -> None:
        """Args: channels of the picture and of the token input, whose last one is what the class map says of
        the figure, in log odds."""
        super().__init__()
        half, quarter, eighth = WIDTHS
        self.stem = _conv(4 * inputs, half)
        self.down = nn.Sequential(_conv(half, quarter, stride=2), _conv(quarter, quarter))
        self.bottom = _conv(quarter, eighth, stride=2)
        self.tokens = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(tokens - 1, eighth, 1))
        self.middle = nn.Sequential(*(_conv(eighth, eighth, dilation=d) for d in (1, 2, 4)))
        self.to_quarter, self.at_quarter = nn.Conv2d(eighth, quarter, 1), _conv(quarter, quarter)
        self.to_half, self.at_half = nn.Conv2d(quarter, half, 1), _conv(half, half)
        self.out = nn.Conv2d(half, 2 * 4, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]
        self.trust = nn.Parameter(torch.ones(1))

    def forward(self, picture: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) and (B, T, any grid) → (B, 2, h, w) log odds: figure, and depth."""
        half: torch.Tensor = self.stem(F.pixel_unshuffle(picture, 2))
        quarter: torch.Tensor = self.down(half)
        eighth: torch.Tensor = self.bottom(quarter)
        eighth = self.middle(F.relu(eighth + _like(self.tokens(tokens[:, :-1]), eighth)))
        quarter = self.at_quarter(quarter + _like(self.to_quarter(eighth), quarter))
        half = self.at_half(half + _like(self.to_half(quarter), half))
        found = F.pixel_shuffle(self.out(half), 2)
        figure = found[:, :1] + self.trust * _like(tokens[:, -1:], found)
        return torch.cat([figure, found[:, 1:]], dim=1)


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _like(values: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return F.interpolate(values, other.shape[2:], mode="bilinear", align_corners=False)


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
