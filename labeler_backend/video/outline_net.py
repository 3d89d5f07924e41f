"""The network that draws outlines: from a coarse map of one object and the picture, where the object is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = (16, 24, 32)


class OutlineNet(nn.Module):
    """A U-Net at half, quarter and eighth size; tokens and the coarse map join at the eighth.

    Anything finer than half size is moved into channels (pixel unshuffle) and back: convolutions at full size
    are what would cost most. It does not know which object it draws, so any number of objects share it.
    """

    def __init__(self, tokens: int) -> None:
        """Args: components of a token; the coarse map comes on top of them."""
        super().__init__()
        half, quarter, eighth = WIDTHS
        self.stem = _conv(4 * 4, half)
        self.down = nn.Sequential(_conv(half, quarter, stride=2), _conv(quarter, quarter))
        self.bottom = _conv(quarter, eighth, stride=2)
        self.tokens = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(tokens + 1, eighth, 1))
        self.middle = nn.Sequential(*(_conv(eighth, eighth, dilation=d) for d in (1, 2)))
        self.to_quarter, self.at_quarter = nn.Conv2d(eighth, quarter, 1), _conv(quarter, quarter)
        self.to_half, self.at_half = nn.Conv2d(quarter, half, 1), _conv(half, half)
        self.out = nn.Conv2d(half, 4, 1)

    def forward(self, picture: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, 4, h, w), colours and the coarse map, and (B, T + 1, any grid) → (B, h, w) logits."""
        half: torch.Tensor = self.stem(F.pixel_unshuffle(picture, 2))
        quarter: torch.Tensor = self.down(half)
        eighth: torch.Tensor = self.bottom(quarter)
        eighth = self.middle(F.relu(eighth + _like(self.tokens(tokens), eighth)))
        quarter = self.at_quarter(quarter + _like(self.to_quarter(eighth), quarter))
        half = self.at_half(half + _like(self.to_half(quarter), half))
        return F.pixel_shuffle(self.out(half), 2)[:, 0]


def loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and Dice, (B, h, w) each; the truth in [0, 1]."""
    likely = torch.sigmoid(logits)
    both, either = (likely * truth).sum((1, 2)), (likely + truth).sum((1, 2))
    dice = (1 - (2 * both + 20) / (either + 20)).mean()
    return F.binary_cross_entropy_with_logits(logits, truth) + 0.5 * dice


def channels_last(net: OutlineNet) -> OutlineNet:
    """The layout in which a CPU convolves fastest."""
    out: OutlineNet = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return out


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _like(values: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return F.interpolate(values, other.shape[2:], mode="bilinear", align_corners=False)
