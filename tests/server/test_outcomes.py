from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labeler_backend.report.fates import Fate
from labeler_backend.server.outcomes import Answered, began_with, compare
from labeler_backend.server.overlaps import overlaps
from labeler_backend.server.shapes import Shape, shapes
from tests.server.fakes import triangle
from tests.server.test_shapes import bitmask, blob, brush


def square(left: float, top: float, side: float = 10, *, label: str = "car", **more: Any) -> Shape:
    """An upright polygon; numbers in percent."""
    corners = [[left, top], [left + side, top], [left + side, top + side], [left, top + side]]
    return only(triangle("q", label, corners) | more)


def rectangle(x: float, y: float, width: float, height: float, rotation: float = 0) -> Shape:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation}
    sizes = {"original_width": 200, "original_height": 100}
    return only({"id": "r", "type": "rectangle", "value": value} | sizes)


def only(item: dict[str, Any]) -> Shape:
    return next(iter(shapes([item]).values()))


A, B = square(0, 0), square(50, 50)
NEAR = square(0, 2)  # IoU with A: 8 of 12
FAR = square(9, 0)  # IoU with A: 1 of 19


def outcomes(fates: tuple[Fate, ...]) -> list[str]:
    return [f"{'clicked ' if fate.clicked else ''}{fate.outcome}" for fate in fates]


@pytest.mark.parametrize(
    ("begun", "clicked", "made", "found"),
    [
        pytest.param({"a": A, "b": B}, {}, {"a": A, "b": B}, ["accepted", "accepted"], id="as it was"),
        pytest.param({"a": A, "b": B}, {}, {"a": NEAR}, ["edited", "rejected"], id="moved, and one deleted"),
        pytest.param({"a": A}, {}, {"a": FAR}, ["redrawn"], id="moved to another place"),
        pytest.param({"a": A}, {}, {}, ["rejected"], id="nothing left"),
        pytest.param({"a": A}, {}, {"z": NEAR}, ["redrawn"], id="deleted and drawn anew"),
        pytest.param({"a": A}, {}, {"z": A}, ["accepted"], id="lost its id"),
        pytest.param({"a": A}, {}, {"z": FAR}, ["rejected", "drawn"], id="deleted, and another drawn"),
        pytest.param({}, {}, {"z": A}, ["drawn"], id="nothing was answered"),
        pytest.param({"a": A}, {"k": [B]}, {"a": A}, ["accepted"], id="a click not taken"),
        pytest.param({"a": A}, {"k": [B]}, {"k": B}, ["clicked accepted", "rejected"], id="a click taken"),
        pytest.param({}, {"k": [A, B]}, {"k": A}, ["clicked accepted"], id="an earlier click"),
        pytest.param({}, {"k": [A, B]}, {"k": NEAR}, ["clicked edited"], id="an earlier click, edited"),
        pytest.param({"a": A}, {"a": [B]}, {"a": B}, ["clicked accepted"], id="refined by a click"),
        pytest.param(
            {"a": A, "b": NEAR},
            {},
            {"y": square(0, 0.5), "z": B},
            ["redrawn", "rejected", "drawn"],
            id="best pair",
        ),
    ],
)
def test_compare(
    begun: dict[str, Shape], clicked: dict[str, list[Shape]], made: dict[str, Shape], found: list[str]
) -> None:
    assert outcomes(compare(begun, clicked, made)) == found


def test_iou_and_labels_of_an_edit() -> None:
    (moved,) = compare({"a": A}, {}, {"a": NEAR})
    assert moved.iou == pytest.approx(8 / 12, abs=0.02)
    assert (moved.reshaped, moved.relabelled, moved.kind) == (True, False, "polygon")
    (named,) = compare({"a": A}, {}, {"a": square(0, 0, label="bus")})
    assert (named.outcome, named.iou, named.reshaped, named.relabelled) == ("edited", 1.0, False, True)
    assert (named.proposed, named.submitted) == ("car", "bus")


@pytest.mark.parametrize(
    ("answers", "made", "named", "version"),
    [
        pytest.param([{"n": A}, {"a": A, "b": B}], {"a": A}, True, "v0", id="more of the older is left"),
        pytest.param([{"a": NEAR}, {"a": A}], {"a": A}, True, "v0", id="same ids: outlines of the older"),
        pytest.param([{"a": A}, {"a": A}], {"a": A}, True, "v1", id="both the same: the newest"),
        pytest.param([{"n": A}, {"a": A}], {}, True, "v1", id="no trace of either: the newest"),
        pytest.param([{"n": A}], {"z": B}, False, None, id="no trace and no parent: with none"),
        pytest.param([], {"z": B}, True, None, id="nothing was answered"),
    ],
)
def test_began_with(
    answers: list[dict[str, Shape]], made: dict[str, Shape], named: bool, version: str | None
) -> None:
    """Answers are given newest first, and are versions …, v1, v0."""
    told = [Answered(f"v{len(answers) - 1 - n}", sent) for n, sent in enumerate(answers)]
    begun = began_with(told, made, named)
    assert (begun.version if begun else None) == version


@pytest.mark.parametrize(
    ("sent", "made", "iou"),
    [
        pytest.param(A, A, 1.0, id="same"),
        pytest.param(A, B, 0.0, id="apart"),
        pytest.param(A, square(5, 0), 1 / 3, id="half"),
        pytest.param(rectangle(0, 0, 50, 50), rectangle(0, 0, 25, 50), 0.5, id="boxes"),
        pytest.param(rectangle(60, 0, 50, 50, 90), rectangle(60, 0, 50, 50, 90), 1.0, id="turned boxes"),
        pytest.param(only(brush(blob())), only(bitmask(blob())), 1.0, id="brush and bitmask"),
        pytest.param(square(0, 0, item_index=1), square(0, 0), 0.0, id="other page"),
        pytest.param(square(0, 0, to_name="left"), square(0, 0, to_name="right"), 0.0, id="other picture"),
        pytest.param(square(0, 0, 0), A, np.nan, id="a polygon without area"),
        pytest.param(Shape("polygonlabels", (), None), A, np.nan, id="unreadable"),
        pytest.param(Shape("brushlabels", (), mask=b"", size=(60, 80)), A, np.nan, id="broken mask"),
    ],
)
def test_overlaps(sent: Shape, made: Shape, iou: float) -> None:
    assert overlaps([sent], [made])[0, 0] == pytest.approx(iou, abs=0.02, nan_ok=True)


def test_overlap_of_small_objects_in_large_pictures() -> None:
    """A nucleus of 12 pixels in a picture of 2,000."""
    sizes: dict[str, Any] = {"original_width": 2000, "original_height": 2000}
    sent, made = (square(30 + shift, 30, 0.6, **sizes) for shift in (0, 0.15))
    assert overlaps([sent], [made])[0, 0] == pytest.approx(0.6, abs=0.02)


def test_overlap_of_huge_pictures_takes_little_memory() -> None:
    sizes: dict[str, Any] = {"original_width": 60_000, "original_height": 60_000}
    found = overlaps([square(0, 0, 100, **sizes)], [square(0, 0, 50, **sizes)])
    assert found[0, 0] == pytest.approx(0.25, abs=0.01)
