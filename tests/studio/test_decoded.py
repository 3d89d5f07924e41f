"""Painted regions are decoded once, and every other as often as asked."""

from __future__ import annotations

from typing import Any

import pytest

from labeler_backend.studio import decoded
from labeler_backend.studio.areas import Area
from labeler_backend.studio.decoded import Decoded
from labeler_backend.studio.regions import Place, mask_to_regions, regions_to_areas
from tests.studio.made import ellipse, ring


def painted(name: str, kind: str = "brushlabels", large: bool = True) -> dict[str, Any]:
    mask = ring() if large else ellipse(radii=(9, 7))
    [one] = mask_to_regions(mask, kind, Place("a", "image"), object_id=name, labels=["car"], score=1)
    return one


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were decoded at each call."""
    seen: list[int] = []

    def counting(items: list[Any]) -> list[Area]:
        seen.append(len(items))
        return regions_to_areas(items)

    monkeypatch.setattr(decoded, "regions_to_areas", counting)
    return seen


def test_the_same_strokes_are_decoded_once(counted: list[int]) -> None:
    items = [
        painted("a"),
        painted("b", "polygonlabels"),
        painted("c", "bitmasklabels"),
        painted("d", large=False),
    ]
    kept = Decoded()
    first = kept.areas(items)
    again = kept.areas([{**items[0], "id": "other"}, *items[1:]])
    assert counted == [4, 1]
    for areas in (first, again):
        assert [repr(one.shape) for one in areas] == [repr(one.shape) for one in regions_to_areas(items)]


def test_what_changed_is_decoded_again(counted: list[int]) -> None:
    kept = Decoded()
    [before] = kept.areas([painted("a")])
    [after] = kept.areas([painted("a", large=False)])
    assert counted == [1, 1]
    assert before.shape != after.shape


def test_only_so_many_are_kept(counted: list[int]) -> None:
    kept = Decoded(kept=1)
    kept.areas([painted("a"), painted("b", large=False)])
    kept.areas([painted("b", large=False)])
    kept.areas([painted("a")])
    assert counted == [2, 0, 1]


def test_damaged_strokes_stay_damaged() -> None:
    broken = {**painted("a"), "value": {"format": "rle", "rle": [1, 2, 3], "brushlabels": ["car"]}}
    kept = Decoded()
    assert [kept.areas([broken])[0].shape, kept.areas([broken])[0].shape] == [None, None]
