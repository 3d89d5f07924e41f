"""The guided filter: it keeps what is flat, moves borders onto colour edges, and a window changes nothing."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data

from labeler_backend.masks.guided import FloatImage, apply, coefficients, make_guide, with_ones

RADIUS = 4


def filtered(image: npt.NDArray[np.uint8], soft: FloatImage) -> FloatImage:
    guide = make_guide(with_ones(image), RADIUS)
    return apply(coefficients(guide, soft, (slice(0, len(soft)), slice(0, soft.shape[1]))), guide.image)


@pytest.fixture(scope="module")
def photo() -> npt.NDArray[np.uint8]:
    """(100, 150, 3)."""
    return cv2.resize(np.asarray(skimage.data.chelsea()), (150, 100), interpolation=cv2.INTER_AREA)


def test_with_ones(photo: npt.NDArray[np.uint8]) -> None:
    image = with_ones(photo)
    np.testing.assert_allclose(image[..., :3], photo / 255, atol=1e-6)
    assert (image[..., 3] == 1).all()
    assert image.dtype == np.float32


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_constant_map_stays_constant(photo: npt.NDArray[np.uint8], value: float) -> None:
    soft = np.full(photo.shape[:2], value, np.float32)
    np.testing.assert_allclose(filtered(photo, soft), value, atol=2e-3)


def test_on_a_flat_picture_it_is_a_blur() -> None:
    soft = np.zeros((40, 50), np.float32)
    soft[:, 25:] = 1
    side = (2 * RADIUS + 1, 2 * RADIUS + 1)
    once = cv2.boxFilter(soft, -1, side, borderType=cv2.BORDER_REFLECT)
    twice = cv2.boxFilter(once, -1, side, borderType=cv2.BORDER_REFLECT)
    flat = np.full((40, 50, 3), 90, np.uint8)
    np.testing.assert_allclose(filtered(flat, soft), twice, atol=1e-2)


@pytest.mark.parametrize("shift", [-1, 0, 1])
@pytest.mark.parametrize("other", [(200, 60, 60), (90, 90, 90)], ids=["colours", "faint-grey"])
def test_the_border_moves_onto_the_colour_edge(shift: int, other: tuple[int, int, int]) -> None:
    image = np.full((40, 60, 3), 60, np.uint8)
    image[:, 30:] = other
    soft = np.clip((np.arange(60) - 30 - shift) / 8 + 0.5, 0, 1).astype(np.float32)
    out = filtered(image, np.tile(soft, (40, 1)))
    assert (out[:, 30:] > 0.5).all()
    assert (out[:, :30] < 0.5).all()
    assert out[20, 30] - out[20, 29] > 0.4  # it was 1/8


@pytest.mark.parametrize(("levels", "followed"), [(1, False), (20, True)], ids=["noise", "edge"])
def test_edges_as_faint_as_noise_are_ignored(levels: int, followed: bool) -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    image[:, 30:] += np.uint8(levels)
    soft = np.tile(np.clip((np.arange(60) - 30) / 8 + 0.5, 0, 1).astype(np.float32), (40, 1))
    step = np.diff(filtered(image, soft)[20])[29]
    assert (step > 0.5) == followed
    assert (step < 0.2) != followed


def test_a_window_gives_the_same_well_inside(photo: npt.NDArray[np.uint8]) -> None:
    soft = cv2.resize(np.random.default_rng(0).random((7, 10), np.float32), (150, 100))
    guide = make_guide(with_ones(photo), RADIUS)
    whole = coefficients(guide, soft, (slice(0, 100), slice(0, 150)))
    window = (slice(20, 80), slice(30, 130))
    part = coefficients(guide, soft[window], window)
    inside = slice(2 * RADIUS, -2 * RADIUS)  # two box filters deep, the window's border shows
    np.testing.assert_allclose(part[inside, inside], whole[window][inside, inside], atol=1e-3)


def test_the_model_is_applied_at_any_size(photo: npt.NDArray[np.uint8]) -> None:
    small = cv2.resize(photo, (75, 50), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(np.random.default_rng(0).random((5, 7), np.float32), (75, 50))
    model = coefficients(make_guide(with_ones(small), RADIUS), soft, (slice(0, 50), slice(0, 75)))
    out = apply(model, with_ones(photo))
    assert out.shape == (100, 150)
    assert ((out >= 0) & (out <= 1)).all()
    back = cv2.resize(out, (75, 50), interpolation=cv2.INTER_AREA)
    assert np.abs(back - apply(model, with_ones(small))).mean() < 0.02


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (6, 6)], ids=str)
def test_pictures_smaller_than_the_window(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    out = filtered(image, np.random.default_rng(1).random(size, np.float32))
    assert out.shape == size
    assert ((out >= 0) & (out <= 1)).all()
