"""Consensus of annotators, touching instances, blobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.masks.rle import BoolMask, encode
from labeler_backend.masks.shape import Polygons, to_mask
from labeler_backend.merging import consensus, merge_touching, split_blobs
from labeler_backend.records import Instance, Keypoint

SIZE = (40, 60)


def box(x: int, y: int, w: int, h: int) -> BoolMask:
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    return mask


def painted(mask: BoolMask, label: str = "a", **more: Any) -> Instance:
    return Instance(encode(mask), label, **more)


def drawn(x: float, y: float, w: float, h: float, label: str = "a", **more: Any) -> Instance:
    ring = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)
    return Instance(Polygons((ring,), SIZE), label, **more)


class TestConsensus:
    def test_pixels_by_majority(self) -> None:
        masks = [box(10, 10, 10, 10), box(11, 10, 10, 10), box(12, 10, 10, 10)]
        agreed = consensus([[painted(mask)] for mask in masks])
        votes = np.sum(masks, axis=0)
        assert len(agreed) == 1
        np.testing.assert_array_equal(to_mask(agreed[0].shape), votes >= 2)

    @pytest.mark.parametrize(
        ("annotators", "kept"),
        [
            pytest.param([1, 0], 0, id="one of two"),
            pytest.param([1, 1], 1, id="both"),
            pytest.param([1, 1, 0], 1, id="two of three"),
            pytest.param([1, 0, 0], 0, id="one of three"),
            pytest.param([1, 1, 0, 0], 0, id="half"),
            pytest.param([0, 1, 1, 1], 1, id="all but the first"),
            pytest.param([1], 1, id="alone"),
        ],
    )
    def test_more_than_half_must_have_drawn_it(self, annotators: list[int], kept: int) -> None:
        one = painted(box(5, 5, 8, 8))
        assert len(consensus([[one] * drew for drew in annotators])) == kept

    def test_neighbours_are_matched_so_that_all_fit_best(self) -> None:
        left, right = box(0, 0, 10, 10), box(4, 0, 10, 10)
        shifted = box(2, 0, 10, 10)  # overlaps both, left's owner has nothing else for it
        agreed = consensus([[painted(left), painted(right)], [painted(right), painted(shifted)]])
        assert len(agreed) == 2
        assert to_mask(agreed[1].shape).sum() == 100

    def test_an_annotators_two_instances_never_become_one(self) -> None:
        twice = [painted(box(5, 5, 10, 10)), painted(box(5, 5, 10, 10))]
        assert len(consensus([twice, twice])) == 2

    def test_label_and_crowd_by_majority_and_who_drew_it(self) -> None:
        mask = box(5, 5, 10, 10)
        one = painted(mask, "cat", annotator="1", crowd=True)
        others = [painted(mask, "dog", annotator="2"), painted(mask, "dog", annotator="3")]
        (agreed,) = consensus([[one], [others[0]], [others[1]]])
        assert (agreed.label, agreed.crowd, agreed.annotator) == ("dog", False, None)
        assert agreed.attributes == {"annotators": ["1", "2", "3"], "agreement": 1.0}

    def test_agreement_keeps_the_corners(self) -> None:
        (agreed,) = consensus([[drawn(3, 3, 7, 7)], [drawn(3, 3, 7, 7)]])
        assert isinstance(agreed.shape, Polygons)

    def test_nobody_drew_anything(self) -> None:
        assert consensus([[], []]) == []
        assert consensus([]) == []


class TestMergeTouching:
    @pytest.mark.parametrize(
        ("second", "merged"),
        [
            pytest.param(drawn(10, 0, 10, 10), True, id="side by side"),
            pytest.param(drawn(10, 10, 10, 10), True, id="at a corner"),
            pytest.param(drawn(5, 5, 10, 10), True, id="overlapping"),
            pytest.param(drawn(11, 0, 10, 10), False, id="a pixel between"),
            pytest.param(drawn(10, 0, 10, 10, "b"), False, id="another label"),
            pytest.param(drawn(10, 0, 10, 10, crowd=True), False, id="a crowd"),
            pytest.param(drawn(10, 0, 10, 10, track_id="7"), False, id="another track"),
            pytest.param(painted(box(10, 0, 10, 10)), True, id="drawn and painted"),
        ],
    )
    def test_which(self, second: Instance, merged: bool) -> None:
        first = drawn(0, 0, 10, 10)
        found = merge_touching([first, second])
        assert len(found) == (1 if merged else 2)
        area = np.logical_or.reduce([to_mask(one.shape) for one in found])
        np.testing.assert_array_equal(area, to_mask(first.shape) | to_mask(second.shape))

    def test_a_chain_becomes_one_and_the_order_stays(self) -> None:
        row = [drawn(n * 10, 0, 10, 5, region_id=str(n)) for n in (0, 2, 1)]
        found = merge_touching([drawn(0, 30, 5, 5, "z"), *row, drawn(50, 30, 5, 5)])
        assert [one.label for one in found] == ["z", "a", "a"]
        assert found[1].attributes["merged"] == ["0", "2", "1"]
        assert isinstance(found[1].shape, Polygons)
        assert len(found[1].shape.rings) == 1

    def test_a_hole_between_them_stays(self) -> None:
        sides = [drawn(5, 5, 20, 5), drawn(5, 20, 20, 5), drawn(5, 5, 5, 20), drawn(20, 5, 5, 20)]
        (found,) = merge_touching(sides)
        mask = to_mask(found.shape)
        assert not mask[15, 15]
        assert mask.sum() == 400 - 100

    def test_nothing(self) -> None:
        assert merge_touching([]) == []


class TestSplitBlobs:
    @pytest.mark.parametrize("kind", ["painted", "drawn"])
    def test_parts_largest_first_with_their_keypoints(self, kind: str) -> None:
        small, large = (2, 2, 4, 4), (20, 10, 10, 10)
        if kind == "painted":
            both = painted(box(*small) | box(*large))
        else:
            rings = [one.shape.rings[0] for one in (drawn(*small), drawn(*large))]  # type: ignore[union-attr]
            both = Instance(Polygons(tuple(rings), SIZE), "a")
        points = (Keypoint("eye", 3, 3), Keypoint("ear", 35, 15))
        parts = split_blobs(replace(both, region_id="r", keypoints=points))
        assert [int(to_mask(part.shape).sum()) for part in parts] == [100, 16]
        assert [[p.label for p in part.keypoints] for part in parts] == [["ear"], ["eye"]]
        assert {part.region_id for part in parts} == {"r"}

    def test_one_blob_stays_as_it_is(self) -> None:
        one = drawn(0, 0, 5, 5)
        assert split_blobs(one) == [one]

    def test_rings_that_share_a_border_are_one_blob(self) -> None:
        rings = [one.shape.rings[0] for one in (drawn(0, 0, 5, 5), drawn(5, 0, 5, 5))]  # type: ignore[union-attr]
        both = Instance(Polygons(tuple(rings), SIZE), "a")
        assert split_blobs(both) == [both]


boxes = st.builds(box, st.integers(0, 50), st.integers(0, 30), st.integers(1, 10), st.integers(1, 10))


@given(st.lists(boxes, min_size=1, max_size=6))
def test_no_pixel_is_lost_or_added(masks: list[BoolMask]) -> None:
    whole = np.logical_or.reduce(masks)
    merged = merge_touching([painted(mask) for mask in masks])
    total = np.sum([to_mask(one.shape) for one in merged], axis=0)
    np.testing.assert_array_equal(total, whole)  # once each: what overlaps was merged
    parts = split_blobs(painted(whole))
    np.testing.assert_array_equal(np.sum([to_mask(one.shape) for one in parts], axis=0), whole)
    assert len(parts) == len(merged)


def test_a_merge_keeps_key_points_of_one_name() -> None:
    eyes = Keypoint("eye", 2, 2), Keypoint("eye", 12, 2)
    both = [drawn(0, 0, 10, 10, keypoints=eyes[:1]), drawn(10, 0, 10, 10, keypoints=eyes[1:])]
    assert merge_touching(both)[0].keypoints == eyes
