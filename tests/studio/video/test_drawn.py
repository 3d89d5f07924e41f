from __future__ import annotations

from typing import Any

import pytest

from labeler_backend.studio.video.drawn import Drawn, drawn_in
from tests.studio.video.made import CLOCK, SIZE, computed, entry, region


def drawn(*items: Any) -> list[Drawn]:
    return drawn_in(items, "box", "video", SIZE, CLOCK)


@pytest.mark.parametrize(
    ("keys", "frames"),
    [
        pytest.param([entry(1)], [0], id="one drawn"),
        pytest.param([entry(1), entry(21)], [0, 20], id="two drawn"),
        pytest.param([computed(1), computed(9), computed(21)], [0], id="computed, nobody touched it"),
        pytest.param([entry(1), computed(9), computed(21)], [0], id="computed from one drawn"),
        pytest.param(
            [entry(1), computed(9) | {"x": 12}, computed(21)], [0, 8], id="a computed key was moved"
        ),
        pytest.param([entry(1), computed(9) | {"height": 31}], [0, 8], id="a computed key was resized"),
        # as the editor's updateShape makes a key: what stands in the next one, and the box
        pytest.param([entry(1), computed(21) | {"frame": 5}, computed(21)], [0, 4], id="a key was put in"),
        pytest.param([entry(1), computed(9) | {"time": 7.5}], [0], id="the time is not the box"),
        pytest.param([computed(9, enabled=False)], [8], id="only an end"),
        pytest.param([entry(9), entry(1)], [0, 8], id="out of order"),
        pytest.param([entry(1), entry("x"), 7], [0], id="what cannot be read is passed over"),
        pytest.param([entry(1), entry(3, width=0.1)], [0], id="narrower than a pixel"),
        pytest.param([entry(1), entry(3, x=120)], [0], id="outside the picture"),
        pytest.param([entry(1), entry(3, x=None)], [0], id="without numbers"),
    ],
)
def test_on_which_frames_people_drew(keys: list[Any], frames: list[int]) -> None:
    [found] = drawn(region(*keys))
    assert list(found.boxes) == frames


@pytest.mark.parametrize(
    ("keys", "gone"),
    [
        pytest.param([entry(1), entry(5, enabled=False)], [(5, 40)], id="ended"),
        pytest.param([entry(1), entry(5, enabled=False), entry(11)], [(5, 10)], id="a gap"),
        pytest.param([entry(1), computed(5, enabled=False)], [], id="an end that we computed"),
        pytest.param([entry(1), computed(5) | {"enabled": False}], [(5, 40)], id="a computed key was ended"),
        pytest.param(
            [entry(1), computed(5) | {"enabled": False}, computed(9)],
            [(5, 8)],
            id="until any next key",
        ),
        pytest.param([entry(1), computed(5, enabled=False) | {"enabled": True}], [], id="an end was undone"),
        pytest.param([entry(40, enabled=False)], [], id="at the last frame"),
    ],
)
def test_where_people_say_that_it_is_not(keys: list[Any], gone: list[Any]) -> None:
    [found] = drawn(region(*keys))
    assert list(found.gone) == gone


def test_boxes_are_in_pixels_upright_and_within_the_picture() -> None:
    [found] = drawn(region(entry(1), entry(2, x=-5), entry(3, x=40, rotation=90)))
    assert found.boxes[0] == pytest.approx((14, 9, 28, 27))
    assert found.boxes[1] == pytest.approx((0, 9, 21, 27))
    assert found.boxes[2] == pytest.approx((29, 9, 27, 28))  # turned about its top left corner


@pytest.mark.parametrize(
    ("items", "labels"),
    [
        pytest.param([region(entry(1))], ("car",), id="within the region, as the editor writes it"),
        pytest.param(
            [
                region(entry(1), value={"sequence": [entry(1)]}),
                {"id": "r1", "type": "labels", "value": {"labels": ["bus"]}},
            ],
            ("bus",),
            id="beside it",
        ),
        pytest.param([region(entry(1), value={"sequence": [entry(1)]})], (), id="none"),
    ],
)
def test_labels(items: list[Any], labels: tuple[str, ...]) -> None:
    assert [one.labels for one in drawn(*items)] == [labels]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(7, id="no object"),
        pytest.param(region(entry(1), type="rectanglelabels"), id="another type"),
        pytest.param(region(entry(1), from_name="other"), id="another control"),
        pytest.param(region(entry(1), to_name="other"), id="another video"),
        pytest.param(region(), id="no keys"),
        pytest.param(region(entry(1), value=None), id="no value"),
        pytest.param(region(entry(1), value={"sequence": {}}), id="a sequence that is none"),
    ],
)
def test_what_is_no_box_of_this_video_is_passed_over(item: Any) -> None:
    assert drawn(item) == []


def test_objects_keep_their_ids_or_get_one() -> None:
    items = [region(entry(1), name="a"), region(entry(1), name="b"), region(entry(1), name="")]
    assert [one.id for one in drawn(*items)] == ["a", "b", "track-3"]
