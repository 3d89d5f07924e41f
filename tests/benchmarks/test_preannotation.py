from __future__ import annotations

import numpy as np
import pytest

from benchmarks.preannotation import figures, matched
from labeler_backend.masks.rle import RLE, encode


def bar(start: int, end: int) -> RLE:
    mask = np.zeros((4, 100), bool)
    mask[:, start:end] = True
    return encode(mask)


@pytest.mark.parametrize(
    ("regions", "objects", "expected"),
    [
        pytest.param([bar(0, 10)], [bar(0, 10)], 1, id="right"),
        pytest.param([bar(0, 10)], [bar(0, 30)], 0, id="too-small"),
        pytest.param([bar(0, 10), bar(0, 9)], [bar(0, 10)], 1, id="twice-the-same-object"),
        pytest.param([bar(0, 20)], [bar(0, 11), bar(11, 20)], 1, id="one-region-for-two"),
        pytest.param([bar(0, 12), bar(0, 10)], [bar(0, 10), bar(0, 20)], 2, id="the-best-pairs-first"),
        pytest.param([], [bar(0, 10)], 0, id="no-regions"),
        pytest.param([bar(0, 10)], [], 0, id="no-objects"),
    ],
)
def test_matched(regions: list[RLE], objects: list[RLE], expected: int) -> None:
    assert matched(regions, objects) == expected


def test_figures() -> None:
    assert figures(3, 4, 6, images=2) == {
        "precision": 0.75,
        "recall": 0.5,
        "f1": 0.6,
        "regions_per_image": 2.0,
    }
