"""Patch tokens after the blocks at half and three quarters of the depth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from labeler_backend.backbone import hooks

_MOST = torch.finfo(torch.float16).max


@dataclass(frozen=True, slots=True)
class Middle:
    """What the hooks caught in one forward pass: by the block's number, what it returned."""

    outputs: dict[str, Any]

    def patches(self, prefix: int) -> torch.Tensor:
        """(B, patches, M) float16, side by side; what is beyond its range is clipped.

        Args:
            prefix: tokens before the patches, [CLS] and registers.
        """
        each = [out[0] if isinstance(out, tuple) else out for _, out in sorted(self.outputs.items())]
        beside = torch.cat([hidden[:, prefix:] for hidden in each], dim=-1)
        return beside.float().clamp(-_MOST, _MOST).half()


def depths(blocks: int) -> tuple[int, ...]:
    """Numbers of the blocks, from 1: 6 and 9 of 12."""
    return tuple(sorted({max(1, blocks // 2), max(1, 3 * blocks // 4)}))


@contextmanager
def capture(model: nn.Module) -> Iterator[Middle]:
    """Catch what the blocks return in the forward pass made inside, only of this thread's."""
    every = hooks.blocks(model)
    with hooks.outputs({f"{depth:04}": every[depth - 1] for depth in depths(len(every))}) as caught:
        yield Middle(caught)
