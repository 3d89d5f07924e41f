"""Masks over pictures, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal

RGBImage = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]
Color = tuple[int, int, int]
Box = tuple[float, float, float, float]

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
_FILL = 0.42
_HALO = 0.4


@dataclass(frozen=True, slots=True)
class _Layer:
    """One mask ready to be drawn, at the picture's scale.

    Attributes:
        coverage: (H, W) float32, how much of each pixel the mask covers.
        color: of fill, line and tag.
        text: what the tag says.
    """

    coverage: FloatArray
    color: Color
    text: str


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
    picture = thumbnail(image, max_side)
    size = picture.shape[0], picture.shape[1]
    ranked = list(enumerate(sorted(proposals, key=lambda p: -p.score)))
    layers = [
        _Layer(_coverage(p.mask, size), color_of(n), _tag_text(n, p))
        for n, p in sorted(ranked, key=lambda item: -item[1].area)
    ]
    width = max(1.0, max(size) / 700)
    filled = _fill(picture, layers)
    for layer in layers:
        _draw_outline(filled, layer, width)
    return _draw_tags(filled, layers)


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


def _coverage(mask: BoolMask, size: tuple[int, int]) -> FloatArray:
    """(H, W) bool → (h, w) float32 share of each pixel covered, the staircase smoothed away."""
    soft = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(soft, (0, 0), 0.9)
    # A thin structure fades when blurred: what it had stays at least half seen.
    kept: FloatArray = np.maximum(smooth, 0.51 * (soft > 0.5)).astype(np.float32)
    return kept


def _fill(picture: RGBImage, layers: Sequence[_Layer]) -> RGBImage:
    """Tint what is covered, each pixel once, with the topmost colour: nested masks do not turn to mud."""
    tint = np.zeros(picture.shape, np.float32)
    covered = np.zeros(picture.shape[:2], np.float32)
    for layer in layers:
        a = layer.coverage[..., None]
        tint = tint * (1 - a) + np.array(layer.color, np.float32) * a
        covered = np.maximum(covered, layer.coverage)
    weight = _FILL * covered[..., None]
    # `tint` fades to black at soft edges; dividing by what is covered gives the plain colour back.
    color = tint / np.maximum(covered[..., None], 1e-3)
    blend = picture * (1 - weight) + color * weight
    tinted: RGBImage = np.clip(np.rint(blend), 0, 255).astype(np.uint8)
    return tinted


def _draw_outline(picture: RGBImage, layer: _Layer, width: float) -> None:
    """A thin line in the mask's colour over a wider, half transparent dark one, in place."""
    rings, _ = cv2.findContours(
        (layer.coverage > 0.5).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    smooth = [_smooth_ring(ring[:, 0].astype(np.int32)) for ring in rings]
    halo = picture.copy()
    cv2.polylines(halo, smooth, True, (20, 20, 20), round(width) + 2, cv2.LINE_AA, shift=4)
    cv2.addWeighted(halo, _HALO, picture, 1 - _HALO, 0, dst=picture)
    cv2.polylines(picture, smooth, True, layer.color, round(width), cv2.LINE_AA, shift=4)


def _smooth_ring(ring: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """(N, 2) pixel ring → the same ring averaged along itself, in sixteenths of a pixel."""
    if len(ring) < 8:
        return ring * 16
    weights = ((-2, 1), (-1, 4), (0, 6), (1, 4), (2, 1))  # they add up to 16
    turned = [np.roll(ring, shift, axis=0) * weight for shift, weight in weights]
    smooth: npt.NDArray[np.int32] = np.sum(turned, axis=0, dtype=np.int32)
    return smooth


def _draw_tags(picture: RGBImage, layers: Sequence[_Layer]) -> RGBImage:
    """One pill per mask, text black or white by its brightness, none over another where that can be."""
    h, w = picture.shape[:2]
    font = ImageFont.load_default(max(11, round(max(h, w) / 75)))
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas, "RGBA")
    taken: list[Box] = []
    for layer in reversed(layers):  # small masks first: they have less choice
        left, top, right, bottom = pen.textbbox((0, 0), layer.text, font=font)
        pad = max(3, round((bottom - top) * 0.45))
        pill = right - left + 2.4 * pad, bottom - top + 2 * pad
        x, y = _tag_place(layer.coverage, pill, taken)
        taken.append((x, y, x + pill[0], y + pill[1]))
        pen.rounded_rectangle(taken[-1], pad, fill=(*layer.color, 235), outline=(20, 20, 20, 150))
        ink = (20, 20, 20) if np.dot(layer.color, (0.299, 0.587, 0.114)) > 120 else (255, 255, 255)
        pen.text((x + 1.2 * pad - left, y + pad - top), layer.text, font=font, fill=ink)
    return np.asarray(canvas)


def _tag_place(coverage: FloatArray, pill: tuple[float, float], taken: Sequence[Box]) -> tuple[float, float]:
    """Top left of the pill: above the mask's top, else where the mask is thickest, else near by."""
    h, w = coverage.shape
    inside = (coverage > 0.5).astype(np.uint8)
    x, y, bw, bh = cv2.boundingRect(inside)
    pw, ph = pill
    top_x = float(np.flatnonzero(inside[y]).mean()) - pw / 2 if inside.any() else 0.0
    _, _, _, (deep_x, deep_y) = cv2.minMaxLoc(cv2.distanceTransform(inside, cv2.DIST_L2, 3))
    options = [(top_x, y - ph - 3), (deep_x - pw / 2, deep_y - ph / 2), (top_x, y + 3), (top_x, y + bh + 3)]
    options += [(top_x, y + k * ph * 1.1) for k in range(1, 8)] + [(x + bw, y), (x - pw, y)]
    places = [
        (min(max(px, 2.0), max(w - pw - 2, 2.0)), min(max(py, 2.0), max(h - ph - 2, 2.0)))
        for px, py in options
    ]
    return min(places, key=lambda p: _overlap((p[0], p[1], p[0] + pw, p[1] + ph), taken))


def _overlap(box: Box, taken: Sequence[Box]) -> float:
    """Pixels that a box shares with those there already."""
    return sum(
        max(0.0, min(box[2], t[2]) - max(box[0], t[0])) * max(0.0, min(box[3], t[3]) - max(box[1], t[1]))
        for t in taken
    )
