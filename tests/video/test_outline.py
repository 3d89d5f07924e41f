"""Outlines: what the network learns from one frame, and how windows become labels."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.masks.metrics import iou
from labeler_backend.video.basis import find_basis, in_basis, projected
from labeler_backend.video.crops import CROP, carried, crop
from labeler_backend.video.outline import (
    PIXELS,
    Outline,
    drawn,
    held_back,
    outline,
    steps_for,
    to_labels,
    token_input,
    train,
    working_picture,
)
from labeler_backend.video.propagate import shares_of
from tests.video.moving import GRID, SIZE, encode, scene


def test_it_draws_finer_than_patches() -> None:
    image, labels = scene([(60, 60)])
    features = encode(image)
    basis = find_basis([(image, features)])
    tokens = in_basis(basis, projected(basis, image, features), features.grid)
    net = train(drawn(image, labels, tokens, [1]), 60)
    other, truth = scene([(75, 130)])
    features = encode(other)
    tokens = in_basis(basis, projected(basis, other, features), features.grid)
    share = shares_of(truth, [1], GRID)[..., 1]
    found = outline(net, working_picture(other, GRID), token_input(tokens), share)
    assert found is not None
    fine = to_labels({1: found}, GRID, SIZE) == 1
    blocks = np.kron(share > 0.5, np.ones((14, 14), bool))
    assert iou(fine, truth == 1) > max(0.9, iou(blocks, truth == 1) + 0.05)


@pytest.mark.parametrize(
    ("frames", "given", "expected"),
    [
        pytest.param(2, 1, 60, id="two frames"),
        pytest.param(50, 1, 200, id="two seconds"),
        pytest.param(5000, 1, 300, id="minutes"),
        pytest.param(50, 4, 400, id="two seconds, four masks"),
        pytest.param(500, 9, 900, id="nine masks"),
        pytest.param(500, 100, 900, id="no more than for nine"),
    ],
)
def test_longer_videos_and_more_masks_are_learned_longer(frames: int, given: int, expected: int) -> None:
    assert steps_for(frames, given) == expected


def test_without_any_share_there_is_no_outline() -> None:
    image, _ = scene([(60, 60)])
    tokens = np.zeros((*GRID, 3), np.float32)
    nothing = np.zeros(GRID, np.float32)
    assert outline(None, working_picture(image, GRID), tokens, nothing) is None  # type: ignore[arg-type]


def test_objects_that_a_frame_does_not_show_are_not_learned() -> None:
    image, labels = scene([(60, 60)])
    features = encode(image)
    basis = find_basis([(image, features)])
    tokens = in_basis(basis, projected(basis, image, features), features.grid)
    assert len(drawn(image, labels, tokens, [1, 5])) == 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param((GRID[0] * PIXELS, GRID[1] * PIXELS), 16 * 32, id="as large as the working picture"),
        pytest.param((GRID[0] * PIXELS * 2, GRID[1] * PIXELS * 2), 4 * 16 * 32, id="twice as large"),
        pytest.param((GRID[0] * PIXELS // 2, GRID[1] * PIXELS // 2), 16 * 32 // 4, id="half as large"),
    ],
)
def test_the_surer_outline_has_a_pixel(size: tuple[int, int], expected: int) -> None:
    weak = Outline(np.full((16, 64), 1.0, np.float32), (16, 16))
    strong = Outline(np.full((16, 32), 2.0, np.float32), (16, 48))
    outside = Outline(np.full((16, 16), -1.0, np.float32), (64, 64))
    labels = to_labels({3: weak, 9: strong, 4: outside}, GRID, size)
    assert (labels == 9).sum() == expected
    assert (labels == 3).sum() == expected
    assert not (labels == 4).any()


def test_crops_show_the_same_place_in_all_their_layers() -> None:
    image, labels = scene([(60, 60)])
    features = encode(image)
    basis = find_basis([(image, features)])
    one = drawn(image, labels, in_basis(basis, projected(basis, image, features), features.grid), [1])[0]
    marked = type(one)(np.dstack([one.truth] * 3), one.truth, one.coarse[..., None], one.coarse)
    rng = np.random.default_rng(0)
    for _ in range(20):
        picture, tokens, truth = crop(marked, rng)
        assert picture.shape == (4, CROP, CROP)
        assert tokens.shape == (2, CROP // 8, CROP // 8)
        if truth.std() > 0.1:
            # colour is truth, scaled and shifted by the colour noise; patches are truth, blurred
            assert np.corrcoef(picture[0].ravel(), truth.ravel())[0, 1] > 0.999
            small = truth.reshape(CROP // 8, 8, CROP // 8, 8).mean((1, 3))
            assert np.corrcoef(tokens[0].ravel(), small.ravel())[0, 1] > 0.85


def test_a_carried_map_is_wrong_mostly_at_the_border() -> None:
    truth = np.zeros((20, 30), np.float32)
    truth[5:15, 8:22] = 1
    rng = np.random.default_rng(0)
    errors = np.mean([(carried(truth, rng) > 0.5) != (truth > 0.5) for _ in range(50)], axis=0)
    assert errors[9:11, 13:17].max() < 0.05
    assert errors[:2].max() < 0.05
    assert errors[5, 10:20].mean() > 0.1


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        pytest.param((0, 10), (0, 10), id="it goes with the carried map: the network is free"),
        pytest.param((0, 11), (0, 11), id="a little more"),
        pytest.param((0, 40), (0, 10), id="it takes everything: the carried map stays"),
        pytest.param((20, 30), (0, 10), id="it draws something else"),
        pytest.param((0, 0), (0, 10), id="it draws nothing"),
    ],
)
def test_a_network_that_disagrees_is_held_back(drawn: tuple[int, int], expected: tuple[int, int]) -> None:
    def inside(columns: tuple[int, int]) -> np.ndarray:
        return (np.arange(40) >= columns[0]) & (np.arange(40) < columns[1])

    carried = np.where(inside((0, 10)), 1.5, -1.5)[None].repeat(4, axis=0).astype(np.float32)
    logits = np.where(inside(drawn), 8.0, -8.0)[None].repeat(4, axis=0).astype(np.float32)
    found = held_back(logits, carried)
    assert found.shape == carried.shape
    assert ((found > 0) == inside(expected)).all()


def test_a_network_that_saw_several_masks_is_heard_although_it_disagrees() -> None:
    carried = np.full((4, 40), -0.5, np.float32)
    carried[:, :10] = 0.5
    logits = np.full((4, 40), -4.0, np.float32)
    logits[:, :30] = 4.0
    drawn = [int((held_back(logits, carried, given) > 0)[0].sum()) for given in (1, 4, 100)]
    assert drawn == [10, 30, 30]
