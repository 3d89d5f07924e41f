"""A folder of pictures as a video: one frame each, in the order in which a person counts."""

from __future__ import annotations

import os
import re
from pathlib import Path

from labeler_backend.errors import InputError
from labeler_backend.media import SUFFIXES, UNSUPPORTED_SUFFIXES, opened
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.source import BrokenFrame, Frame, FrameSource, check_size

_LISTED = SUFFIXES | UNSUPPORTED_SUFFIXES
_NUMBERS = re.compile(r"([0-9]+)")


class FolderFrames(FrameSource):
    """Pictures of one folder, in natural order of their names (2.jpg before 10.jpg), EXIF applied."""

    def __init__(self, folder: Path, frame_rate: float | None = None) -> None:
        """Args: frame_rate: frames per second; without it frames have no time.

        Raises:
            InputError: the folder may not be read, or has no picture that can be.
        """
        self._folder, self._names = folder, _picture_names(folder)
        self.info = VideoInfo(self._first_size(), len(self._names), frame_rate)

    def _first_size(self) -> tuple[int, int]:
        """(H, W) of the first picture that can be opened."""
        problem: InputError | None = None
        for name in self._names:
            try:
                with opened(self._folder / name) as picture:
                    return picture.size
            except InputError as error:
                problem = problem or error
        raise problem or InputError(f"{self._folder} has no pictures: give a folder of frames, or a video.")

    def _read(self, index: int) -> Frame:
        path = self._folder / self._names[index]
        time = index / self.info.frame_rate if self.info.frame_rate else None
        try:
            with opened(path) as picture:
                size = picture.size
                image = picture.rgb() if size == self.info.size else None
        except InputError as error:
            raise BrokenFrame(index, time, str(error)) from error
        check_size(str(path), size, self.info.size, "scale it, or take it out of the folder")
        assert image is not None
        return Frame(index, time, image)


def _picture_names(folder: Path) -> list[str]:
    """Hidden ones and those in folders below are left out; kinds that cannot be decoded keep their place."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _is_picture(entry)]
    except OSError as error:
        raise InputError(
            f"{folder} is a folder that may not be read ({error.strerror}): change its permissions "
            "(chmod u+rx)."
        ) from error
    return sorted(names, key=_natural)


def _is_picture(entry: os.DirEntry[str]) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower()
    return suffix in _LISTED and not entry.name.startswith(".") and not entry.is_dir()


def _natural(name: str) -> tuple[list[str | int], str]:
    """Numbers by value; names that differ in leading zeros only, as they are."""
    parts = _NUMBERS.split(name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
