"""The object under the click and not its neighbour; marks are satisfied, and nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.answer import answer
from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import Box, Point, Prompt, Scribble
from tests.prompts.made import CORE, LEFT, RIGHT, SIZE, disc, scene


@pytest.fixture(scope="module")
def made() -> Scene:
    return scene()


@pytest.fixture(scope="module")
def bare() -> Scene:
    """Where nothing emerged."""
    return scene(pool=())


def stroke() -> BoolMask:
    mask = np.zeros(SIZE, bool)
    mask[84, 65:95] = True
    return mask


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param(Prompt((Point(80, 84),)), id="click"),
        pytest.param(Prompt((Point(92, 90),)), id="click-off-the-middle"),
        pytest.param(Prompt(boxes=(Box(40, 44, 120, 124),)), id="box"),
        pytest.param(Prompt((Point(80, 84),), (Box(40, 44, 120, 124),)), id="box-and-click"),
        pytest.param(Prompt(scribbles=(Scribble(stroke()),)), id="scribble"),
        pytest.param(Prompt((Point(200, 30, False), Point(80, 84))), id="a-negative-click-first"),
    ],
)
def test_one_disc_and_not_both(made: Scene, prompt: Prompt) -> None:
    found = answer(made, prompt).found[0]
    assert iou(found.mask, LEFT) > 0.9
    assert 0 < found.score <= 1


def test_a_second_click_adds_the_other_disc_and_a_third_takes_it_away(made: Scene) -> None:
    first = answer(made, Prompt((Point(80, 84),))).found[0].mask
    both = answer(made, Prompt((Point(200, 84),), previous=first)).found[0].mask
    assert iou(both, LEFT | RIGHT) > 0.9
    one = answer(made, Prompt((Point(200, 84, False),), previous=both)).found[0].mask
    assert iou(one, LEFT) > 0.9


def test_nested_answers(made: Scene) -> None:
    found = answer(made, Prompt((Point(80, 84),))).found
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    areas = sorted(int(one.mask.sum()) for one in found)
    assert len(found) == 3
    assert 0.5 * CORE.sum() < areas[0] < 0.5 * LEFT.sum() < areas[1] < 1.5 * LEFT.sum() < areas[2]
    assert all(one.mask[84, 80] for one in found)


@pytest.mark.parametrize("pool", ["made", "bare"])
def test_every_click_is_satisfied_however_absurd(pool: str, request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(0)
    points = tuple(
        Point(float(x), float(y), bool(k % 3))
        for k, (x, y) in enumerate(rng.uniform((0, 0), (SIZE[1], SIZE[0]), (12, 2)), start=1)
    )
    mask = answer(request.getfixturevalue(pool), Prompt(points)).found[0].mask
    assert [bool(mask[int(p.y), int(p.x)]) for p in points] == [p.positive for p in points]


def test_click_by_click_is_the_same_as_at_once(made: Scene) -> None:
    points = (Point(80, 84), Point(200, 84), Point(200, 60, False), Point(20, 20))
    mask: BoolMask | None = None
    for count in range(1, len(points) + 1):
        mask = answer(made, Prompt(points[:count], previous=mask)).found[0].mask
    assert mask is not None
    assert mask.tobytes() == answer(made, Prompt(points)).found[0].mask.tobytes()


def test_a_satisfied_click_changes_nothing(made: Scene) -> None:
    previous = disc(100, 60, 30)
    points = Point(100, 60), Point(250, 150, False)
    assert (answer(made, Prompt(points, previous=previous)).found[0].mask == previous).all()


def test_what_changes_hangs_together_with_the_click(made: Scene) -> None:
    previous = LEFT.copy()
    previous[84:, :] &= RIGHT[84:, :]  # the lower half of the left one is missing
    mask = answer(made, Prompt((Point(200, 84),), previous=previous)).found[0].mask
    assert (mask == previous)[:, :140].all()


@pytest.mark.parametrize(
    "prompt",
    [
        pytest.param(Prompt(), id="nothing"),
        pytest.param(Prompt((Point(5, 5, False),)), id="only-negative"),
        pytest.param(Prompt(boxes=(Box(5, 5, 5, 5),)), id="empty-box"),
    ],
)
def test_nothing_to_go_by_is_said(made: Scene, prompt: Prompt) -> None:
    found = answer(made, prompt)
    assert found.found == ()
    assert "give a positive point" in found.notes[-1]


def test_an_unusable_part_costs_the_rest_nothing(made: Scene) -> None:
    prompt = Prompt((Point(80, 84),), (Box(9, 9, 9, 9),), (Scribble(np.ones((2, 2), bool)),))
    found = answer(made, prompt)
    assert iou(found.found[0].mask, LEFT) > 0.9
    assert len(found.notes) == 2


def test_without_proposals_a_click_still_gives_what_is_around_it(bare: Scene) -> None:
    mask = answer(bare, Prompt((Point(80, 84),))).found[0].mask
    assert mask[84, 80]
    assert (mask & ~LEFT).sum() < 0.2 * mask.sum()
