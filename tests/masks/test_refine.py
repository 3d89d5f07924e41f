"""From a patch-sized map to a pixel mask: exact on drawn discs, whole at every size, free of specks."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.refine import (
    SIDE_LIMIT,
    colour_bins,
    colour_evidence,
    prepare,
    refine,
    to_mask,
    without_specks,
)

PATCH = 14
BoolMask = npt.NDArray[np.bool_]


def disc(size: tuple[int, int], y: float, x: float, radius: float) -> BoolMask:
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    return np.asarray(np.hypot(rows - y, columns - x) <= radius)


def painted(mask: BoolMask, noise: float = 0) -> npt.NDArray[np.uint8]:
    """Two colours, and camera noise."""
    colours = np.where(mask[..., None], (180, 70, 60), (60, 120, 90))
    noisy = colours + np.random.default_rng(0).normal(0, noise, colours.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def covered(mask: BoolMask, grid: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(gh, gw): the share of each patch that is covered."""
    return np.asarray(cv2.resize(mask.astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA))


def refined(image: npt.NDArray[np.uint8], soft: npt.NDArray[np.float32]) -> BoolMask:
    canvas = prepare(image, soft.shape)
    return to_mask(canvas, *refine(canvas, soft))


@pytest.mark.parametrize("hard", [False, True], ids=["soft-map", "hard-map"])
@pytest.mark.parametrize("noise", [0, 8], ids=["clean", "noisy"])
@pytest.mark.parametrize(
    ("y", "x", "radius"),
    [
        pytest.param(120, 150, 80, id="large"),
        pytest.param(130, 140, 45, id="middling"),
        pytest.param(60, 250, 24, id="small"),
        pytest.param(0, 0, 90, id="in-the-corner"),
        pytest.param(252, 336, 70, id="in-the-last-corner"),
    ],
)
def test_a_disc(y: float, x: float, radius: float, noise: float, hard: bool) -> None:
    size, grid = (18 * PATCH, 24 * PATCH), (18, 24)
    truth = disc(size, y, x, radius)
    soft = covered(truth, grid)
    soft = (soft > 0.5).astype(np.float32) if hard else soft
    blocks = np.kron(soft > 0.5, np.ones((PATCH, PATCH), bool))
    assert iou(blocks, truth) < 0.95  # what there is to gain
    assert iou(refined(painted(truth, noise), soft), truth) >= 0.95


def test_colours_correct_a_map_half_a_patch_off() -> None:
    size, grid = (18 * PATCH, 24 * PATCH), (18, 24)
    truth, seen = disc(size, 125, 150, 24), disc(size, 125, 150 + PATCH // 2, 24)
    assert iou(refined(painted(truth, 8), covered(seen, grid)), truth) > 0.97  # 0.89 by edges alone


def test_where_two_objects_are_alike_only_the_meant_one_is_taken() -> None:
    size, grid = (18 * PATCH, 24 * PATCH), (18, 24)
    one, other = disc(size, 100, 80, 50), disc(size, 140, 250, 50)
    assert iou(refined(painted(one | other), covered(one, grid)), one) >= 0.95


@pytest.mark.parametrize(
    "size",
    [
        pytest.param((SIDE_LIMIT + 1, 500), id="just-over"),
        pytest.param((1100, 2 * SIDE_LIMIT + 7), id="twice"),
        pytest.param((SIDE_LIMIT, SIDE_LIMIT // 2), id="at-the-limit"),
        pytest.param((301, 447), id="no-multiple-of-the-patch"),
    ],
)
def test_masks_have_the_size_of_the_image(size: tuple[int, int]) -> None:
    grid = (max(1, round(37 * size[0] / max(size))), max(1, round(37 * size[1] / max(size))))
    truth = disc(size, 0.5 * size[0], 0.6 * size[1], 0.3 * min(size))
    mask = refined(painted(truth), covered(truth, grid))
    assert mask.shape == size
    assert mask.dtype == bool
    assert iou(mask, truth) >= 0.95


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        pytest.param((8, 8), (37, 37), id="8x8"),
        pytest.param((8, 8), (74, 74), id="8x8-looked-at-large"),
        pytest.param((16, 16), (150, 150), id="16x16-looked-at-larger"),
        pytest.param((8, 12), (49, 74), id="8x12"),
        pytest.param((1, 1), (37, 37), id="one-pixel"),
    ],
)
def test_pictures_smaller_than_their_grid(size: tuple[int, int], grid: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    for row in (0, grid[0] // 2, grid[0] - 2, grid[0] - 1):
        soft = np.zeros(grid, np.float32)
        soft[row, row * grid[1] // grid[0]] = 1
        assert refined(image, soft).shape == size


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 0.0), (1.0, 1.0)], ids=["nothing-in-the-map", "all-of-it"]
)
def test_even_maps(value: float, expected: float) -> None:
    image = painted(disc((252, 336), 120, 150, 80))
    assert refined(image, np.full((18, 24), value, np.float32)).mean() == expected


def test_evidence_is_for_the_objects_colours() -> None:
    truth = disc((100, 120), 50, 60, 30)
    colours = colour_bins(painted(truth, 4))
    soft = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 6)
    evidence = colour_evidence(colours, soft)
    assert evidence[truth].min() > 0 > evidence[~truth].max()
    assert evidence[truth].mean() > 1.5
    assert evidence[~truth].mean() < -1.5
    assert np.abs(evidence).max() <= 2
    assert np.abs(colour_evidence(colours, soft, clip=1.0)).max() <= 1


def test_evidence_of_one_colour_is_nothing() -> None:
    colours = colour_bins(np.full((50, 60, 3), 99, np.uint8))
    soft = np.random.default_rng(0).random((50, 60), np.float32)
    np.testing.assert_allclose(colour_evidence(colours, soft), 0, atol=1e-3)


def test_evidence_where_rounding_leaves_more_than_all() -> None:
    """Votes that add up to a little over 1 leave less than nothing of the ground."""
    colours = colour_bins(painted(disc((40, 40), 20, 20, 9), 4))
    soft = np.full(colours.shape, np.nextafter(np.float32(1), np.float32(2)))
    assert np.isfinite(colour_evidence(colours, soft)).all()


def picture(*boxes: tuple[int, int, int, int, bool]) -> BoolMask:
    """(100, 100) with boxes y, x, height, width set or cleared, in this order."""
    mask = np.zeros((100, 100), bool)
    for y, x, height, width, value in boxes:
        mask[y : y + height, x : x + width] = value
    return mask


OBJECT = (10, 10, 60, 60, True)  # 3600: at keep = 0.05 parts of 180 stay and holes of 18 are filled


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(picture(), picture(), id="empty"),
        pytest.param(~picture(), ~picture(), id="full"),
        pytest.param(picture(OBJECT), picture(OBJECT), id="one-part"),
        pytest.param(picture(OBJECT, (80, 80, 5, 5, True)), picture(OBJECT), id="speck"),
        pytest.param(picture(OBJECT, (80, 80, 1, 1, True)), picture(OBJECT), id="pixel"),
        pytest.param(
            picture(OBJECT, (75, 75, 20, 20, True)), picture(OBJECT, (75, 75, 20, 20, True)), id="second-part"
        ),
        pytest.param(picture(OBJECT, (30, 30, 2, 2, False)), picture(OBJECT), id="pinhole"),
        pytest.param(picture(OBJECT, (30, 30, 1, 1, False)), picture(OBJECT), id="hole-of-a-pixel"),
        pytest.param(
            picture(OBJECT, (30, 30, 10, 10, False)), picture(OBJECT, (30, 30, 10, 10, False)), id="real-hole"
        ),
        pytest.param(
            picture(OBJECT, (30, 30, 10, 10, False), (34, 34, 2, 2, True)),
            picture(OBJECT, (30, 30, 10, 10, False)),
            id="speck-in-a-hole",
        ),
        pytest.param(
            picture(OBJECT, (30, 30, 3, 3, False), (31, 31, 1, 1, True)),
            picture(OBJECT),
            id="speck-in-a-pinhole",
        ),
        pytest.param(
            picture(OBJECT, (10, 30, 2, 2, False)), picture(OBJECT, (10, 30, 2, 2, False)), id="notch"
        ),
        pytest.param(
            picture((0, 0, 60, 60, True), (0, 30, 2, 2, False)),
            picture((0, 0, 60, 60, True), (0, 30, 2, 2, False)),
            id="notch-at-the-border",
        ),
        pytest.param(picture((5, 5, 1, 1, True)), picture((5, 5, 1, 1, True)), id="a-pixel-is-all-there-is"),
    ],
)
def test_without_specks(given: BoolMask, expected: BoolMask) -> None:
    before = given.copy()
    np.testing.assert_array_equal(without_specks(given, 0.05), expected)
    np.testing.assert_array_equal(given, before)
