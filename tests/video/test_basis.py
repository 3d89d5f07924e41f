"""One video's tokens in a basis of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.media import RGB
from labeler_backend.video.basis import KEY_LENGTH, Tokens, find_basis, in_basis, projected
from tests.video.moving import GRID, SIZE, encode, scene


def tokens_of(image: RGB, features: Features) -> Tokens:
    basis = find_basis([(image, features)])
    return in_basis(basis, projected(basis, image, features), features.grid)


def split(left: float, right: float) -> FloatArray:
    """(gh, gw, 1) of two halves."""
    return np.where(np.arange(GRID[1]) < GRID[1] // 2, left, right)[None, :, None].repeat(GRID[0], axis=0)


def plain(*, middle: bool) -> Features:
    """A last block that says the same of all patches, and perhaps middle ones that tell two halves apart."""
    rng = np.random.default_rng(0)
    found = replace(encode(scene([])[0]), tokens=rng.normal(3, 0.1, (*GRID, 8)).astype(np.float32))
    if not middle:
        return found
    halves = np.concatenate([split(1, 0), split(0, 1)], axis=2).repeat(4, axis=2)
    noisy = halves + rng.normal(0, 0.05, halves.shape)
    return replace(found, middle=np.concatenate([noisy, noisy], axis=2).astype(np.float16))


@pytest.mark.parametrize(
    ("coloured", "middle"),
    [
        pytest.param(True, False, id="by their colours"),
        pytest.param(False, True, id="by what the middle blocks say"),
    ],
)
def test_what_the_last_block_takes_for_the_same_is_told_apart(coloured: bool, middle: bool) -> None:
    image = np.full((*SIZE, 3), 128, np.uint8)
    if coloured:
        image[:, : SIZE[1] * (GRID[1] // 2) // GRID[1]] = (200, 30, 30)
    keys = tokens_of(image, plain(middle=middle)).keys
    left = split(1, 0).ravel() > 0
    alike = keys @ keys.T
    assert alike[np.ix_(left, left)].mean() > alike[np.ix_(left, ~left)].mean() + 0.3
    none = tokens_of(np.full((*SIZE, 3), 128, np.uint8), plain(middle=False)).keys
    alike = none @ none.T
    assert alike[np.ix_(left, left)].mean() == pytest.approx(alike[np.ix_(left, ~left)].mean(), abs=0.01)


@pytest.mark.parametrize("middle", [False, True])
def test_what_was_stored_in_half_precision_is_as_good(middle: bool) -> None:
    image, features = scene([(60, 60)])[0], plain(middle=middle)
    basis = find_basis([(image, features)])
    joint = projected(basis, image, features)
    whole = in_basis(basis, joint, GRID)
    stored = in_basis(basis, joint.astype(np.float16), GRID)
    assert whole.keys.shape[1] <= KEY_LENGTH
    np.testing.assert_allclose(np.linalg.norm(whole.keys, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(stored.keys, whole.keys, atol=0.01)
    assert (whole.evidence[:, -1] == 1).all()
