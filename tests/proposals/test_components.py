"""Objects smaller than a patch: drawn discs are found, counted and parted; in nothing, nothing stands out."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from labeler_backend.backbone.features import FloatArray, unit_tokens
from labeler_backend.labeler import Labeler
from labeler_backend.masks.metrics import iou
from labeler_backend.media import RGB, decode
from labeler_backend.proposals.components import Component, find_components, objects_are_small
from labeler_backend.proposals.scoring import Evidence
from tests.conftest import EXAMPLES
from tests.proposals.made import PATCH

SIZE = (20 * PATCH, 24 * PATCH)
GROUND, DISC = (60, 90, 60), (200, 180, 120)
CLEAR = 0.5
"""Drawn discs score above it; what the pixels' noise leaves, below."""

Disc = tuple[int, int, int]
BoolMask = npt.NDArray[np.bool_]


def disc_mask(disc: Disc, size: tuple[int, int]) -> BoolMask:
    y, x, radius = disc
    return np.asarray(cv2.circle(np.zeros(size, np.uint8), (x, y), radius, 1, -1) > 0)


def drawn(discs: list[Disc], size: tuple[int, int] = SIZE) -> tuple[RGB, FloatArray]:
    """A noisy picture of discs, and tokens that hold as much of the discs' kind as their patch shows."""
    rng = np.random.default_rng(0)
    mask = np.any([disc_mask(d, size) for d in discs], axis=0)
    colours = np.where(mask[..., None], DISC, GROUND) + rng.normal(0, 4, (*size, 3))
    grid = (size[0] // PATCH, size[1] // PATCH)
    share = mask.reshape(grid[0], PATCH, grid[1], PATCH).mean(axis=(1, 3))[..., None]
    axes = np.eye(16)
    tokens = (1 - share) * axes[0] + share * axes[1] + rng.normal(0, 0.05, (*grid, 16))
    return np.clip(colours, 0, 255).astype(np.uint8), unit_tokens(tokens.astype(np.float32))


def clear(components: list[Component], work: tuple[int, int]) -> list[BoolMask]:
    """Whole masks of those that stand out, without repetition."""
    kept: list[BoolMask] = []
    for component in sorted(components, key=lambda c: -c.score):
        mask = np.zeros(work, bool)
        mask[component.window] = component.mask
        if component.score > CLEAR and all(iou(mask, other) < 0.5 for other in kept):
            kept.append(mask)
    return kept


@pytest.mark.parametrize(
    "discs",
    [
        pytest.param([(140, 150, 9)], id="one"),
        pytest.param([(40, 40, 9), (100, 200, 12), (200, 80, 10), (220, 300, 8), (60, 280, 11)], id="five"),
        pytest.param([(140, 150, 14), (140, 176, 14)], id="two-that-touch"),
        pytest.param([(140, 150, 20), (140, 188, 20)], id="two-large-that-touch"),
        pytest.param([(140, 150, 14), (140, 172, 14), (60, 60, 12), (60, 82, 12)], id="two-pairs-that-touch"),
        pytest.param([(0, 100, 12), (150, 335, 12)], id="cut-by-the-border"),
    ],
)
def test_discs_are_found_and_counted(discs: list[Disc]) -> None:
    image, unit = drawn(discs)
    components, work = find_components(image, unit)
    assert work == SIZE
    found = clear(components, work)
    assert len(found) == len(discs)
    for disc in discs:
        assert max(iou(mask, disc_mask(disc, SIZE)) for mask in found) > 0.9


def check(components: list[Component], work: tuple[int, int]) -> None:
    for component in components:
        rows, columns = component.window
        assert 0 <= rows.start < rows.stop <= work[0]
        assert 0 <= columns.start < columns.stop <= work[1]
        assert component.mask.shape == (rows.stop - rows.start, columns.stop - columns.start)
        assert component.mask.dtype == bool
        assert component.mask.any(axis=1)[[0, -1]].all()  # the window is tight
        assert component.mask.any(axis=0)[[0, -1]].all()
        assert 0 <= component.score <= 1


def test_a_large_picture_is_looked_at_smaller() -> None:
    size = (60 * PATCH, 100 * PATCH)
    discs = [(300, 400, 40), (600, 1000, 30)]
    components, work = find_components(*drawn(discs, size))
    assert work == (614, 1024)
    check(components, work)
    found = clear(components, work)
    assert len(found) == 2
    for disc in discs:
        small = cv2.resize(disc_mask(disc, size).astype(np.uint8), work[::-1], interpolation=cv2.INTER_AREA)
        assert max(iou(mask, small > 0) for mask in found) > 0.9


@pytest.mark.parametrize("value", [0, 128, 255], ids=["black", "grey", "white"])
def test_a_flat_picture_has_none(value: int) -> None:
    image = np.full((*SIZE, 3), value, np.uint8)
    components, work = find_components(image, unit_tokens(np.ones((20, 24, 8), np.float32)))
    assert (components, work) == ([], SIZE)


def test_in_noise_nothing_stands_out() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    components, work = find_components(image, unit_tokens(rng.normal(size=(20, 24, 16)).astype(np.float32)))
    check(components, work)
    assert max((c.score for c in components), default=0) < CLEAR


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (1, 9), (2, 2)], ids=str)
@pytest.mark.parametrize("size", [(8, 8), (8, 90), (1, 1)], ids=str)
def test_tiny(grid: tuple[int, int], size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    check(*find_components(image, unit_tokens(rng.normal(size=(*grid, 8)).astype(np.float32))))


def evidence_of(size: list[float], contrast: list[float]) -> Evidence:
    zeros = np.zeros(len(size), np.float32)
    return Evidence(np.array(size, np.float32), np.array(contrast, np.float32), zeros, zeros, zeros, zeros)


@pytest.mark.parametrize(
    ("patches_each", "contrast", "best", "small"),
    [
        pytest.param([20, 30, 40], [0.5, 0.5, 0.5], [0, 1, 2], False, id="large-and-distinct"),
        pytest.param([2, 3, 4], [0.5, 0.5, 0.5], [0, 1, 2], True, id="few-patches"),
        pytest.param([20, 30, 40], [0.1, 0.1, 0.1], [0, 1, 2], True, id="faint"),
        pytest.param([2, 30, 40], [0.1, 0.5, 0.5], [0, 1, 2], False, id="most-are-large"),
        pytest.param([2, 3, 40], [0.5, 0.5, 0.5], [0, 1, 2], True, id="most-are-small"),
        pytest.param([2, 3, 40], [0.1, 0.1, 0.5], [2], False, id="only-the-best-are-asked"),
        pytest.param([20, 30, 2], [0.5, 0.5, 0.1], [2], True, id="only-the-best-are-asked-small"),
        pytest.param([20], [0.5], [], True, id="nothing-found"),
    ],
)
def test_objects_are_small(
    patches_each: list[int], contrast: list[float], best: list[int], small: bool
) -> None:
    evidence = evidence_of([p / 900 for p in patches_each], contrast)
    assert objects_are_small(evidence, best, 900) is small


@pytest.mark.weights
@pytest.mark.parametrize("name", ["astronaut", "galaxies"])
def test_components_of_photos(labeler: Labeler, name: str) -> None:
    image = decode(EXAMPLES / f"{name}.jpg")
    unit = unit_tokens(labeler.encode([image])[0].tokens)
    components, work = find_components(image, unit)
    check(components, work)
    assert components
    again, _ = find_components(image, unit)
    assert [(c.window, c.score, c.mask.tobytes()) for c in again] == [
        (c.window, c.score, c.mask.tobytes()) for c in components
    ]
