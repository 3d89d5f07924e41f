from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labeler_backend.masks.shape import Polygons
from labeler_backend.studio.export_json.tracks import path_of
from labeler_backend.studio.shapes import ShapeError

SIZE = (100, 200)


def key(frame: Any, x: float = 10, **rest: Any) -> dict[str, Any]:
    return {"frame": frame, "x": x, "y": 10, "width": 20, "height": 30, "rotation": 0, "enabled": True} | rest


def path(*keys: Any, count: int = 10) -> Any:
    return path_of({"value": {"sequence": list(keys)}}, SIZE, count)


def left(shape: Any) -> float:
    assert isinstance(shape, Polygons)
    return float(shape.rings[0][:, 0].min())


@pytest.mark.parametrize(
    ("keys", "frames"),
    [
        pytest.param([key(1)], range(10), id="one key holds to the end"),
        pytest.param([key(4)], range(3, 10), id="not before its first key"),
        pytest.param([key(1), key(5, enabled=False)], range(5), id="an end is itself still shown"),
        pytest.param([key(3, enabled=False)], [2], id="only an end"),
        pytest.param(
            [key(2), key(4, enabled=False), key(7), key(9, enabled=False)], [1, 2, 3, 6, 7, 8], id="a gap"
        ),
        pytest.param([key(4), key(2)], range(1, 10), id="out of order"),
        pytest.param([key(2.0)], range(1, 10), id="a frame as a float"),
        pytest.param([key(2, enabled=None)], range(1, 10), id="no word on enabled"),
        pytest.param([key(2), key(99)], range(1, 10), id="beyond the video"),
        pytest.param([key(2), key(0)], range(1, 10), id="before the video"),
    ],
)
def test_when_a_box_is_to_be_seen(keys: list[Any], frames: Any) -> None:
    assert list(path(*keys).shapes) == list(frames)


def test_boxes_move_evenly_between_key_frames() -> None:
    shapes = path(key(1, 10), key(5, 30, enabled=False), key(7, 50)).shapes
    assert [left(shapes[n]) for n in (0, 1, 2, 3, 4)] == pytest.approx([20, 30, 40, 50, 60])
    assert [left(shapes[n]) for n in (6, 9)] == pytest.approx([100, 100])
    assert 5 not in shapes


@pytest.mark.parametrize(
    ("start", "end", "between"),
    [
        pytest.param(0, 90, 45, id="forward"),
        pytest.param(350, 10, 0, id="over 360"),
        pytest.param(-170, 170, 180, id="over 180"),
        pytest.param(10, 350, 0, id="backward"),
    ],
)
def test_rotation_goes_the_shorter_way(start: float, end: float, between: float) -> None:
    """As the editor's `interpolateProp`."""
    moved = path(key(1, 50, rotation=start), key(3, 50, rotation=end)).shapes[1]
    still = path(key(1, 50, rotation=between)).shapes[0]
    np.testing.assert_allclose(moved.rings[0], still.rings[0], atol=1e-9)


def test_a_turned_box_is_a_box_in_pixels() -> None:
    [shape] = path(key(1, 40, rotation=90), count=1).shapes.values()
    np.testing.assert_allclose(shape.rings[0], [[80, 10], [80, 50], [50, 50], [50, 10]], atol=1e-9)


@pytest.mark.parametrize(
    ("keys", "note"),
    [
        pytest.param([key(1), key(99)], "key frame 99 was left out", id="beyond the video"),
        pytest.param([key(1), key(1, 20)], "comes twice", id="twice"),
        pytest.param([key(3), key(1)], "out of order", id="out of order"),
        pytest.param([key(1, enabled=None)], "does not say whether it is enabled", id="no word on enabled"),
        pytest.param([key(1), key("x")], "not a whole number", id="a frame that is none"),
        pytest.param([key(1), 7], "not a whole number", id="no key frame"),
        pytest.param([key(1), key(2, None)], "x is missing", id="no x"),
        pytest.param([key(1), key(10, 200)], "encloses nothing of the picture in", id="leaving the picture"),
        pytest.param([key(1, -5)], "cut off", id="half outside"),
    ],
)
def test_what_had_to_be_mended_is_said(keys: list[Any], note: str) -> None:
    found = path(*keys)
    assert found.shapes
    assert note in "; ".join(found.notes)


def test_of_two_keys_of_one_frame_the_last_counts() -> None:
    assert left(path(key(1, 10), key(1, 30)).shapes[0]) == pytest.approx(60)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param({}, "no key frames", id="no sequence"),
        pytest.param({"sequence": []}, "no key frames", id="empty"),
        pytest.param({"sequence": [1]}, "none of its key frames", id="nothing readable"),
        pytest.param({"sequence": [key(1, 300)]}, "nothing of the picture", id="outside"),
        pytest.param(None, "no key frames", id="no value"),
    ],
)
def test_what_is_no_track_is_a_reason(value: Any, reason: str) -> None:
    with pytest.raises(ShapeError, match=reason):
        path_of({"value": value}, SIZE, 10)
