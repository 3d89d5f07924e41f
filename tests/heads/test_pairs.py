"""Means and overlaps of many windows against plain numpy."""

import numpy as np
import pytest

from labeler_backend.heads import pairs
from labeler_backend.heads.windows import Window

SIZE = (48, 64)


def whole(window: Window) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[window.place] = window.mask
    return mask


def random_windows(seed: int) -> list[Window]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(12):
        height, width = rng.integers(3, 30, 2)
        y, x = rng.integers(0, SIZE[0] - height), rng.integers(0, SIZE[1] - width)
        found.append(Window((int(y), int(x)), rng.random((height, width)) < 0.8))
    return found


def test_small_windows_are_exact() -> None:
    windows = random_windows(0)
    stack = pairs.stack(windows, SIZE)
    masks = [whole(window) for window in windows]
    maps = np.random.default_rng(1).random((3, *SIZE)).astype(np.float32)
    assert stack.areas.tolist() == [mask.sum() for mask in masks]
    np.testing.assert_allclose(stack.shared(stack), [[(a & b).sum() for b in masks] for a in masks])
    np.testing.assert_allclose(stack.means(maps), [maps[:, mask].mean(axis=1) for mask in masks], rtol=1e-4)


def test_large_windows_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "LARGE", 150)
    windows = [
        Window((3, 5), np.ones((30, 41), bool)),
        Window((10, 11), np.ones((20, 22), bool)),
        Window((12, 13), np.ones((5, 6), bool)),
        Window((40, 60), np.ones((4, 4), bool)),
    ]
    stack = pairs.stack(windows, SIZE)
    assert stack.large.tolist() == [True, True, False, False]
    exact = np.array([[(whole(a) & whole(b)).sum() for b in windows] for a in windows])
    assert np.abs(stack.shared(stack) - exact).max() <= 0.05 * exact.max()
    np.testing.assert_array_equal(np.diag(stack.shared(stack)), stack.areas)
    slope = np.linspace(0, 1, SIZE[1], dtype=np.float32)[None, None].repeat(SIZE[0], axis=1)
    means = [[slope[0][whole(window)].mean()] for window in windows]
    np.testing.assert_allclose(stack.means(slope), means, atol=0.03)


def test_no_windows() -> None:
    stack = pairs.stack([], SIZE)
    assert stack.shared(stack).shape == (0, 0)
    assert stack.means(np.zeros((2, *SIZE), np.float32)).shape == (0, 2)
