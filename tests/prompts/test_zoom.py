"""Which part of a picture is looked at enlarged, and that its answer comes back to its place."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.masks.guided import Window
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.answer import answer
from labeler_backend.prompts.scene import Scene, prepare_scene
from labeler_backend.prompts.types import Point, Prompt
from labeler_backend.prompts.zoom import SMALLEST, zoom_window
from tests.prompts.made import GRID, LEFT, RIGHT, SIZE, painted, scene
from tests.proposals.made import features_of, tokens_of


def box(y: int, x: int, height: int, width: int, size: tuple[int, int] = (600, 800)) -> BoolMask:
    mask = np.zeros(size, bool)
    mask[y : y + height, x : x + width] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "side"),
    [
        pytest.param(box(300, 400, 20, 20), SMALLEST, id="tiny"),
        pytest.param(box(0, 0, 20, 20), SMALLEST, id="in-the-corner"),
        pytest.param(box(590, 790, 10, 10), SMALLEST, id="in-the-last-corner"),
        pytest.param(box(200, 300, 100, 60), int(SMALLEST * 1.4), id="small"),
        pytest.param(box(100, 100, 400, 400), None, id="too-large"),
        pytest.param(box(0, 0, 0, 0), None, id="nothing"),
        pytest.param(box(5, 5, 10, 10, size=(100, 120)), None, id="a-small-picture"),
    ],
)
def test_windows(mask: BoolMask, side: int | None) -> None:
    window = zoom_window(mask)
    if side is None:
        assert window is None
    else:
        assert window is not None
        assert mask[window].shape == (side, side)
        assert mask[window].sum() == mask.sum()


def test_a_few_pixels_more_are_the_same_window() -> None:
    windows = {str(zoom_window(box(300, 400, 40 + k, 40))) for k in range(6)}
    assert len(windows) == 1


def test_a_part_is_answered_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same picture, twice as large, is the left upper quarter of an otherwise empty one."""
    large = np.zeros((2 * SIZE[0], 2 * SIZE[1], 3), np.uint8)
    large[: SIZE[0], : SIZE[1]] = painted(LEFT, RIGHT)
    grid = (2 * GRID[0], 2 * GRID[1])
    whole = prepare_scene(large, features_of(tokens_of(np.zeros(grid, int))), ())
    window = (slice(0, SIZE[0]), slice(0, SIZE[1]))
    monkeypatch.setattr("labeler_backend.prompts.answer.zoom_window", lambda mask: window)
    asked = []

    def enlarged(where: Window) -> Scene:
        asked.append(where)
        return scene()

    prompt = Prompt((Point(80, 84), Point(400, 300, False)))
    found = answer(whole, prompt, enlarged)
    assert found.window == window
    assert asked
    assert not found.found[0].mask[SIZE[0] :].any()
    assert iou(found.found[0].mask[window], LEFT) > 0.9
    assert answer(whole, prompt).window is None
