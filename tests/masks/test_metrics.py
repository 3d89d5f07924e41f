import math

import numpy as np
import pytest
from scipy import ndimage
from skimage import data

from labeler_backend.masks.metrics import average_recall, boundary_f, iou, iou_matrix, recall_at
from labeler_backend.masks.rle import encode


def square(left: int, top: int = 20, side: int = 30, shape: tuple[int, int] = (100, 120)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + side, left : left + side] = True
    return mask


NOTHING = np.zeros((100, 120), bool)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(square(10), square(10), 1.0, id="equal"),
        pytest.param(square(10), square(25), 1 / 3, id="half shifted"),
        pytest.param(square(10), square(60), 0.0, id="apart"),
        pytest.param(NOTHING, square(10), 0.0, id="one empty"),
        pytest.param(NOTHING, NOTHING, 1.0, id="both empty"),
    ],
)
def test_iou(a: np.ndarray, b: np.ndarray, expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected)


def test_iou_matrix_is_iou_of_pairs() -> None:
    a = [square(10), square(30)]
    b = [square(10), square(25), square(80)]
    pairs = iou_matrix([encode(m) for m in a], [encode(m) for m in b])
    np.testing.assert_allclose(pairs, [[iou(x, y) for y in b] for x in a])
    assert iou_matrix([], [encode(b[0])]).shape == (0, 1)
    assert iou_matrix([encode(a[0])], []).shape == (1, 0)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param(square(10), square(10), 1.0, id="equal"),
        pytest.param(square(10), square(12), 1.0, id="within the bound of 2 pixels"),
        pytest.param(square(10), square(80), 0.0, id="apart"),
        pytest.param(NOTHING, square(10), 0.0, id="nothing predicted"),
        pytest.param(square(10), NOTHING, 0.0, id="nothing there"),
        pytest.param(NOTHING, NOTHING, 1.0, id="both empty"),
    ],
)
def test_boundary_f(a: np.ndarray, b: np.ndarray, expected: float) -> None:
    assert boundary_f(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("shift", [1, 4, 9])
def test_boundary_f_by_distances(shift: int) -> None:
    """The same measure the long way round: how far every boundary pixel is from the other boundary."""
    truth = ndimage.gaussian_filter(data.coins(), 2) > 120
    predicted = np.roll(truth, shift, axis=1)

    def boundary(mask: np.ndarray) -> np.ndarray:
        edge = np.zeros_like(mask)
        edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
        edge[:-1] |= mask[:-1] != mask[1:]
        edge[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
        return edge

    a, b = boundary(predicted), boundary(truth)
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    precision = (ndimage.distance_transform_edt(~b)[a] <= radius).mean()
    recall = (ndimage.distance_transform_edt(~a)[b] <= radius).mean()
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f(predicted, truth) == pytest.approx(expected)


def test_average_recall() -> None:
    best = [1.0, 0.72, 0.4]
    assert recall_at(best, 0.5) == pytest.approx(2 / 3)
    assert average_recall(best) == pytest.approx((5 * 2 / 3 + 5 * 1 / 3) / 10)
    assert math.isnan(average_recall([]))
