"""Masks, configs and hypothesis strategies of these tests."""

from __future__ import annotations

import json
import math
from typing import Any

import cv2
import numpy as np
from hypothesis import strategies as st

from labeler_backend.masks.rle import BoolMask
from labeler_backend.studio.config import LabelingConfig, read_config

SIZE = (90, 140)  # H, W: not square, so that mixed-up axes show


def config_of(
    *controls: str, image: str = '<Image name="image" value="$image"/>', **extra: Any
) -> LabelingConfig:
    """A labelling config with these control tags."""
    return read_config(f"<View>{image}{''.join(controls)}</View>", extra or None)


def control(tag: str, name: str = "tag", labels: str = "car", attributes: str = "", to: str = "image") -> str:
    """A control tag with labels named by a comma-separated text."""
    children = "".join(f'<Label value="{label}"/>' for label in labels.split(",") if label)
    return f'<{tag} name="{name}" toName="{to}" {attributes}>{children}</{tag}>'


def ellipse(
    size: tuple[int, int] = SIZE,
    centre: tuple[float, float] = (60, 45),
    radii: tuple[float, float] = (40, 25),
    degrees: float = 20.0,
) -> BoolMask:
    """A filled ellipse by its equation; centre and radii x, y in pixels."""
    y, x = np.mgrid[0.5 : size[0], 0.5 : size[1]]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    u = (x - centre[0]) * cos + (y - centre[1]) * sin
    v = (y - centre[1]) * cos - (x - centre[0]) * sin
    mask: BoolMask = (u / radii[0]) ** 2 + (v / radii[1]) ** 2 <= 1
    return mask


def ring(size: tuple[int, int] = SIZE) -> BoolMask:
    """An ellipse with a hole."""
    return ellipse(size) & ~ellipse(size, radii=(18, 10))


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    """(H, W) up to 120 pixels."""
    return draw(st.integers(1, 120)), draw(st.integers(1, 120))


@st.composite
def noise(draw: st.DrawFn) -> BoolMask:
    """Any mask at all, with at least one pixel."""
    h, w = draw(sizes())
    seed = draw(st.integers(0, 2**32 - 1))
    density = draw(st.floats(0.01, 0.99))
    mask: BoolMask = np.random.default_rng(seed).random((h, w)) < density
    mask[draw(st.integers(0, h - 1)), draw(st.integers(0, w - 1))] = True
    return mask


@st.composite
def blobs(draw: st.DrawFn) -> BoolMask:
    """One smooth blob somewhere in a picture, cut off by its frame or not."""
    h, w = draw(st.integers(60, 160)), draw(st.integers(60, 160))
    x, y = draw(st.floats(0.2, 0.8)) * w, draw(st.floats(0.2, 0.8)) * h
    radii = draw(st.floats(12, 40)), draw(st.floats(12, 40))
    waves, depth = draw(st.integers(2, 5)), draw(st.floats(0, 0.25))
    turn = np.linspace(0, 2 * math.pi, 200, endpoint=False)
    far = 1 + depth * np.sin(waves * turn)
    points = np.column_stack([x + radii[0] * far * np.cos(turn), y + radii[1] * far * np.sin(turn)])
    canvas = np.zeros((h, w), np.uint8)
    cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], 1)
    filled: BoolMask = canvas.astype(bool)
    return filled


def through_json(value: Any) -> Any:
    """As it arrives after a trip through Label Studio."""
    return json.loads(json.dumps(value))
