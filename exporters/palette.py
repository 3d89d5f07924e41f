"""Colours of classes: the same for an id in every export."""

from __future__ import annotations

from functools import cache
from math import dist

Colour = tuple[int, int, int]

_APART = 30  # in RGB; of two colours

# Told apart by most eyes: S. Trubetskoy, "20 Simple, Distinct Colors", without black and white.
_FIRST: tuple[Colour, ...] = (
    (230, 25, 75), (60, 180, 75), (0, 130, 200), (255, 225, 25), (245, 130, 48),
    (145, 30, 180), (70, 240, 240), (240, 50, 230), (210, 245, 60), (0, 128, 128),
    (250, 190, 212), (170, 110, 40), (220, 190, 255), (128, 0, 0), (170, 255, 195),
    (128, 128, 0), (0, 0, 128), (255, 215, 180), (128, 128, 128), (255, 250, 200),
)  # fmt: skip


def colour(number: int) -> Colour:
    """Red, green, blue of an id: 0 is black, then 20 well apart, then PASCAL VOC's but for lookalikes.

    Up to 255 no two are alike.
    """
    return _table()[number] if number < 256 else pascal(number)


def pascal(number: int) -> Colour:
    """The colour of an id in PASCAL VOC's palette: its bits, dealt in turn to red, green and blue."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    red, green, blue = channels
    return red, green, blue


def as_hex(value: Colour) -> str:
    """`#rrggbb`."""
    return "#" + bytes(value).hex()


@cache
def _table() -> list[Colour]:
    found: list[Colour] = [(0, 0, 0), *_FIRST]
    number = 0
    while len(found) < 256:
        number += 1
        candidate = pascal(number)
        if all(dist(candidate, other) >= _APART for other in found):
            found.append(candidate)
    return found
