"""Masks to PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from labeler_backend.files import write_bytes
from labeler_backend.proposals.types import Proposal

_MAX_INSTANCES = np.iinfo(np.uint16).max
_PNG = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)  # ids come in runs


def instance_map(proposals: Sequence[Proposal], shape: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """(H, W) uint16: 0 = background, k = the k-th mask by falling score, as `annotations.json` orders them.

    Where masks overlap, the higher score wins; of equal scores, the one given first.

    Raises:
        ValueError: a mask is not of this shape, or there are more than 65535.
    """
    if len(proposals) > _MAX_INSTANCES:
        raise ValueError(f"a 16-bit PNG holds {_MAX_INSTANCES} masks, not {len(proposals)}")
    ids = np.zeros(shape, np.uint16)
    ranked = sorted(proposals, key=lambda p: -p.score)
    for number, proposal in reversed(list(enumerate(ranked, 1))):
        if tuple(proposal.rle["size"]) != tuple(shape):
            raise ValueError(f"mask of size {proposal.rle['size']} for an image of {list(shape)}")
        np.copyto(ids, np.uint16(number), where=proposal.mask)
    return ids


def write_instance_png(path: Path, proposals: Sequence[Proposal], shape: tuple[int, int]) -> None:
    """Write `instance_map` as a 16-bit grey PNG, atomically.

    Raises:
        ValueError: as `instance_map`.
        OSError: the folder cannot be written, or the disk is full. Nothing is left behind then.
    """
    _, png = cv2.imencode(".png", instance_map(proposals, shape), _PNG)
    write_bytes(path, png.tobytes())
