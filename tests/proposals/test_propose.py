"""From features to ranked proposals: real photos through the real model, and pictures in which nothing is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from labeler_backend.labeler import Labeler
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou, iou_matrix
from labeler_backend.media import RGB, decode
from labeler_backend.proposals.propose import ProposalSettings, propose
from labeler_backend.proposals.roles import HeadRoles
from labeler_backend.proposals.types import Proposal
from tests.conftest import EXAMPLES
from tests.proposals.conftest import NAMES, Real
from tests.proposals.made import PATCH, attention_on, features_of, square, tokens_of


def check(found: list[Proposal], size: tuple[int, int], settings: ProposalSettings) -> None:
    scores = [p.score for p in found]
    assert scores == sorted(scores, reverse=True)
    assert all(type(s) is float and max(0.0, settings.min_score) <= s <= 1 for s in scores)
    assert len(found) <= settings.max_proposals
    for proposal in found:
        assert tuple(proposal.rle["size"]) == size
        assert 0 < proposal.area < size[0] * size[1]
        assert proposal.mask.shape == size
        assert proposal.source in {"tree", "spectral", "attention", "figure", "components"}
        json.dumps(proposal.rle)
    pairs = iou_matrix([p.rle for p in found], [p.rle for p in found])
    assert (pairs - 2 * np.eye(len(found)) <= settings.mask_overlap).all()


def bits(found: list[Proposal]) -> list[tuple[str, float, str]]:
    return [(p.rle["counts"], p.score, p.source) for p in found]


@pytest.mark.weights
@pytest.mark.parametrize("name", NAMES)
def test_photos(photos: dict[str, Real], name: str) -> None:
    photo = photos[name]
    assert len(photo.proposals) >= 5
    check(photo.proposals, photo.image.shape[:2], ProposalSettings())


@pytest.mark.weights
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_each_time(photos: dict[str, Real], labeler: Labeler, name: str) -> None:
    photo = photos[name]
    again = propose(photo.image.copy(), photo.features, labeler.roles, ProposalSettings())
    assert bits(again) == bits(photo.proposals)


@pytest.mark.weights
def test_objects_smaller_than_patches_come_from_pixels(labeler: Labeler) -> None:
    image = decode(EXAMPLES / "galaxies.jpg")
    found = labeler.masks(image)
    check(found, image.shape[:2], ProposalSettings())
    assert sum(p.source == "components" for p in found) > len(found) / 2


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "box"),
    [
        pytest.param("cat", (slice(70, 200), slice(130, 300)), id="face-of-the-cat"),
        pytest.param("astronaut", (slice(70, 160), slice(180, 260)), id="face-of-the-astronaut"),
    ],
)
def test_the_first_is_the_figure(photos: dict[str, Real], name: str, box: tuple[slice, slice]) -> None:
    mask = photos[name].proposals[0].mask
    assert mask[box].mean() > 0.95
    assert mask[:, -40:].mean() < 0.1  # what stands at the right border is the background in both


SETTINGS = [
    pytest.param(ProposalSettings(max_proposals=1), id="one"),
    pytest.param(ProposalSettings(max_proposals=3), id="three"),
    pytest.param(ProposalSettings(max_proposals=100), id="hundred"),
    pytest.param(ProposalSettings(min_score=0.4), id="good-ones"),
    pytest.param(ProposalSettings(min_score=1.0), id="none-is-that-good"),
    pytest.param(ProposalSettings(mask_overlap=0.2), id="apart"),
]


@pytest.mark.weights
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", ["astronaut", "coins"])
def test_settings_are_kept(
    photos: dict[str, Real], labeler: Labeler, name: str, settings: ProposalSettings
) -> None:
    photo = photos[name]
    found = propose(photo.image, photo.features, labeler.roles, settings)
    check(found, photo.image.shape[:2], settings)
    assert bool(found) == (settings.min_score < 1)
    if settings.max_proposals == 1:
        assert len(found) == 1


@pytest.mark.weights
def test_fewer_proposals_are_the_first_of_more(photos: dict[str, Real], labeler: Labeler) -> None:
    photo = photos["astronaut"]
    few = propose(photo.image, photo.features, labeler.roles, ProposalSettings(max_proposals=3))
    assert few[0].score == photo.proposals[0].score
    kept = [p for p in photo.proposals if p.score >= 0.4]
    high = propose(photo.image, photo.features, labeler.roles, ProposalSettings(min_score=0.4))
    assert bits(high) == bits(kept)


def picture_of(size: tuple[int, int], kind: str) -> RGB:
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    return np.full((*size, 3), {"white": 255, "black": 0}[kind], np.uint8)


@pytest.mark.weights
@pytest.mark.parametrize(
    ("size", "kind"),
    [
        pytest.param((8, 8), "white", id="8x8-white"),
        pytest.param((8, 8), "noise", id="8x8-noise"),
        pytest.param((14, 600), "noise", id="strip"),
        pytest.param((600, 14), "noise", id="strip-upright"),
        pytest.param((40, 600), "noise", id="wider-strip"),
        pytest.param((200, 300), "white", id="white"),
        pytest.param((200, 300), "black", id="black"),
        pytest.param((200, 300), "noise", id="noise"),
    ],
)
def test_pictures_in_which_nothing_is(labeler: Labeler, size: tuple[int, int], kind: str) -> None:
    image, all_of_them = picture_of(size, kind), ProposalSettings(min_score=0)
    found = replace(labeler, size=322, settings=all_of_them).masks(image)
    check(found, size, all_of_them)
    assert max((p.score for p in found), default=0) < 0.25  # photos' first proposals are above 0.4
    if kind != "noise":
        assert replace(labeler, size=322).masks(image) == []


@pytest.mark.parametrize("grid", [(1, 1), (1, 2), (2, 2), (2, 3), (1, 30), (3, 3)], ids=str)
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "noise"])
def test_tiny_grids(grid: tuple[int, int], constant: bool) -> None:
    rng = np.random.default_rng(0)
    tokens = np.ones((*grid, 8), np.float32) if constant else rng.normal(size=(*grid, 8)).astype(np.float32)
    features = features_of(tokens, [rng.random(grid), rng.random(grid)])
    image = rng.integers(0, 256, (*features.image_size, 3), np.uint8)
    found = propose(image, features, HeadRoles((0.5, -0.5)))
    # such a picture may be covered whole; everything else holds
    assert all(
        p.area > 0 and tuple(p.rle["size"]) == features.image_size and 0 <= p.score <= 1 for p in found
    )


def test_a_made_object_comes_first() -> None:
    grid = (16, 20)
    labels = square(grid, 5, 6, 6)
    truth = np.kron(labels, np.ones((PATCH, PATCH))) > 0
    image = np.where(truth[..., None], (200, 60, 60), (40, 90, 160)).astype(np.uint8)
    heads = [attention_on(labels == 1), attention_on(labels == 0)]
    found = propose(image, features_of(tokens_of(labels), heads), HeadRoles((0.9, -0.9)))
    check(found, image.shape[:2], ProposalSettings())
    assert iou(found[0].mask, truth) > 0.97


def test_fingerprint_names_every_setting() -> None:
    default = ProposalSettings()
    others = [
        replace(default, max_proposals=21),
        replace(default, min_score=0.01),
        replace(default, grid_overlap=0.61),
        replace(default, mask_overlap=0.71),
    ]
    prints = [s.fingerprint() for s in (default, *others)]
    assert len(set(prints)) == 5
    assert default.fingerprint() == ProposalSettings().fingerprint()


def test_proposal_says_its_area_and_box() -> None:
    mask = np.zeros((6, 9), bool)
    mask[2:4, 3:8] = True
    proposal = Proposal(rle.encode(mask), 0.5, "tree")
    assert (proposal.area, proposal.box, proposal.label) == (10, (3, 2, 5, 2), None)
    np.testing.assert_array_equal(proposal.mask, mask)
