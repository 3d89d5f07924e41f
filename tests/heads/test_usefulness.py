"""How sure a head is of an image."""

from __future__ import annotations

import numpy as np
import pytest

from labeler_backend.backbone.features import FloatArray
from labeler_backend.heads.usefulness import confidence
from labeler_backend.proposals.types import Proposal
from tests.heads.made import box

SIZE = (40, 40)
LEFT, RIGHT = box(SIZE, 0, 0, 40, 20), box(SIZE, 0, 20, 40, 40)


def there(left: float, right: float) -> FloatArray:
    """(2, 4, 4): the chance that something is in either half."""
    figure = np.repeat(np.array([left, left, right, right], np.float32)[None], 4, axis=0)
    return np.stack([1 - figure, figure])


def given(*found: tuple[object, float]) -> list[Proposal]:
    return [Proposal(mask, score, "head", "cat") for mask, score in found]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "class_map", "novelty", "expected"),
    [
        pytest.param(given((LEFT, 1.0)), there(1, 0), 0.0, 1.0, id="sure-known-agreed"),
        pytest.param(given((LEFT, 0.5)), there(1, 0), 0.0, 2 / 3, id="even-chances"),
        pytest.param(given((LEFT, 1.0)), there(0, 1), 0.0, 2 / 3, id="the-map-says-elsewhere"),
        pytest.param(given((LEFT, 1.0)), there(1, 1), 0.0, 1 - 0.5 / 3, id="the-map-says-more"),
        pytest.param(given((LEFT, 1.0)), there(1, 0), 1.0, 2 / 3, id="never-seen-the-like"),
        pytest.param(given((LEFT, 0.5)), there(0, 1), 1.0, 0.0, id="all-three"),
        pytest.param(given(), there(0, 0), 0.0, 2 / 3, id="nothing-found-nothing-there"),
        pytest.param(given(), there(1, 0), 0.0, 1 / 3, id="nothing-found-something-there"),
        pytest.param(
            given((LEFT, 1.0), (RIGHT, 0.04)), there(1, 0), 0.0, 1.0, id="the-unlikely-do-not-count"
        ),
        pytest.param(
            given((LEFT, 1.0), (RIGHT, 0.2)), there(1, 0), 0.0, 1 - 0.32 / 3, id="not-shown-but-doubted"
        ),
    ],
)
def test_confidence(answer: list[Proposal], class_map: FloatArray, novelty: float, expected: float) -> None:
    assert confidence(answer, class_map, novelty) == pytest.approx(expected, abs=1e-6)


def test_it_falls_with_doubt_and_novelty() -> None:
    by_doubt = [confidence(given((LEFT, score)), there(1, 0), 0.3) for score in (0.99, 0.9, 0.7, 0.5)]
    by_novelty = [confidence(given((LEFT, 0.9)), there(1, 0), novelty) for novelty in (0.0, 0.2, 0.9)]
    assert by_doubt == sorted(by_doubt, reverse=True)
    assert by_novelty == sorted(by_novelty, reverse=True)
    assert len({*by_doubt}) == 4
