"""Frames with what was carried to them, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeler_backend.errors import InputError
from labeler_backend.masks.rle import encode
from labeler_backend.records import Instance, Problem, Record
from labeler_backend.studio.frames import Corrected, Object, corrected, frame_record
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.propagate import Carried

SIZE = (20, 30)
INFO = VideoInfo(SIZE, 50, 25.0)


def labels(*boxes: tuple[int, int, int, int, int]) -> LabelMap:
    """Of id, x, y, width, height each."""
    found = np.zeros(SIZE, np.uint16)
    for number, x, y, w, h in boxes:
        found[y : y + h, x : x + w] = number
    return found


def carried(frame: int, found: LabelMap) -> Carried:
    there = frozenset(int(one) for one in np.unique(found) if one)
    return Carried(frame, found, dict.fromkeys(there, 0.7), there)


def instance(x: int, track: str | None, label: str | None = "cat", size: tuple[int, int] = SIZE) -> Instance:
    mask = np.zeros(size, bool)
    mask[2:6, x : x + 4] = True
    return Instance(encode(mask), label, track_id=track)


def record(frame: Any, *instances: Instance, video: str | None = "a.mp4") -> Record:
    return Record(1 + (frame or 0), f"{frame}.jpg", SIZE, instances, video=video, frame=frame)


def read(*records: Record, video: str = "a.mp4", told: list[Problem] | None = None) -> Corrected:
    return corrected(records, video, INFO, (told if told is not None else []).append)


@given(
    st.dictionaries(
        st.integers(0, 49),
        st.lists(
            st.tuples(
                st.integers(1, 254),
                st.integers(0, 25),
                st.integers(0, 15),
                st.integers(1, 5),
                st.integers(1, 5),
            ),
            min_size=1,
            max_size=3,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_was_carried_comes_back(drawn: dict[int, list[tuple[int, int, int, int, int]]]) -> None:
    given = {frame: labels(*boxes) for frame, boxes in drawn.items()}
    records = [frame_record(carried(frame, one), "a.mp4", f"{frame}.jpg", {}) for frame, one in given.items()]
    found = read(*records)
    assert list(found.masks) == sorted(given)
    for frame, one in given.items():
        np.testing.assert_array_equal(found.masks[frame], one)
    assert list(found.objects) == sorted({int(n) for one in given.values() for n in np.unique(one) if n})


def test_objects_keep_track_label_score_and_the_id_of_their_region() -> None:
    there = labels((3, 1, 1, 5, 5), (7, 10, 10, 5, 5))
    first, again, later = (
        frame_record(carried(frame, there), "a.mp4", "x.jpg", {3: "cat"}) for frame in (5, 5, 6)
    )
    assert [(one.track_id, one.label, one.score) for one in first.instances] == [
        ("3", "cat", 0.7),
        ("7", None, 0.7),
    ]
    ids = [[one.region_id for one in made.instances] for made in (first, again, later)]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4
    assert (first.video, first.frame, first.group) == ("a.mp4", 5, "a.mp4")


def test_tracks_that_are_no_ids_and_objects_without_one_get_what_is_free() -> None:
    found = read(
        record(0, instance(0, "2"), instance(5, "left hand"), instance(10, None)),
        record(9, instance(2, "2", "dog"), instance(6, "left hand", "dog"), instance(12, None, None)),
        record(20, instance(2, "2", "dog")),
    )
    assert found.objects == {
        1: Object("left hand", "cat"),
        2: Object("2", "dog"),  # the label it was given most often
        3: Object(None, "cat"),
        4: Object(None, None),
    }
    assert [sorted(np.unique(one).tolist()) for one in found.masks.values()] == [
        [0, 1, 2, 3],
        [0, 1, 2, 4],
        [0, 2],
    ]


def test_a_frame_in_which_nothing_is_marked_says_so() -> None:
    found = read(record(0, instance(0, "1")), record(5))
    assert not found.masks[5].any()


def test_pictures_of_another_size_are_scaled() -> None:
    found = read(record(0, instance(4, "1", size=(40, 60))))
    np.testing.assert_array_equal(found.masks[0] == 1, labels((1, 2, 1, 2, 2)) == 1)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        pytest.param([record(60, instance(0, "1"))], "has 50 frames, and none 60", id="past the end"),
        pytest.param([record(None, instance(0, "1"))], "and none None", id="no number"),
        pytest.param([record(0, instance(0, "1")), record(0)], "Frame 0 comes twice", id="twice"),
    ],
)
def test_what_cannot_be_taken_is_told(records: list[Record], reason: str) -> None:
    told: list[Problem] = []
    read(record(3, instance(0, "1")), *records, told=told)
    assert [reason in one.reason for one in told] == [True]


def test_of_several_videos_the_one_by_its_name() -> None:
    both = [record(0, instance(0, "1")), record(4, instance(3, "9"), video="b.mp4")]
    assert list(read(*both, video="b.mp4").masks) == [4]
    assert list(read(both[0], video="another.mp4").masks) == [0]  # there is only one


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        pytest.param([], "No task says which frame", id="nothing"),
        pytest.param([record(0, instance(0, "1"), video=None)], "No task says which frame", id="pictures"),
        pytest.param([record(0), record(1)], "Nothing is marked in any frame", id="nothing marked"),
        pytest.param(
            [record(0, instance(0, "1"), video="b.mp4"), record(0, instance(0, "1"), video="c.mp4")],
            "No frame is of a.mp4: there are frames of b.mp4, c.mp4",
            id="other videos",
        ),
        pytest.param(
            [record(0, instance(0, "1", size=(20, 20)))], "labelled at 20×20 pixels", id="another shape"
        ),
        pytest.param(
            [record(n, *(instance(0, None) for _ in range(26))) for n in range(10)],
            "more than 254 objects",
            id="too many",
        ),
    ],
)
def test_what_is_of_no_use_is_a_sentence(records: list[Record], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read(*records)
