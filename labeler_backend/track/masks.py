"""Masks that a person gives for frames of a video, from picture files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from labeler_backend.errors import InputError
from labeler_backend.media import opened
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.outline import LabelMap

LARGEST_ID = 254
"""Of an object: what comes out are 8-bit PNGs, and 255 is void to those who read DAVIS' masks."""
_WHITE = 255
_LISTED = 8  # ids in a sentence


def read_masks(
    files: Mapping[int, Path], first: int, info: VideoInfo, new_objects: bool = False
) -> dict[int, LabelMap]:
    """Masks by frame, (H, W) ids, 0 = none.

    A mask that is white on black stands for the one object there is, with id 1 where nothing else says.

    Args:
        files: by frame, from 0.
        first: the frame of the mask that says which objects there are.
        info: of the video.
        new_objects: whether other masks may show objects that this one does not.

    Raises:
        InputError: one that cannot be used.
    """
    for frame, path in files.items():
        if not 0 <= frame < info.frame_count:
            raise InputError(
                f"{path} is given for frame {frame}, but there are {info.frame_count} frames "
                f"(0 to {info.frame_count - 1}): frames count from 0."
            )
    masks = {frame: _checked(path, info) for frame, path in files.items()}
    if not masks[first].any():
        raise InputError(f"{files[first]} marks no object: give a mask with at least one value above 0.")
    if _is_white(masks[first]):
        masks[first] = (masks[first] > 0).astype(np.uint16)
    known = ids_of(masks[first])
    for frame, path in files.items():
        if _is_white(masks[frame]):
            if len(known) > 1:
                raise InputError(
                    f"{path} is white on black, which of the objects {_listed(known)} it shows is not said: "
                    "give it their ids."
                )
            masks[frame] = np.where(masks[frame] > 0, known[0], 0).astype(np.uint16)
        _check_ids(masks[frame], path)
        unknown = [one for one in ids_of(masks[frame]) if one not in known]
        if unknown and not new_objects:
            raise InputError(
                f"{path} marks {_listed(unknown)}, and {files[first]} has {_listed(known)}: use the same "
                "ids for the same objects, or allow others to come in later with --new-objects."
            )
    return masks


def read_mask(path: Path) -> LabelMap:
    """(H, W) values of a mask's pixels: of an indexed PNG the indices, of a grey one the grey values.

    Raises:
        InputError: no picture, or one whose values are not ids.
    """
    with opened(path) as picture:
        picture.rgb()  # all of it is read, so that what is damaged is told
    with Image.open(path) as image:
        if image.format == "JPEG":
            raise InputError(f"{path} is a JPEG, which blurs the ids of a mask: save it as PNG.")
        if image.mode == "1":
            return np.asarray(image.convert("L")).astype(np.uint16)
        if image.mode in ("P", "L") or image.mode.startswith("I"):
            return _whole(np.asarray(image), path)
        if image.mode in ("RGB", "RGBA", "LA"):
            channels = np.asarray(image.convert("RGB"))
            if (channels == channels[..., :1]).all():
                return channels[..., 0].astype(np.uint16)
    raise InputError(
        f"{path} is a picture in colours ({image.mode}), not a mask: save it as an indexed or grey PNG whose "
        "values are the ids of the objects, 0 where there is none."
    )


def ids_of(labels: LabelMap) -> list[int]:
    """The objects in a mask, rising."""
    return [int(one) for one in np.unique(labels) if one]


def _checked(path: Path, info: VideoInfo) -> LabelMap:
    labels = read_mask(path)
    if labels.shape != info.size:
        raise InputError(
            f"{path} is {labels.shape[1]}×{labels.shape[0]} pixels, the video {info.size[1]}×{info.size[0]}: "
            "make the mask on a frame of it, at its full size."
        )
    return labels


def _whole(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], path: Path) -> LabelMap:
    if int(values.min()) < 0 or int(values.max()) > np.iinfo(np.uint16).max:
        raise InputError(f"{path} has values from {values.min()} to {values.max()}: number objects from 1.")
    return values.astype(np.uint16)


def _is_white(labels: LabelMap) -> bool:
    return ids_of(labels) == [_WHITE]


def _check_ids(labels: LabelMap, path: Path) -> None:
    ids = ids_of(labels)
    if _WHITE in ids:
        raise InputError(
            f"{path} has the value {_WHITE}, which is void in masks of DAVIS, beside {len(ids) - 1} others: "
            "number that object otherwise, or, where the edges of a white mask are smoothed, save it without."
        )
    if ids and ids[-1] > LARGEST_ID:
        raise InputError(
            f"{path} has ids up to {ids[-1]}, and the masks that come out hold 1 to {LARGEST_ID}: renumber."
        )


def _listed(ids: list[int]) -> str:
    text = ", ".join(map(str, ids[:_LISTED]))
    return f"{text} and {len(ids) - _LISTED} more" if len(ids) > _LISTED else text
