"""Records into a data set: edited, split, with their pictures, one at a time."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from exporters.pictures.folder import Found, fitted, place
from exporters.pictures.upright import header
from exporters.splits import Split
from exporters.writer import Writer
from labeler_backend.errors import InputError
from labeler_backend.merging import merge_touching, split_blobs
from labeler_backend.records import Problem, Record, Tell, VideoRecord

Item = Record | VideoRecord

_LONGEST = 240  # bytes of a file's name: file systems take 255, and writers add endings
_LONGEST_FOLDER = 100  # characters


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the pictures of records come from, and what becomes of them.

    Attributes:
        find: a record's picture; None where there is none; InputError where it cannot be had.
        how: `copy` and `link` put it where the format wants it, `reference` only names it.
        every: whether each is looked for. Else only those that are put somewhere, or whose size nobody knows.
    """

    find: Callable[[Item], Found | None]
    how: Literal["copy", "link", "reference"] = "reference"
    every: bool = True


@dataclass(frozen=True, slots=True)
class Edits:
    """What is done to instances before they are written.

    Attributes:
        merge_touching: those of one label that touch become one.
        split_blobs: each connected part becomes one.
    """

    merge_touching: bool = False
    split_blobs: bool = False

    def __call__(self, record: Record) -> Record:
        """The record with other instances."""
        instances = list(record.instances)
        if self.merge_touching:
            instances = merge_touching(instances)
        if self.split_blobs:
            instances = [part for whole in instances for part in split_blobs(whole)]
        return replace(record, instances=tuple(instances))


@dataclass(slots=True)
class Summary:
    """What was written.

    Attributes:
        counts: `images`, `instances`, … over all data sets; what was done with pictures.
        annotators: folders of the annotators' data sets, where each has one.
    """

    counts: Counter[str] = field(default_factory=Counter)
    annotators: list[str] = field(default_factory=list)


def write_dataset(
    records: Iterable[Item],
    folder: Path,
    make_writer: Callable[[Path], Writer],
    tell: Tell,
    *,
    pictures: Pictures | None = None,
    edits: Edits | None = None,
    split: Split | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Summary:
    """Writes all records; annotators who have records of their own get a folder of their own each.

    Args:
        records: taken one at a time.
        folder: exists; whoever calls this renames it when all is whole.
        make_writer: a writer for a folder that exists.
        tell: of what could not be taken as it is.
        pictures: None = nothing is known of them.
        edits: None = none.
        split: None = no splits.
        progress: given the number of records after each.

    Raises:
        LabelerError: what no single record is to blame for.
        OSError: the folder cannot be written, or the disk is full.
    """
    run = _Run(folder, make_writer, tell, pictures, split)
    try:
        for done, record in enumerate(records, 1):
            edited = edits(record) if edits and isinstance(record, Record) else record
            run.add(edited)
            progress(done)
        return run.finish()
    finally:
        run.close()


class _Run:
    """One export: its writers, one per annotator or one for all."""

    def __init__(
        self,
        folder: Path,
        make_writer: Callable[[Path], Writer],
        tell: Tell,
        pictures: Pictures | None,
        split: Split | None,
    ) -> None:
        self._folder = folder
        self._make_writer = make_writer
        self._tell = tell
        self._pictures = pictures
        self._split = split
        self._writers: dict[str | None, tuple[Path, Writer]] = {}
        self._places = pictures is not None and pictures.how != "reference"
        self._names: dict[str, int] = {}
        self._on_their_side: dict[str, None] = {}  # in their order; once, however many annotators
        self._summary = Summary()

    def add(self, item: Item) -> None:
        folder, writer = self._writer(item.annotator)
        split = self._split.of(item.group) if self._split else None
        goes_to = writer.picture_path(item, split) if self._pictures else None
        found = self._found(item, wanted=goes_to is not None)
        sized = self._sized(item, found)
        if sized is None:
            return
        named = replace(sized, file_name=self._name(sized, found))
        writer.add(named, split)
        if found and self._places:
            self._place(named, found, writer.picture_path(named, split), folder)

    def finish(self) -> Summary:
        if not self._writers:
            self._writer(None)
        for _, writer in self._writers.values():
            self._summary.counts.update(writer.finish())
        if self._on_their_side:
            count, first = len(self._on_their_side), next(iter(self._on_their_side))
            which = f"{count} pictures, such as {first}, are" if count > 1 else f"Picture {first} is"
            reason = (
                f"{which} upright by EXIF alone, and labels are those of the upright picture: give --media "
                "copy, which turns the pixels, unless what reads them minds EXIF."
            )
            self._tell(Problem(reason, "kept", file_name=first))
        self._summary.annotators = sorted(
            folder.name for annotator, (folder, _) in self._writers.items() if annotator is not None
        )
        return self._summary

    def close(self) -> None:
        for _, writer in self._writers.values():
            writer.close()

    def _writer(self, annotator: str | None) -> tuple[Path, Writer]:
        if annotator not in self._writers:
            folder = self._folder
            if annotator is not None:
                taken = {path.name.casefold() for path in self._folder.iterdir()}
                name = re.sub(r"[^\w.@-]+", "_", annotator).strip(".")[:_LONGEST_FOLDER] or "_"
                folder = self._folder / _free(name, taken)
                folder.mkdir()
            self._writers[annotator] = folder, self._make_writer(folder)
        return self._writers[annotator]

    def _found(self, item: Item, wanted: bool) -> Found | None:
        """Its picture, where one is needed and can be had; tells where it cannot."""
        source = self._pictures
        if source is None:
            if item.size is None:
                reason = (
                    f"Nothing says how large {item.file_name} is, as nobody marked anything: give --images."
                )
                self._tell_of(item, reason)
            return None
        placed = wanted and source.how != "reference"
        if not (source.every or placed or item.size is None):
            return None
        try:
            found = source.find(item)
            reason = f"The picture of {item.file_name} was not found: check --images."
        except InputError as error:
            found, reason = None, str(error)
        if found is None:
            self._tell_of(item, reason)
        return found

    def _sized(self, item: Item, found: Found | None) -> Item | None:
        """With the size that its picture has; None where nobody knows it."""
        if found is None or isinstance(item, VideoRecord):
            return item if item.size is not None else None
        try:
            size, orientation = header(found.path)
        except InputError as error:
            self._tell_of(item, str(error))
            return item if item.size is not None else None
        if orientation > 1 and self._pictures and self._pictures.how != "copy":
            self._on_their_side[found.name] = None
        return fitted(item, size, self._tell)

    def _tell_of(self, item: Item, reason: str) -> None:
        """Of a picture; without its size there is no place for the record."""
        done: Literal["kept", "left out"] = "left out" if item.size is None else "kept"
        self._tell(Problem(reason, done, item.task_id, file_name=item.file_name))

    def _name(self, item: Item, found: Found | None) -> str:
        """The name under which it is written: that of its picture, but never that of another record."""
        given = found.name if found else item.file_name
        name = _shortened(given)
        path = Path(name)
        mark = item.task_id or item.id
        names = itertools.chain(
            [path], (path.with_name(f"{path.stem}-{m}{path.suffix}") for m in _marks(mark))
        )
        free = next(n for p in names if self._owner(n := p.as_posix(), item.id) == item.id)
        if name != given:
            reason = f"The name {given} is too long to be written everywhere: it became {free}."
            self._tell(Problem(reason, "mended", item.task_id, file_name=given))
        elif free != given:
            reason = f"Another task shows {given} too: this one is written as {free}"
            if not self._places:
                reason += ", a name that no picture has"
            self._tell(
                Problem(f"{reason}; delete one of the two tasks.", "kept", item.task_id, file_name=given)
            )
        return free

    def _owner(self, name: str, item_id: int) -> int:
        """Whose a name is; where files are written, one that differs by case or accents' form is the same."""
        key = unicodedata.normalize("NFC", name).casefold() if self._places else name
        return self._names.setdefault(key, item_id)

    def _place(self, item: Item, found: Found, target: Path | None, folder: Path) -> None:
        assert self._pictures is not None
        if target is None or self._pictures.how == "reference":
            return
        try:
            turned = place(found.path, folder / target, self._pictures.how)
        except InputError as error:
            self._tell_of(item, str(error))
            return
        self._summary.counts["turned_upright"] += turned
        self._summary.counts["pictures"] += 1


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with a number where it is taken."""
    return next(
        free
        for n in range(1, len(taken) + 2)
        if (free := name if n == 1 else f"{name}-{n}").casefold() not in taken
    )


def _marks(first: int) -> Iterator[str]:
    """What is put behind a name that is taken."""
    return itertools.chain([str(first)], (f"{first}-{n}" for n in itertools.count(2)))


def _shortened(name: str) -> str:
    """A name that every file system takes, also with what writers put behind it."""
    folder, slash, last = name.rpartition("/")
    if len(last.encode("utf-8", "replace")) <= _LONGEST:
        return name
    suffix = Path(last).suffix if len(Path(last).suffix) <= 12 else ""
    digest = hashlib.blake2b(last.encode("utf-8", "replace"), digest_size=8).hexdigest()
    stem = last.encode("utf-8", "replace")[: _LONGEST - 40].decode("utf-8", "ignore")
    return f"{folder}{slash}{stem}-{digest}{suffix}"
