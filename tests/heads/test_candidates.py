"""Readings of maps: what is offered to the quality model."""

import cv2
import numpy as np
import pytest

from labeler_backend.heads.candidates import EMERGENT, TRIMMED, WHOLE, gather
from labeler_backend.heads.pixels import PixelMaps
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou
from labeler_backend.proposals.types import Proposal
from tests.heads.made_samples import SIZE, disc


def maps_of(figure: np.ndarray) -> PixelMaps:
    soft = cv2.GaussianBlur(figure.astype(np.float32), (0, 0), 0.7) * 0.98 + 0.01
    return PixelMaps(np.stack([1 - soft, soft]).astype(np.float32), soft)


def masks_of(regions) -> list[np.ndarray]:
    found = []
    for region in regions:
        mask = np.zeros(SIZE, bool)
        mask[region.window.place] = region.window.mask
        found.append(mask)
    return found


@pytest.mark.parametrize(
    "discs",
    [
        pytest.param([disc(30, 30, 12), disc(80, 90, 15)], id="apart"),
        pytest.param([disc(50, 40, 16), disc(50, 68, 16)], id="touching"),
        pytest.param([disc(40, 40, 14), disc(40, 64, 13), disc(60, 52, 13)], id="three in a heap"),
        pytest.param([disc(2, 2, 14), disc(110, 138, 12)], id="cut by the border"),
    ],
)
def test_every_disc_is_among_the_readings(discs) -> None:
    found = masks_of(gather(maps_of(np.any(discs, axis=0)), []))
    assert all(max(iou(mask, one) for mask in found) > 0.7 for one in discs)


def test_touching_discs_are_offered_as_one_too() -> None:
    both = disc(50, 40, 16) | disc(50, 68, 16)
    whole = [region for region in gather(maps_of(both), []) if region.source == WHOLE]
    assert max(iou(mask, both) for mask in masks_of(whole)) > 0.9


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(lambda left, right, far: right, id="one of two classes that touch"),
        pytest.param(lambda left, right, far: left, id="a connected part of the other"),
        pytest.param(lambda left, right, far: left | far, id="all of that class"),
    ],
)
def test_what_is_of_one_class_is_offered(wanted) -> None:
    left, right, far = disc(50, 40, 16), disc(50, 60, 16) & ~disc(50, 40, 16), disc(100, 110, 8)
    figure = maps_of(left | right | far).depth
    classes = np.stack([1 - figure, figure * (left | far), figure * right])
    found = masks_of(gather(PixelMaps(classes, figure), []))
    assert max(iou(mask, wanted(left, right, far)) for mask in found) > 0.9


def test_proposals_are_kept_with_their_own_masks() -> None:
    mine = Proposal(rle.encode(disc(50, 50, 20)), 0.5, "spectral")
    speck = Proposal(rle.encode(disc(50, 50, 0)), 0.5, "spectral")
    (region,) = gather(maps_of(np.zeros(SIZE, bool)), [mine, speck])
    assert (region.source, region.proposal) == (EMERGENT, mine)


@pytest.mark.parametrize(
    ("proposed", "left"),
    [
        pytest.param(disc(60, 60, 30), [disc(60, 60, 20)], id="with its shadow"),
        pytest.param(disc(60, 60, 20), [disc(60, 60, 20)], id="as it should be"),
        pytest.param(disc(60, 130, 8), [], id="where there is no figure"),
    ],
)
def test_of_a_proposal_the_figure_is_offered(proposed, left) -> None:
    maps = maps_of(disc(60, 60, 20))
    regions = gather(maps, [Proposal(rle.encode(proposed), 0.9, "cut")])
    trimmed = [region for region in regions if region.source == TRIMMED]
    assert [region.proposal.score for region in trimmed] == [0.9] * len(left)
    assert all(iou(mask, one) > 0.9 for mask, one in zip(masks_of(trimmed), left, strict=True))


def test_nothing_anywhere() -> None:
    assert gather(maps_of(np.zeros(SIZE, bool)), []) == []
