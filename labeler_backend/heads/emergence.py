"""The emergent proposals as channels that the pixel head sees beside the colours.

A picture's figure stands out without any label; a head of few pictures should lean on that, and learn how far
to trust it, instead of finding the figure anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labeler_backend.heads.windows import all_shrunk
from labeler_backend.proposals.types import Proposal

CHANNELS = 2
SEEN = 20
"""Proposals, the likeliest: the rest says little, and reading it takes time."""


def emergent(proposals: Sequence[Proposal], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(h, w, CHANNELS): the likeliest proposal as a mask, and the score of the likeliest one at each pixel.

    Args:
        proposals: by falling score.
        size: (h, w) of the working picture.
    """
    out = np.zeros((*size, CHANNELS), np.uint8)
    seen = proposals[:SEEN]
    windows = all_shrunk([proposal.rle for proposal in seen], size)
    for index, window in reversed(list(enumerate(windows))):
        out[..., 1][window.place][window.mask] = round(255 * min(1.0, max(0.0, seen[index].score)))
        if index == 0:
            out[..., 0][window.place][window.mask] = 255
    return out
