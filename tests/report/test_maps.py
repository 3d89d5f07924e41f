"""Maps as pictures: what is high is bright, what is alike looks alike, and flat maps do no harm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from labeler_backend.report import maps
from labeler_backend.report.drawing import RGBImage
from tests.report.fakes import GRID, color_features, picture

IMAGE = picture()
SIZE = (IMAGE.shape[1], IMAGE.shape[0])
LEFT = np.zeros(GRID, np.float32)
LEFT[:, :15] = 1.0


def sides(drawn: RGBImage) -> tuple[np.ndarray, np.ndarray]:
    """Mean colour of the left and of the right third."""
    third = drawn.shape[1] // 3
    return drawn[:, :third].mean(axis=(0, 1)), drawn[:, -third:].mean(axis=(0, 1))


def test_upsampling_keeps_patches_where_they_are_and_borders_soft() -> None:
    large = maps.upsample(LEFT, SIZE)
    assert large.shape == IMAGE.shape[:2]
    np.testing.assert_allclose(large[:, :250], 1, atol=0.01)
    np.testing.assert_allclose(large[:, 350:], 0, atol=0.01)
    assert large[:, 299:301].mean() == pytest.approx(0.5, abs=0.01)
    assert len(np.unique(large[200, 290:310].round(3))) > 10, "no steps as large as a patch"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param(np.arange(101.0)[:, None], (-0.0102, 1.0102), id="percentiles come to 0 and 1"),
        pytest.param(np.full((5, 5), 7.0), (0.0, 0.0), id="flat is 0"),
    ],
)
def test_stretched(values: np.ndarray, expected: tuple[float, float]) -> None:
    found = maps.stretched(values.astype(np.float32))
    assert (found.min(), found.max()) == pytest.approx(expected, abs=1e-3)


def test_heat_is_bright_where_the_map_is_high() -> None:
    high, low = sides(maps.heat(LEFT, IMAGE))
    assert high.mean() > low.mean() + 50


def test_two_sided_is_red_above_zero_and_blue_below() -> None:
    above, below = sides(maps.two_sided(LEFT - 0.5, IMAGE))
    assert above[0] > above[2] + 50
    assert below[2] > below[0] + 50


def test_lit_shows_the_picture_above_zero_only() -> None:
    drawn = maps.lit(LEFT - 0.5, IMAGE)
    np.testing.assert_array_equal(drawn[:, :250], IMAGE[:, :250])
    assert drawn[:, 350:].mean() < 0.2 * IMAGE[:, 350:].mean()


@pytest.mark.parametrize("draw", [maps.heat, maps.two_sided, maps.lit])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_flat_map_is_drawn(draw: Callable[..., RGBImage], value: float) -> None:
    drawn = draw(np.full(GRID, value, np.float32), IMAGE)
    assert drawn.shape == IMAGE.shape
    assert drawn.dtype == np.uint8


def test_components_do_not_depend_on_rotation_scale_or_sign_of_the_tokens() -> None:
    tokens = color_features(IMAGE).tokens
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    other = (-2 * tokens @ turn + 5).astype(np.float32)
    same_sign = (2 * tokens @ turn + 5).astype(np.float32)
    np.testing.assert_allclose(maps.pca_rgb(tokens), maps.pca_rgb(same_sign), atol=1e-3)
    np.testing.assert_allclose(maps.pca_rgb(tokens), maps.pca_rgb(other), atol=1e-3)


def test_components_of_a_part_are_of_that_part_alone() -> None:
    tokens = color_features(IMAGE).tokens.copy()
    where = LEFT > 0
    before = maps.pca_rgb(tokens, where)
    tokens[~where] = 100.0
    np.testing.assert_array_equal(maps.pca_rgb(tokens, where), before)
    assert not before[~where].any()
    drawn = maps.pca_picture(tokens, SIZE, where)
    assert drawn[:, :280].mean() > 50
    assert drawn[:, 330:].max() == 0


@pytest.mark.parametrize(
    ("tokens", "where"),
    [
        pytest.param(np.ones((1, 3, 8), np.float32), None, id="three patches"),
        pytest.param(np.ones((4, 4, 8), np.float32), np.zeros((4, 4), bool), id="nothing chosen"),
    ],
)
def test_too_few_patches_have_no_components(tokens: np.ndarray, where: np.ndarray | None) -> None:
    assert not maps.pca_picture(tokens, (40, 40), where).any()


def test_segments_are_one_colour_each() -> None:
    labels = np.zeros(GRID, np.int32)
    labels[:, 10:20], labels[:, 20:] = 1, 2
    flat = np.full_like(IMAGE, 128)
    drawn = maps.paint_segments(labels, flat)
    colors = {tuple(drawn[200, column]) for column in range(0, 600, 5)}
    assert len(colors) == 3
    assert tuple(drawn[200, 100]) != tuple(drawn[200, 300]) != tuple(drawn[200, 500])


def test_short_tokens_keep_their_similarities() -> None:
    tokens = color_features(IMAGE).tokens
    compact = maps.compact_tokens(tokens, dimensions=4).astype(float)
    assert compact.shape == (600, 4)

    def cosines(rows: np.ndarray) -> np.ndarray:
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        return unit @ unit.T

    np.testing.assert_allclose(cosines(compact), cosines(tokens.reshape(600, 8).astype(float)), atol=0.05)


def test_side_by_side() -> None:
    row = maps.side_by_side([IMAGE, IMAGE[:, :200]], height=100, gap=8)
    assert row.shape == (100, 150 + 8 + 50, 3)
    assert row[:, 150:158].min() == 255
