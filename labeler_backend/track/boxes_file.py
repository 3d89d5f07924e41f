"""Boxes that a person gives, from a text file as the MOTChallenge defines it."""

from __future__ import annotations

import math
import re
from pathlib import Path

from labeler_backend.boxes import Box
from labeler_backend.errors import InputError
from labeler_backend.track.masks import LARGEST_ID
from labeler_backend.video.info import VideoInfo

_LEAST = 6  # columns
_COUNTED = 6  # the column that is 0 where a box is not to be counted
_NUMBER = re.compile(r"[^\s,;]+")


def read_boxes(path: Path, info: VideoInfo) -> dict[int, dict[int, Box]]:
    """Object id → frame, from 0 → its box there.

    A row: frame (from 1), id (from 1), left, top (the picture's first pixel is 1), width, height; then, where
    there is more, whether it counts (0 = no).

    Args:
        path: of the file, its columns apart by commas or spaces.
        info: of the video.

    Raises:
        InputError: no text, no box, or a row that cannot be used.
    """
    boxes: dict[int, dict[int, Box]] = {}
    for number, line in enumerate(_lines(path), 1):
        where = f"Line {number} of {path}"
        cells = _cells(line, where)
        if not cells or (len(cells) > _COUNTED and cells[_COUNTED] == 0):
            continue
        frame, one, box = _row(cells, where)
        _check(frame, one, box, info, where)
        if frame in boxes.setdefault(one, {}):
            raise InputError(f"{where} is a second box of object {one} on frame {frame + 1}: keep one.")
        boxes[one][frame] = box
    if not boxes:
        raise InputError(f"{path} holds no box: give rows of frame, id, left, top, width, height.")
    return boxes


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: check the name.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give a text file of boxes.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: give boxes as the MOTChallenge has them.") from error


def _cells(line: str, where: str) -> list[float]:
    """The numbers of a row; none of an empty line or a comment."""
    if line.lstrip().startswith("#"):
        return []
    try:
        cells = [float(cell) for cell in _NUMBER.findall(line)]
    except ValueError as error:
        raise InputError(f"{where} is not made of numbers: frame, id, left, top, width, height.") from error
    if cells and len(cells) < _LEAST:
        raise InputError(f"{where} has {len(cells)} numbers: frame, id, left, top, width, height are needed.")
    return cells


def _row(cells: list[float], where: str) -> tuple[int, int, Box]:
    """Frame from 0, id, box."""
    frame, one, x, y, w, h = cells[:_LEAST]
    if not all(map(math.isfinite, cells[:_LEAST])) or not frame.is_integer() or not one.is_integer():
        raise InputError(f"{where} has a frame or an id that is no whole number, or a box without end.")
    return int(frame) - 1, int(one), (x - 1, y - 1, w, h)


def _check(frame: int, one: int, box: Box, info: VideoInfo, where: str) -> None:
    x, y, w, h = box
    if not 0 <= frame < info.frame_count:
        raise InputError(
            f"{where} is of frame {frame + 1}, and the video has frames 1 to {info.frame_count}: count them "
            "from 1 in this file."
        )
    if one == -1:
        raise InputError(f"{where} has the id -1, of a detection: number the objects from 1.")
    if not 1 <= one <= LARGEST_ID:
        raise InputError(f"{where} has the id {one}: number the objects from 1 to {LARGEST_ID}.")
    if w <= 0 or h <= 0:
        raise InputError(f"{where} has a box of {w:g}×{h:g} pixels: give a width and a height above 0.")
    if x >= info.size[1] or y >= info.size[0] or x + w <= 0 or y + h <= 0:
        raise InputError(
            f"{where} has a box outside the picture, which is {info.size[1]}×{info.size[0]} pixels: give "
            "boxes in pixels of the video."
        )
