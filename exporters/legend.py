"""A picture that says which colour is which class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from exporters.palette import colour

_ROW = 26  # pixels
_SWATCH = 36
_GAP = 8
_TEXT = 16
_ROWS = 40  # in a column
_FONTS = ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")
_LONGEST = 48  # characters


def legend_picture(categories: Mapping[str, int]) -> npt.NDArray[np.uint8]:
    """Name → id as swatches with ids and names beside them, (H, W, 3) uint8."""
    font = _font()
    rows = [(0, "background"), *((number, name) for name, number in categories.items())]
    texts = [f"{number}  {_shown(name)}" for number, name in rows]
    width = _SWATCH + 3 * _GAP + max(int(font.getlength(text)) for text in texts)
    columns = -(-len(rows) // _ROWS)
    picture = Image.new("RGB", (columns * width + _GAP, min(len(rows), _ROWS) * _ROW + 2 * _GAP), "white")
    pen = ImageDraw.Draw(picture)
    for n, ((number, _), text) in enumerate(zip(rows, texts, strict=True)):
        x, y = n // _ROWS * width + _GAP, n % _ROWS * _ROW + _GAP
        pen.rectangle((x, y + 2, x + _SWATCH, y + _ROW - 3), fill=colour(number), outline="black")
        x, y = x + _SWATCH + _GAP, y + _ROW // 2
        for part in (text[: (end := len(f"{number}  "))], text[end:]):  # a name may be written leftwards
            pen.text((x, y), part, fill="black", font=font, anchor="lm")
            x += int(font.getlength(part))
    return np.asarray(picture)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One of this machine's that has letters of many languages, else Pillow's, which has few but ASCII."""
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, _TEXT)
        except OSError:
            continue
    return ImageFont.load_default(_TEXT)


def _shown(name: str) -> str:
    line = " ".join(name.split()).encode("utf-8", "replace").decode()
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
