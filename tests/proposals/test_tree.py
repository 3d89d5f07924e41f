"""The region tree: every node is one connected region, and the merges are the published ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeler_backend.backbone.features import FloatArray, unit_tokens
from labeler_backend.proposals.tree import RegionTree, region_tree
from tests.proposals.conftest import Real
from tests.proposals.made import square, tokens_of


@st.composite
def grids(draw: st.DrawFn) -> FloatArray:
    """(gh, gw, C) unit tokens of at least two patches: random, in blocks, or all the same."""
    height, width = draw(st.tuples(st.integers(1, 6), st.integers(1, 7)).filter(lambda s: s[0] * s[1] > 1))
    kinds = draw(st.sampled_from([1, 2, height * width]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    directions = rng.normal(size=(kinds, 8))
    return unit_tokens(directions[rng.integers(0, kinds, (height, width))].astype(np.float32))


def check(tree: RegionTree, grid: tuple[int, int]) -> None:
    patches = grid[0] * grid[1]
    assert sorted(tree.order) == list(range(patches))
    assert tree.start.shape == tree.count.shape == (2 * patches - 1,)
    nodes = [frozenset(tree.members(node).tolist()) for node in range(2 * patches - 1)]
    assert [len(node) for node in nodes] == tree.count.tolist()
    assert nodes[:patches] == [frozenset([patch]) for patch in range(patches)]
    assert nodes[-1] == frozenset(range(patches))
    loose = set(nodes[:patches])
    for node in nodes[patches:]:  # each is made of exactly two that were still loose
        below = [part for part in loose if part <= node]
        assert len(below) == 2
        assert below[0] | below[1] == node
        loose = (loose - set(below)) | {node}
    for node in nodes:
        mask = np.zeros(patches, np.uint8)
        mask[list(node)] = 1
        assert cv2.connectedComponents(mask.reshape(grid), connectivity=4)[0] == 2


@settings(max_examples=60, deadline=None)
@given(grids())
def test_nodes_are_connected_and_nested(unit: FloatArray) -> None:
    check(region_tree(unit), unit.shape[:2])


@pytest.mark.parametrize("grid", [(1, 2), (2, 1), (2, 2)], ids=str)
def test_tiny_constant_grids(grid: tuple[int, int]) -> None:
    check(region_tree(unit_tokens(np.ones((*grid, 4), np.float32))), grid)


def test_a_region_is_a_node() -> None:
    labels = square((9, 11), 2, 3, 4)
    labels[7:9, 8:11] = 2
    tree = region_tree(unit_tokens(tokens_of(labels)))
    nodes = {frozenset(tree.members(node).tolist()) for node in range(len(tree.count))}
    for region in (1, 2):
        assert frozenset(np.flatnonzero(labels.ravel() == region).tolist()) in nodes


def test_regions_that_do_not_touch_stay_apart() -> None:
    labels = np.zeros((5, 9), int)
    labels[1:4, 1:3] = 1
    labels[1:4, 6:8] = 1  # the same kind, elsewhere
    tree = region_tree(unit_tokens(tokens_of(labels, noise=0.02)))
    both = frozenset(np.flatnonzero(labels.ravel()).tolist())
    assert both not in {frozenset(tree.members(node).tolist()) for node in range(len(tree.count))}


@pytest.mark.parametrize(
    ("right", "joins"),
    [
        pytest.param(0.35, "left", id="left-though-one-of-its-neighbours-is-farther"),
        pytest.param(0.25, "right", id="right-though-one-of-the-left-neighbours-is-nearer"),
    ],
)
def test_the_average_over_touching_patches_decides(right: float, joins: str) -> None:
    """Three columns of two: the left one's patches are 0.2 and 0.4 from the middle, the right one's alike."""
    cosines = np.array([[0.8, 1, 1 - right], [0.6, 1, 1 - right]])
    sines = np.sqrt(1 - cosines**2) * [1, 0, -1]
    tree = region_tree(np.dstack([cosines, sines]).astype(np.float32))
    columns = {"left": {0, 3}, "middle": {1, 4}, "right": {2, 5}}
    pairs = [set(tree.members(node)) for node in (6, 7, 8)]
    assert all(column in pairs for column in columns.values())
    assert set(tree.members(9)) == columns["middle"] | columns[joins]


@pytest.mark.weights
def test_a_photo(photos: dict[str, Real]) -> None:
    unit = photos["cat"].unit
    tree = region_tree(unit)
    check(tree, unit.shape[:2])
    again = region_tree(unit.copy())
    assert (again.order == tree.order).all()
    assert (again.count == tree.count).all()
