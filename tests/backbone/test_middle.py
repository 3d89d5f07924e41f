from __future__ import annotations

import pytest
import torch

from labeler_backend.backbone.middle import Middle, depths


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        pytest.param(12, (6, 9), id="small and base"),
        pytest.param(24, (12, 18), id="large"),
        pytest.param(40, (20, 30), id="giant"),
        pytest.param(2, (1,), id="both the same"),
        pytest.param(1, (1,), id="only one"),
    ],
)
def test_depths(blocks: int, expected: tuple[int, ...]) -> None:
    assert depths(blocks) == expected


def test_side_by_side_without_prefix_and_clipped() -> None:
    first = torch.tensor([[[9.0], [1.0], [1e6]]])
    second = torch.tensor([[[9.0], [-1e6], [4.0]]])
    found = Middle({"0009": second, "0006": (first,)}).patches(prefix=1)
    assert found.dtype == torch.float16
    assert found.tolist() == [[[1, -65504], [65504, 4]]]
