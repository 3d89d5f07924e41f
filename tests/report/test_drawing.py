import numpy as np
import pytest
from skimage import data

from labeler_backend.masks.rle import encode
from labeler_backend.proposals.types import Proposal
from labeler_backend.report.drawing import Mark, color_of, marked, overlay, thumbnail


def proposal(shape: tuple[int, int], rows: slice, columns: slice, score: float) -> Proposal:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return Proposal(encode(mask), score, "test", "coffee")


def towards(before: np.ndarray, after: np.ndarray, color: tuple[int, int, int]) -> bool:
    """Whether a pixel moved closer to a colour."""
    distance = [np.abs(p.astype(float) - color).sum() for p in (before, after)]
    return bool(distance[1] < distance[0] - 20)


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        pytest.param((600, 400), 300, (300, 200), id="shrunk"),
        pytest.param((60, 40), 300, (60, 40), id="never enlarged"),
        pytest.param((3000, 2), 300, (300, 1), id="a thread keeps a pixel"),
    ],
)
def test_thumbnail_size(size: tuple[int, int], max_side: int, expected: tuple[int, int]) -> None:
    assert thumbnail(np.zeros((*size, 3), np.uint8), max_side).shape == (*expected, 3)


def test_overlay_tints_masks_and_leaves_the_rest() -> None:
    image = data.coffee()
    shape = image.shape[:2]
    large = proposal(shape, slice(100, 350), slice(100, 400), 0.9)
    small = proposal(shape, slice(250, 320), slice(250, 350), 0.4)
    drawn = overlay(image, [small, large])
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn[380:], image[380:])
    assert towards(image[150, 130], drawn[150, 130], color_of(0))
    assert towards(image[310, 260], drawn[310, 260], color_of(1)), "the smaller mask lies on top"


def test_overlay_is_deterministic_and_keeps_its_input() -> None:
    image = data.coffee()
    before = image.copy()
    shown = [proposal(image.shape[:2], slice(10 * k, 10 * k + 90), slice(5 * k, 200), 0.5) for k in range(9)]
    np.testing.assert_array_equal(overlay(image, shown, 256), overlay(image, shown, 256))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (40, 40)])
def test_overlay_bears_tiny_pictures(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    assert overlay(image, [proposal(size, slice(None), slice(None), 1.0)]).shape == image.shape
    np.testing.assert_array_equal(overlay(image, []), image)


def test_colors_are_distinct_and_repeat_late() -> None:
    colors = [color_of(k) for k in range(21)]
    assert len(set(colors)) == 21
    assert color_of(21) == color_of(0)


def test_a_caption_is_in_the_lower_left_corner() -> None:
    image = data.coffee()
    drawn = marked(image, [], "frame 12")
    changed = np.argwhere((drawn != image).any(axis=2))
    assert changed.min(axis=0)[0] > image.shape[0] * 0.9
    assert changed.max(axis=0)[1] < image.shape[1] * 0.3
    np.testing.assert_array_equal(marked(image, []), image)


def test_marks_have_their_own_colours_and_the_later_is_on_top() -> None:
    image = data.coffee()
    below, above = np.zeros(image.shape[:2], bool), np.zeros(image.shape[:2], bool)
    below[100:300, 100:400] = above[200:280, 200:300] = True
    drawn = marked(image, [Mark(below, (255, 0, 0), "1"), Mark(above, (0, 0, 255), "2")])
    assert towards(image[150, 150], drawn[150, 150], (255, 0, 0))
    assert towards(image[250, 250], drawn[250, 250], (0, 0, 255))
