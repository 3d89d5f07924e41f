"""The pictures of records: found in a folder, measured, and put beside their labels."""

from __future__ import annotations

import bisect
import contextlib
import errno
import filecmp
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from exporters.pictures.names import LONG, base, cut_upload, names_of, rank, sanitised
from exporters.pictures.upright import header, turn
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.files import part_of
from labeler_backend.masks.rle import area
from labeler_backend.masks.shape import Polygons, same_aspect, scaled
from labeler_backend.media import SUFFIXES
from labeler_backend.records import Instance, Keypoint, Problem, Record, Tell, VideoRecord

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Found:
    """A picture or video on this machine.

    Attributes:
        path: where it lies.
        name: the same relative to its folder, with forward slashes.
    """

    path: Path
    name: str


class PictureFolder:
    """All files below a folder, hidden ones left out, to be found again by what Label Studio calls them.

    Holds their names and 8 bytes beside each: about 150 MB for a million.

    Attributes:
        root: the folder.
        unreadable: folders in it that may not be read.
    """

    def __init__(self, root: Path) -> None:
        """Looks through `root` once; links to folders are followed, each folder is visited once.

        Raises:
            InputError: it is no folder, or may not be read.
        """
        self.root = root
        self.unreadable: list[str] = []
        names = list(_files(root, self.unreadable))
        keys = np.fromiter((hash(sanitised(base(name))) for name in names), np.int64, len(names))
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._names = [names[i] for i in order]
        self._long: list[tuple[str, str]] | None = None  # names as uploads have them, made when needed

    def __len__(self) -> int:
        return len(self._names)

    def find(self, record: Record | VideoRecord) -> Found | None:
        """The file of a record; None where there is none.

        Looked for by `file_name`, then by `uri`: as it is, then without the prefix that Label Studio gives to
        an upload. A file fits when its name does; of several the one wins whose folders do, from the name
        upwards: exactly, then but for case and the form of accents, then but for what an upload does to
        special characters.

        Raises:
            InputError: several files fit equally well.
        """
        ambiguous = ""
        for name in names_of(record):
            fitting = self._fitting(name) or self._cut_short(name)
            if len(fitting) == 1:
                return Found(self.root / fitting[0], fitting[0])
            if fitting and not ambiguous:
                shown = " and ".join(sorted(fitting)[:2]) + (" and others" if len(fitting) > 2 else "")
                ambiguous = f"{record.file_name} may be {shown} in {self.root}: leave one there."
        if ambiguous:
            raise InputError(ambiguous)
        return None

    def _fitting(self, name: str) -> list[str]:
        """The files that fit best, several where they do so equally well."""
        key = hash(sanitised(base(name)))
        start, end = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        candidates = self._names[start:end]
        if len(candidates) <= 1 or name in candidates:
            return candidates if len(candidates) <= 1 else [name]
        ranks = [rank(name, candidate) for candidate in candidates]
        return [one for one, reached in zip(candidates, ranks, strict=True) if reached == max(ranks)]

    def _cut_short(self, name: str) -> list[str]:
        """The files that an upload with a name cut to length may be."""
        ends = cut_upload(name)
        if ends is None:
            return []
        if self._long is None:
            self._long = sorted((sanitised(base(one)), one) for one in self._names if len(base(one)) > LONG)
        fitting = []
        for whole, one in itertools.islice(self._long, bisect.bisect_left(self._long, (ends[0],)), None):
            if not whole.startswith(ends[0]):
                break
            if whole.endswith(ends[1]):
                fitting.append(one)
        return fitting


def upright_size(path: Path) -> tuple[int, int]:
    """(H, W) of the picture as it is shown, from its header and EXIF orientation; decodes nothing.

    Raises:
        InputError: it is damaged, too large, or no picture.
    """
    return header(path)[0]


def fitted(record: Record, size: tuple[int, int], tell: Tell) -> Record:
    """The record as it fits its picture of `size` (H, W).

    A size nobody knew is filled in. Labels drawn on a copy of another size but the same aspect (up to one
    pixel of the smaller one) are scaled; with another aspect nobody knows how they lie, and the record stays
    as it is.
    """
    if record.size == size:
        return record
    if record.size is None:
        return replace(record, size=size)
    was, now = (f"{width}×{height}" for height, width in (record.size, size))
    fact = f"Picture {record.file_name} is {now} pixels, but was labelled at {was}"
    if not same_aspect(record.size, size):
        mend = (
            "its sides are swapped, as when a copy was turned; give the picture that was labelled"
            if record.size == size[::-1]
            else "give the picture that was labelled"
        )
        tell(Problem(f"{fact}: {mend}.", "kept", record.task_id, file_name=record.file_name))
        return record
    scaled_instances = [(one, _scaled(one, record.size, size)) for one in record.instances]
    tell(Problem(f"{fact}: its labels were scaled.", "mended", record.task_id, file_name=record.file_name))
    for one, after in scaled_instances:
        if after is None:
            reason = f"A region of {record.file_name} is smaller than one pixel of the picture of {now}."
            where = (record.task_id, one.annotation_id, one.region_id, record.file_name)
            tell(Problem(reason, "left out", *where))
    kept = tuple(after for _, after in scaled_instances if after is not None)
    return replace(record, size=size, instances=kept)


def place(source: Path, target: Path, how: Literal["copy", "link"]) -> bool:
    """Puts a picture or video where a data set wants it → whether it was turned upright for that.

    Copies are whole files of their own, but for pictures that EXIF says to turn: many trainers ignore that,
    so their pixels are turned (JPEG at quality 95, all else without loss; ICC profile and the rest of the
    EXIF data kept). Links are symbolic and absolute; where the system allows none, hard links; where not
    those either (Windows, across disks), copies. A target with the same content stays.

    Raises:
        InputError: the source cannot be read, or not be turned.
        LabelerError: the target cannot be written, or is already there and another one.
    """
    if how == "link":
        _put(source, target, lambda part: _link(source, part))
        return False
    turned = _is_turned(source, target)
    _put(source, target, lambda part: turn(source, part) if turned else _copy(source, part))
    return turned


# --- finding ------------------------------------------------------------------------------------------------


def _files(root: Path, unreadable: list[str]) -> Iterator[str]:
    """Names of all files, relative, with forward slashes."""
    if not root.is_dir():
        problem = "is no folder: give the one that holds the pictures" if root.exists() else "does not exist"
        raise InputError(f"{root} {problem}.")
    visited: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(root / prefix) as entries:
                status = os.stat(root / prefix)
                if (status.st_dev, status.st_ino) in visited:
                    continue
                if status.st_ino:  # some file systems have none
                    visited.add((status.st_dev, status.st_ino))
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        waiting.append(f"{prefix}{entry.name}/")
                    elif entry.is_file():
                        yield f"{prefix}{entry.name}"
        except OSError as error:
            if not prefix:
                raise InputError(f"{root} may not be read ({error.strerror}): chmod u+rx.") from error
            unreadable.append(prefix)


# --- fitting ------------------------------------------------------------------------------------------------


def _scaled(instance: Instance, old: tuple[int, int], new: tuple[int, int]) -> Instance | None:
    """None where nothing is left of it."""
    shape = scaled(instance.shape, new)
    if not isinstance(shape, Polygons) and not area(shape):
        return None
    down, right = new[0] / old[0], new[1] / old[1]
    points = tuple(Keypoint(point.label, point.x * right, point.y * down) for point in instance.keypoints)
    return replace(instance, shape=shape, keypoints=points)


# --- placing ------------------------------------------------------------------------------------------------


def _is_turned(source: Path, target: Path) -> bool:
    """Whether EXIF says to turn it. A name may say nothing: a cache calls files by their content."""
    try:
        return header(source)[1] > 1
    except InputError:
        if {source.suffix.lower(), target.suffix.lower()} & SUFFIXES:
            raise
        return False  # a video


def _put(source: Path, target: Path, write: Callable[[Path], None]) -> None:
    """`write` makes the file, beside the target; it takes its place when it is whole."""
    part = part_of(target.with_name("picture"))  # a long name has no room for more
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        if os.path.lexists(target):
            if not filecmp.cmp(part, target, shallow=False):
                raise LabelerError(f"{target} is already there, and not {source}: rename one of the two.")
        else:
            os.replace(part, target)
    except OSError as error:
        full = error.errno in _FULL
        mend = "the disk is full; make room" if full else f"{error.strerror or error}; check the folder"
        raise LabelerError(f"{target} cannot be written: {mend}, and run this again.") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _copy(source: Path, part: Path) -> None:
    try:
        shutil.copyfile(source, part)
    except OSError as error:
        if error.errno in _FULL or error.filename == str(part):
            raise
        raise InputError(f"{source} cannot be read ({error.strerror}): check the file.") from error


def _link(source: Path, part: Path) -> None:
    absolute = Path(os.path.abspath(source))
    if not absolute.exists():
        raise InputError(f"{source} does not exist: check the name.")
    for link in (os.symlink, os.link):
        with contextlib.suppress(OSError, NotImplementedError):
            link(absolute, part)
            return
    _copy(source, part)
