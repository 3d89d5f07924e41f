from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.masks import rle
from labeler_backend.masks.rle import BoolMask
from labeler_backend.proposals.objects import apart, parts, side_by_side
from labeler_backend.proposals.types import Proposal


def squares(*boxes: tuple[int, int, int, int]) -> BoolMask:
    """(100, 100) with boxes x0, y0, x1, y1 set."""
    mask = np.zeros((100, 100), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def proposal(score: float, *boxes: tuple[int, int, int, int]) -> Proposal:
    return Proposal(rle.encode(squares(*boxes)), score, "test")


LARGE, SMALL, CRUMB = (0, 0, 40, 40), (60, 60, 80, 80), (90, 90, 93, 93)


@pytest.mark.parametrize(
    ("boxes", "areas"),
    [
        pytest.param([LARGE], [1600], id="one"),
        pytest.param([SMALL, LARGE], [1600, 400], id="the-largest-first"),
        pytest.param([LARGE, CRUMB], [1600], id="no-crumbs"),
        pytest.param([CRUMB], [9], id="a-small-object-is-no-crumb"),
        pytest.param([CRUMB, (50, 50, 52, 52)], [9], id="of-crumbs-the-largest"),
        pytest.param([(0, 0, 10, 10), (10, 10, 20, 20)], [100, 100], id="corners-do-not-touch"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_parts(boxes: list[tuple[int, int, int, int]], areas: list[int]) -> None:
    assert [int(part.sum()) for part in parts(squares(*boxes))] == areas


def test_apart_keeps_what_a_proposal_says() -> None:
    found = apart([Proposal(rle.encode(squares(LARGE, SMALL)), 0.7, "figure", "coin")])
    assert [(p.score, p.source, p.label, p.area) for p in found] == [
        (0.7, "figure", "coin", 1600),
        (0.7, "figure", "coin", 400),
    ]


WHOLE = proposal(0.8, LARGE)


@pytest.mark.parametrize(
    ("proposals", "options", "areas"),
    [
        pytest.param([WHOLE, proposal(0.7, (0, 0, 20, 20))], {}, [1600], id="no-part-of-what-is-shown"),
        pytest.param([WHOLE, proposal(0.7, SMALL)], {}, [1600, 400], id="another-object"),
        pytest.param(
            [proposal(0.8, SMALL), proposal(0.7, (50, 50, 100, 100))], {}, [400, 2500], id="around-it"
        ),
        pytest.param([WHOLE, proposal(0.39, SMALL)], {}, [1600], id="far-less-likely"),
        pytest.param([WHOLE, proposal(0.39, SMALL)], {"relative": 0.0}, [1600, 400], id="unless-asked"),
        pytest.param(
            [WHOLE, proposal(0.7, (0, 0, 20, 20))], {"overlap": 1.0}, [1600, 400], id="nested-if-asked"
        ),
        pytest.param(
            [proposal(0.8, LARGE, SMALL), proposal(0.7, SMALL)], {}, [1600, 400], id="figure-of-two"
        ),
        pytest.param([], {}, [], id="nothing"),
    ],
)
def test_side_by_side(proposals: list[Proposal], options: dict[str, float], areas: list[int]) -> None:
    assert [p.area for p in side_by_side(proposals, **options)] == areas
