"""Masks over pictures, for people to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal

RGBImage = npt.NDArray[np.uint8]
MaskArray = npt.NDArray[np.uint8]
Color = tuple[int, int, int]
T = TypeVar("T", bound=np.generic)
Box = tuple[float, float, float, float]
_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

# Okabe & Ito 2008, "Color Universal Design", without black and its darkest blue; distinct under all common
# kinds of colour blindness, neighbours in the list as far apart as they get.
_PALETTE: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (38, 120, 200),
)
_CAPTION: Color = (40, 40, 40)
_FILL = 0.42
_HALO = 0.4


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn of one object.

    Attributes:
        mask: (H, W) bool, of the picture's shape before it was made smaller.
        color: of fill, line and tag.
        text: what the tag says.
    """

    mask: BoolMask
    color: Color
    text: str


@dataclass(frozen=True, slots=True)
class _Layer:
    """One mask ready to be drawn, at the picture's scale.

    Attributes:
        inside: (h, w) uint8, 0/1: the mask within its own box and a margin.
        x, y: where the left upper corner of `inside` lies in the picture.
        color: of fill, line and tag.
        text: what the tag says.
    """

    inside: MaskArray
    x: int
    y: int
    color: Color
    text: str

    def of(self, picture: npt.NDArray[T]) -> npt.NDArray[T]:
        """The part of a picture under `inside`, as a view."""
        h, w = self.inside.shape
        return picture[self.y : self.y + h, self.x : self.x + w]


def color_of(index: int) -> Color:
    """RGB for the index-th object, always the same; past the palette's end lighter, then darker."""
    base = np.array(_PALETTE[index % len(_PALETTE)], float)
    turn = index // len(_PALETTE) % 3
    mixed = base + (255 - base) * 0.45 if turn == 1 else base * 0.62 if turn == 2 else base
    r, g, b = (round(float(c)) for c in mixed)
    return r, g, b


def overlay(image: RGBImage, proposals: Sequence[Proposal], max_side: int = 1280) -> RGBImage:
    """The picture with its masks: fill, outline, and a tag with number, label where there is one, and score.

    Numbers are ranks by falling score, from 1, as in `annotations.json`; large masks lie below small ones.

    Args:
        image: (H, W, 3) uint8 RGB.
        proposals: masks of the image's size.
        max_side: the result's longer side is at most this many pixels; smaller pictures stay as they are.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    ranked = list(enumerate(sorted(proposals, key=lambda p: -p.score)))
    marks = [
        Mark(proposal.mask, color_of(n), _tag_text(n, proposal))
        for n, proposal in sorted(ranked, key=lambda item: -item[1].area)
    ]
    return marked(thumbnail(image, max_side), marks)


def marked(picture: RGBImage, marks: Sequence[Mark], caption: str = "") -> RGBImage:
    """(h, w, 3) uint8 RGB with fill, outline and tag of each object, the first at the bottom.

    Args:
        picture: drawn on a copy of it.
        marks: their masks may be larger than the picture.
        caption: for the picture as a whole, in its lower left corner.
    """
    width = max(1, round(max(picture.shape) / 700))
    shape = picture.shape[0], picture.shape[1]
    layers = [_layer(mark, shape, margin=width + 4) for mark in marks]
    drawn = _fill(picture, layers)
    for layer in layers:
        _draw_outline(layer.of(drawn), layer, width)
    return _draw_tags(drawn, layers, caption)


def thumbnail(image: RGBImage, max_side: int) -> RGBImage:
    """(H, W, 3) uint8 → the same picture with its longer side at most `max_side` pixels; never enlarged."""
    h, w = image.shape[:2]
    scale = min(1.0, max_side / max(h, w))
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small: RGBImage = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small if scale < 1 else image.copy()


def _tag_text(rank: int, proposal: Proposal) -> str:
    parts = [str(rank + 1), proposal.label or "", f"{proposal.score:.2f}"]
    return "  ".join(p for p in parts if p)


def _layer(mark: Mark, shape: tuple[int, int], margin: int) -> _Layer:
    """A mask cut out and brought to the picture's (h, w), the staircase of its border smoothed away."""
    # Decoded masks lie in memory column by column, as COCO has them: turned, they need no copy.
    cover = 255 * np.ascontiguousarray(mark.mask.T).view(np.uint8)
    if cover.shape != (shape[1], shape[0]):
        cover = np.asarray(cv2.resize(cover, shape, interpolation=cv2.INTER_AREA), np.uint8)
    top, left, height, width = cv2.boundingRect(cover)
    x, y = max(left - margin, 0), max(top - margin, 0)
    cut = np.ascontiguousarray(cover[x : left + width + margin, y : top + height + margin].T)
    # A thin structure fades when blurred: what covers half a pixel stays.
    inside = (cv2.GaussianBlur(cut, (0, 0), 0.9) > 127) | (cut > 127)
    return _Layer(inside.view(np.uint8), x, y, mark.color, mark.text)


def _fill(picture: RGBImage, layers: Sequence[_Layer]) -> RGBImage:
    """Tint what is covered, each pixel once, with the topmost colour: nested masks do not turn to mud."""
    top = np.zeros(picture.shape[:2], np.uint16)  # 0 = nothing, k = the k-th layer
    for k, layer in enumerate(layers, 1):
        under = layer.of(top)
        np.maximum(under, layer.inside * np.uint16(k), out=under)
    colors = np.array([(0, 0, 0), *(layer.color for layer in layers)], np.uint8)
    tinted = cv2.addWeighted(np.take(colors, top, axis=0), _FILL, picture, 1 - _FILL, 0)
    return np.asarray(cv2.copyTo(tinted, (top > 0).view(np.uint8), picture.copy()), np.uint8)


def _draw_outline(part: RGBImage, layer: _Layer, width: int) -> None:
    """A thin line in the mask's colour over a wider, half transparent dark one, in place."""
    rings, _ = cv2.findContours(layer.inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    smooth = [_smooth_ring(ring[:, 0].astype(np.int32)) for ring in rings]
    halo = part.copy()
    # not anti-aliased: that costs most of an overlay and does not show in a half transparent line
    cv2.polylines(halo, smooth, True, (20, 20, 20), width + 2, cv2.LINE_8, shift=4)
    cv2.addWeighted(halo, _HALO, part, 1 - _HALO, 0, dst=part)
    cv2.polylines(part, smooth, True, layer.color, width, cv2.LINE_AA, shift=4)


def _smooth_ring(ring: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """(N, 2) pixel ring → every third point of the ring averaged along itself, in 16ths of a pixel."""
    if len(ring) < 8:
        return ring * 16
    r = np.concatenate((ring[-2:], ring, ring[:2]))
    smooth: npt.NDArray[np.int32] = r[:-4] + 4 * r[1:-3] + 6 * r[2:-2] + 4 * r[3:-1] + r[4:]
    return np.ascontiguousarray(smooth[::3])


def _draw_tags(picture: RGBImage, layers: Sequence[_Layer], caption: str) -> RGBImage:
    """One pill per mask, text black or white by its brightness, none over another where that can be."""
    h, w = picture.shape[:2]
    font = ImageFont.load_default(max(11, round(max(h, w) / 75)))
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas, "RGBA")
    taken: list[Box] = []
    if caption:
        size = _pill_size(pen, caption, font)
        taken.append((4, h - size[1] - 4, 4 + size[0], h - 4.0))
        _draw_pill(pen, taken[-1], caption, font, _CAPTION)
    for layer in reversed(layers):  # small masks first: they have less choice
        size = _pill_size(pen, layer.text, font)
        x, y = _tag_place(layer, (w, h), size, taken)
        taken.append((x, y, x + size[0], y + size[1]))
        _draw_pill(pen, taken[-1], layer.text, font, layer.color)
    return np.asarray(canvas)


def _pill_size(pen: ImageDraw.ImageDraw, text: str, font: _Font) -> tuple[float, float]:
    """Width and height of a tag."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = _pad(bottom - top)
    return right - left + 2.4 * pad, bottom - top + 2 * pad


def _pad(text_height: float) -> int:
    return max(3, round(text_height * 0.45))


def _draw_pill(pen: ImageDraw.ImageDraw, box: Box, text: str, font: _Font, color: Color) -> None:
    left, top, _, bottom = pen.textbbox((0, 0), text, font=font)
    pad = _pad(bottom - top)
    pen.rounded_rectangle(box, pad, fill=(*color, 235), outline=(20, 20, 20, 150))
    ink = (20, 20, 20) if np.dot(color, (0.299, 0.587, 0.114)) > 120 else (255, 255, 255)
    pen.text((box[0] + 1.2 * pad - left, box[1] + pad - top), text, font=font, fill=ink)


def _tag_place(
    layer: _Layer, size: tuple[int, int], pill: tuple[float, float], taken: Sequence[Box]
) -> tuple[float, float]:
    """Top left of the pill: the first place where it covers no other, else where it covers the least."""
    (w, h), (pw, ph) = size, pill
    best, least = (0.0, 0.0), float("inf")
    for px, py in _places(layer, pill):
        x, y = min(max(px, 2.0), max(w - pw - 2, 2.0)), min(max(py, 2.0), max(h - ph - 2, 2.0))
        overlap = _overlap((x, y, x + pw, y + ph), taken)
        if overlap < least:
            best, least = (x, y), overlap
        if overlap == 0:
            break
    return best


def _places(layer: _Layer, pill: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Above the mask's top, where the mask is thickest, below its top, under it, beside it."""
    pw, ph = pill
    x, y, bw, bh = cv2.boundingRect(layer.inside)
    top_x = float(np.flatnonzero(layer.inside[y]).mean()) + layer.x - pw / 2 if bw else 0.0
    left, top = x + layer.x, y + layer.y
    yield top_x, top - ph - 3
    _, _, _, (deep_x, deep_y) = cv2.minMaxLoc(cv2.distanceTransform(layer.inside, cv2.DIST_L2, 3))
    yield deep_x + layer.x - pw / 2, deep_y + layer.y - ph / 2
    yield top_x, top + 3
    yield top_x, top + bh + 3
    yield from ((top_x, top + k * ph * 1.1) for k in range(1, 8))
    yield left + bw, top
    yield left - pw, top


def _overlap(box: Box, taken: Sequence[Box]) -> float:
    """Pixels that a box shares with those there already."""
    return sum(
        max(0.0, min(box[2], t[2]) - max(box[0], t[0])) * max(0.0, min(box[3], t[3]) - max(box[1], t[1]))
        for t in taken
    )
