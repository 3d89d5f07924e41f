"""What looks like the ground outside a box is ground inside it too, whatever proposals say."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import BoolMask
from labeler_backend.prompts.answer import answer
from labeler_backend.prompts.boxes import CLIP, standing_out
from labeler_backend.prompts.scene import Scene, prepare_scene
from labeler_backend.prompts.types import Box, Prompt
from tests.prompts.made import GRID, LEFT, POOL, RIGHT, SIZE, painted, proposal
from tests.proposals.made import features_of, tokens_of

POST = np.zeros(SIZE, bool)
"""From top to bottom in front of the left disc."""
POST[:, 70:98] = True
SEEN = LEFT & ~POST
WITH_POST = LEFT.copy()
"""What a proposal makes of it: the disc with all of the post from its top to its bottom."""
WITH_POST[44:124] |= POST[44:124]
DRAWN = Box(40, 44, 120, 124)


def shares(mask: BoolMask) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(mask.astype(np.float32), GRID[::-1], interpolation=cv2.INTER_AREA))


def behind_the_post(*others: BoolMask) -> Scene:
    """The left disc, and whatever else there is of its kind."""
    labels: npt.NDArray[np.int_] = (shares(np.any([SEEN, *others], axis=0)) > 0.5).astype(int)
    labels[shares(POST) > 0.5] = 2
    image = painted(SEEN, *others)
    image[POST] = (40, 60, 150)
    return prepare_scene(image, features_of(tokens_of(labels)), (proposal(WITH_POST, 0.6), *POOL[1:3]))


def boxed(scene: Scene, box: Box) -> BoolMask:
    """On the working grid."""
    (height, width), (h, w) = scene.size, scene.work
    inside = np.zeros((h, w), bool)
    x0, x1 = (int(x * w / width) for x in (box.x0, box.x1))
    y0, y1 = (int(y * h / height) for y in (box.y0, box.y1))
    inside[y0:y1, x0:x1] = True
    return inside


def test_the_object_stands_out_and_what_comes_in_from_outside_does_not() -> None:
    scene = behind_the_post()
    standing = standing_out(scene, boxed(scene, DRAWN))
    assert standing.shape == scene.work
    assert np.abs(standing).max() <= CLIP
    size = scene.work[::-1]
    core = cv2.resize(cv2.erode(SEEN.view(np.uint8), np.ones((15, 15), np.uint8)), size) > 0
    post = cv2.resize((POST & WITH_POST).view(np.uint8), size) > 0
    assert np.median(standing[core]) > 0.5 * CLIP
    assert np.median(standing[post]) < 0


def test_among_things_of_a_kind_the_ground_is_not_heard() -> None:
    """All of the disc looks like another outside: what emerged counts."""
    mask = answer(behind_the_post(RIGHT), Prompt(boxes=(DRAWN,))).found[0].mask
    assert (mask & SEEN).sum() > 0.9 * SEEN.sum()


def test_a_post_that_a_proposal_takes_in_is_left_out() -> None:
    mask = answer(behind_the_post(), Prompt(boxes=(DRAWN,))).found[0].mask
    assert iou(WITH_POST, SEEN) < 0.65
    assert iou(mask, SEEN) > 0.8
    assert mask[POST & WITH_POST].mean() < 0.25


@pytest.mark.parametrize(
    "box",
    [
        pytest.param(Box(0, 0, SIZE[1], SIZE[0]), id="all-of-the-picture"),
        pytest.param(Box(0, 0, SIZE[1], SIZE[0] - 15), id="but-a-row-of-patches"),
        pytest.param(Box(78, 82, 82, 86), id="less-than-a-patch"),
        pytest.param(Box(72, 72, 74, 74), id="a-pixel-of-the-working-grid"),
    ],
)
def test_odd_boxes(box: Box) -> None:
    scene = behind_the_post()
    standing = standing_out(scene, boxed(scene, box))
    assert np.isfinite(standing).all()
    assert answer(scene, Prompt(boxes=(box,))).found[0].mask.any()


def test_with_nothing_outside_nothing_is_known() -> None:
    scene = behind_the_post()
    assert not standing_out(scene, np.ones(scene.work, bool)).any()
