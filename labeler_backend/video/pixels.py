"""From a decoded frame to pixels as they are shown: upright RGB.

What is not plain 8-bit RGB becomes it like this: rotation and mirroring of the container are applied; the
colour matrix and range that the video names are used, and where it names none, BT.709 for HD and BT.601
below, as players do; transparency is laid over white; more than 8 bits are scaled to 8 and HDR is not
tone-mapped; pixels are taken to be square; both fields of an interlaced frame stay in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from labeler_backend.media import RGB

_UNSPECIFIED, _BT709 = 2, 1  # ITU-T H.273, matrix coefficients
_HD_WIDTH, _HD_HEIGHT = 1280, 720


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the container has frames turned and mirrored.

    Attributes:
        rotation: degrees, as PyAV gives them for a picture.
        matrix: (2, 2), how columns and rows are carried over into x and y.
    """

    rotation: int
    matrix: npt.NDArray[np.int32]

    @property
    def is_turned(self) -> bool:
        """Do rows become columns? Angles in between go to the nearest right one."""
        size = np.abs(self.matrix.astype(np.int64))
        return bool(size[0, 1] + size[1, 0] > size[0, 0] + size[1, 1])


def orientation(picture: VideoFrame, known: Orientation | None = None) -> Orientation:
    """Of a picture; `known`, that of the one before, where nothing has changed.

    A picture whose side data has been looked at is part of a reference cycle in PyAV, and not freed before
    the garbage collector comes by: at 4K that is hundreds of megabytes, so it is looked at once.
    """
    if known is not None and picture.rotation == known.rotation:
        return known
    data = cast(Mapping[str, Any], picture.side_data).get("DISPLAYMATRIX")
    if data is None:
        return Orientation(picture.rotation, np.eye(2, dtype=np.int32))
    return Orientation(picture.rotation, np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)[:2, :2])


def upright_size(picture: VideoFrame, turning: Orientation) -> tuple[int, int]:
    """(H, W) as it is shown."""
    return (picture.width, picture.height) if turning.is_turned else (picture.height, picture.width)


def to_rgb(picture: VideoFrame, turning: Orientation) -> RGB:
    """(H, W, 3) uint8, upright."""
    matrix = _BT709 if _is_unnamed_hd(picture) else None  # None: what the picture names
    if any(component.is_alpha for component in picture.format.components):
        image = _over_white(picture.to_ndarray(format="rgba", src_colorspace=matrix).astype(np.uint16))
    else:
        image = picture.to_ndarray(format="rgb24", src_colorspace=matrix).astype(np.uint8, copy=False)
    return np.ascontiguousarray(_upright(image, turning))


def _is_unnamed_hd(picture: VideoFrame) -> bool:
    hd = picture.width >= _HD_WIDTH or picture.height >= _HD_HEIGHT
    return hd and picture.colorspace == _UNSPECIFIED and not picture.format.is_rgb


def _upright(image: RGB, turning: Orientation) -> RGB:
    matrix = turning.matrix
    if turning.is_turned:
        image, matrix = image.transpose(1, 0, 2), matrix[::-1]
    rightward, downward = matrix[0, 0], matrix[1, 1]
    return image[:: -1 if downward < 0 else 1, :: -1 if rightward < 0 else 1]


def _over_white(rgba: npt.NDArray[np.uint16]) -> RGB:
    alpha = rgba[..., 3:]
    laid: RGB = ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return laid
