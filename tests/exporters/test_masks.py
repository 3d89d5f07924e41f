from pathlib import Path

import cv2
import numpy as np
import pytest

from exporters.masks import instance_map, write_instance_png
from labeler_backend.masks.rle import encode
from labeler_backend.proposals.types import Proposal


def proposal(columns: slice, score: float, shape: tuple[int, int] = (4, 10)) -> Proposal:
    mask = np.zeros(shape, bool)
    mask[:, columns] = True
    return Proposal(encode(mask), score, "test")


@pytest.mark.parametrize(
    ("proposals", "expected"),
    [
        pytest.param([], [0] * 10, id="none"),
        pytest.param(
            [proposal(slice(0, 6), 0.2), proposal(slice(4, 9), 0.8)],
            [2, 2, 2, 2, 1, 1, 1, 1, 1, 0],
            id="higher score wins and is 1",
        ),
        pytest.param(
            [proposal(slice(0, 6), 0.5), proposal(slice(4, 9), 0.5)],
            [1, 1, 1, 1, 1, 1, 2, 2, 2, 0],
            id="of equal scores the first wins",
        ),
    ],
)
def test_written_ids(tmp_path: Path, proposals: list[Proposal], expected: list[int]) -> None:
    path = tmp_path / "photos" / "a.jpg.png"
    write_instance_png(path, proposals, (4, 10))
    ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, np.tile(expected, (4, 1)))
    assert list(path.parent.iterdir()) == [path]


def test_more_than_255_masks() -> None:
    ids = instance_map([proposal(slice(k, k + 1), 1 - k / 1000, (2, 400)) for k in range(400)], (2, 400))
    np.testing.assert_array_equal(ids[0], np.arange(1, 401))


def test_wrong_size_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size"):
        write_instance_png(tmp_path / "a.png", [proposal(slice(0, 3), 1.0)], (5, 10))
    assert list(tmp_path.iterdir()) == []
