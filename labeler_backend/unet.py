"""A small U-Net that sees pixels, and the backbone's tokens at its bottom: what heads and video draw with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

STRIDE = 8
"""Pictures must be multiples of it."""

Net = TypeVar("Net", bound=nn.Module)


class TokenUNet(nn.Module):
    """Pixels at half, quarter and eighth size; tokens join at the eighth (Ronneberger et al. 2015, "U-Net").

    Anything finer than half size is moved into channels (pixel unshuffle) and back, because convolutions at
    full size are what would cost most.
    """

    def __init__(
        self, inputs: int, tokens: int, outputs: int, widths: tuple[int, int, int], dilations: Sequence[int]
    ) -> None:
        """Args: channels of the picture, of the tokens and of the answer; channels at half, quarter and
        eighth size; dilations of the convolutions at the bottom."""
        super().__init__()
        half, quarter, eighth = widths
        self.stem = _conv(4 * inputs, half)
        self.down = nn.Sequential(_conv(half, quarter, stride=2), _conv(quarter, quarter))
        self.bottom = _conv(quarter, eighth, stride=2)
        self.tokens = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(tokens, eighth, 1))
        self.middle = nn.Sequential(*(_conv(eighth, eighth, dilation=d) for d in dilations))
        self.to_quarter, self.at_quarter = nn.Conv2d(eighth, quarter, 1), _conv(quarter, quarter)
        self.to_half, self.at_half = nn.Conv2d(quarter, half, 1), _conv(half, half)
        self.out = nn.Conv2d(half, 4 * outputs, 1)

    def forward(self, picture: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, inputs, h, w) and (B, tokens, any grid) → (B, outputs, h, w) logits."""
        half: torch.Tensor = self.stem(F.pixel_unshuffle(picture, 2))
        quarter: torch.Tensor = self.down(half)
        eighth: torch.Tensor = self.bottom(quarter)
        eighth = self.middle(F.relu(eighth + like(self.tokens(tokens), eighth)))
        quarter = self.at_quarter(quarter + like(self.to_quarter(eighth), quarter))
        half = self.at_half(half + like(self.to_half(quarter), half))
        return F.pixel_shuffle(self.out(half), 2)


def like(values: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(B, C, any grid) → (B, C, h, w) of `other`, bilinear."""
    return F.interpolate(values, other.shape[2:], mode="bilinear", align_corners=False)


def channels_last(net: Net) -> Net:
    """The layout in which a CPU convolves fastest."""
    out: Net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return out


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
