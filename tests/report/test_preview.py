"""Outlines for the report: what the path encloses is the mask."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest
from skimage import data as samples

from labeler_backend.masks import rle
from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.types import Proposal
from labeler_backend.report.preview import outline, preview

HORSE = ~samples.horse()  # 328×400, a silhouette with holes between the legs


def filled(path: str, size: tuple[int, int], zoom: int = 4) -> BoolMask:
    """The SVG path rasterised even-odd at `size` (w, h)."""
    rings = [
        np.round(np.array([[float(v) for v in p.split()] for p in ring.split("L")]) * zoom - 0.5).astype(
            np.int32
        )
        for ring in re.findall(r"M([^Z]*)Z", path)
    ]
    canvas = np.zeros((size[1] * zoom, size[0] * zoom), np.uint8)
    cv2.fillPoly(canvas, rings, 1)
    return cv2.resize(canvas * 255, size, interpolation=cv2.INTER_AREA) >= 128


def ring() -> BoolMask:
    y, x = np.mgrid[:120, :200]
    r = np.hypot(y - 60, x - 100)
    return np.asarray((r < 50) & (r > 25))


@pytest.mark.parametrize(
    ("mask", "size"),
    [
        pytest.param(HORSE, (400, 328), id="full-size"),
        pytest.param(HORSE, (200, 164), id="half-size"),
        pytest.param(ring(), (200, 120), id="a-hole-stays-a-hole"),
        pytest.param(np.ones((50, 70), bool), (70, 50), id="everything"),
    ],
)
def test_outline_encloses_the_mask(mask: BoolMask, size: tuple[int, int]) -> None:
    wanted = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128
    got = filled(outline(mask, size), size)
    assert (wanted & got).sum() / (wanted | got).sum() > 0.97


def test_what_is_small_is_still_drawn_and_what_is_empty_is_not() -> None:
    speck = np.zeros((1000, 1000), bool)
    speck[500, 500] = True
    assert outline(speck, (100, 100)).startswith("M")
    assert outline(np.zeros((10, 10), bool), (10, 10)) == ""


def test_preview() -> None:
    image = samples.astronaut()
    mask = np.zeros(image.shape[:2], bool)
    mask[:256] = True
    shown = preview(image, [Proposal(rle.encode(mask), 0.75, "spectral", "person")], max_side=128)
    assert (shown["width"], shown["height"], shown["w"], shown["h"]) == (512, 512, 128, 128)
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(shown["jpeg"]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (128, 128, 3)
    (shape,) = shown["shapes"]
    assert (shape["score"], shape["share"], shape["source"], shape["label"]) == (
        0.75,
        0.5,
        "spectral",
        "person",
    )
