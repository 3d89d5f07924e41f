"""COCO files, whoever wrote them, to records."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import unquote, urlsplit

import ijson

from exporters.coco.rows import Class, int_or_none, read_instance, read_size
from exporters.coco.shapes import ShapeError, Size, size_in
from labeler_backend.errors import InputError
from labeler_backend.records import Instance, Problem, Record, Tell

_LARGEST_ID = 2**53
_BOM = b"\xef\xbb\xbf"
_IN_NO_NAME = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # of a file


@dataclass(slots=True)
class _Image:
    """An image's row, and its objects as they are met."""

    id: int  # 0 until it is given one
    file_name: str
    size: Size | None
    uri: str | None
    task_id: int | None
    video: str | None
    frame: int | None
    instances: list[Instance] = field(default_factory=list)


def is_coco(path: Path) -> bool:
    """Whether it is a JSON object with `images`; reads as far as that key."""
    try:
        with _opened(path) as file:
            for prefix, event, value in ijson.parse(file):
                if prefix == "" and event == "map_key" and value == "images":
                    return True
                if prefix == "" and event not in ("start_map", "map_key"):
                    return False
    except (OSError, ijson.JSONError):
        pass
    return False


def read_coco(path: Path, tell: Tell) -> Iterator[Record]:
    """The images of a COCO file with their annotations, in the order of the images.

    The file is read three times, for images, categories and annotations. What is held are shapes: 8 bytes per
    number of a polygon and an RLE's text, about as much as the file has.

    Names become relative, with forward slashes; where that changes one, `uri` keeps it. What our own exporter
    adds comes back to where it was: `score`, and of `attributes` the ids, annotator and track. Images that
    stand there twice, as in Label Studio's own export with several annotators, become one.

    Args:
        path: of the file.
        tell: of whatever cannot be taken as it is; also where the file ends in the middle.

    Raises:
        InputError: there is no such file, or it is not COCO.
    """
    if not path.is_file():
        raise InputError(f"{path} is not a file: check the path.")
    if not is_coco(path):
        raise InputError(f"{path} is not a COCO file, a JSON object with images: check what it is.")
    return _Reading(path, tell).records()


class _Reading:
    """One file, as far as it has been understood."""

    def __init__(self, path: Path, tell: Tell) -> None:
        self._path = path
        self._tell_all = tell
        self._images: dict[Hashable, _Image] = {}
        self._by_name: dict[str, _Image] = {}
        self._classes: dict[Hashable, Class] = {}
        self._unknown: set[Hashable] = set()
        self._ids: set[Hashable] = set()
        self._damaged = False

    def records(self) -> Iterator[Record]:
        for row in self._rows("images"):
            self._image(row)
        for row in self._rows("categories"):
            self._category(row)
        for row in self._rows("annotations"):
            self._annotation(row)
        self._number()
        self._images.clear()
        while self._by_name:  # lets go of each when it is taken
            yield _record(self._by_name.pop(next(iter(self._by_name))))

    def _rows(self, key: str) -> Iterator[Mapping[str, Any]]:
        """The objects of one of the file's lists, as far as it can be read."""
        try:
            with _opened(self._path) as file:
                for row in ijson.items(file, f"{key}.item", use_float=True):
                    if isinstance(row, Mapping):
                        yield row
                    else:
                        self._tell(f"An item of {key} is not an object: export the file again.", "left out")
        except ijson.JSONError as e:
            if not self._damaged:
                self._damaged = True
                detail = " ".join(str(e).split())[:80]
                reason = (
                    f"{self._path} is damaged or ends too early ({detail}), and what comes before was taken"
                )
                self._tell(f"{reason}: export it again.", "left out")

    def _image(self, row: Mapping[str, Any]) -> None:
        key, name = row.get("id"), row.get("file_name") or row.get("coco_url")
        if not _is_id(key) or not isinstance(name, str) or not _relative(name):
            return self._tell(f"Image {_short(key)} has no id or no file_name: add them.", "left out")
        relative = _relative(name)
        if key in self._images:
            return self._tell(
                f"The image id {_short(key)} is there twice: give one another.", "left out", relative
            )
        image = _new_image(row, name, relative)
        twin = self._by_name.setdefault(relative, image)
        if twin is not image:
            if twin.size and image.size and twin.size != image.size:
                reason = f"{relative} is there twice, in two sizes: take one of them out."
                return self._tell(reason, "left out", relative)
            self._tell(
                f"{relative} is there twice, under two ids: both became one image.", "mended", relative
            )
        self._images[key] = twin

    def _category(self, row: Mapping[str, Any]) -> None:
        key, name = row.get("id"), row.get("name")
        if not _is_id(key) or not isinstance(name, str) or not name.strip():
            return self._tell(f"Category {_short(key)} has no id or no name: add them.", "left out")
        if key in self._classes:
            return self._tell(f"The category id {_short(key)} is there twice: give one another.", "left out")
        points = row.get("keypoints")
        names = tuple(map(str, points)) if isinstance(points, list) else ()
        self._classes[key] = Class(name, names)

    def _annotation(self, row: Mapping[str, Any]) -> None:
        key, about = row.get("id"), f"Annotation {_short(row.get('id'))}"
        if _is_id(key):
            if key in self._ids:
                self._tell(f"The annotation id {_short(key)} is there twice: give one another.", "kept")
            self._ids.add(key)
        image = self._images.get(row["image_id"]) if _is_id(row.get("image_id")) else None
        if image is None:
            wanted = _short(row.get("image_id"))
            return self._tell(f"{about} belongs to image {wanted}, which is not there: add it.", "left out")
        image.size = image.size or size_in(row)
        if image.size is None:
            reason = f"{about} has no place, as {image.file_name} has no width and height: add them."
            return self._tell(reason, "left out", image.file_name, row)
        try:
            instance, mended = read_instance(row, self._class(row), image.size)
        except ShapeError as error:
            reason = f"{about} of {image.file_name} cannot be used, because {error}: draw it again."
            return self._tell(reason, "left out", image.file_name, row)
        if mended:
            reason = (
                f"{about} of {image.file_name} was taken as far as it can be, because {mended}: look at it."
            )
            self._tell(reason, "mended", image.file_name, row)
        image.instances.append(instance)

    def _class(self, row: Mapping[str, Any]) -> Class | None:
        key = row.get("category_id")
        found = self._classes.get(key) if _is_id(key) else None
        if found is None and _short(key) not in self._unknown:
            self._unknown.add(_short(key))
            self._tell(f"Category {_short(key)} is not there: what has it was taken without a label.", "kept")
        return found

    def _number(self) -> None:
        """Gives ids to images whose own cannot be used."""
        largest = max((image.id for image in self._by_name.values()), default=0)
        nameless = [image for image in self._by_name.values() if not image.id]
        for number, image in enumerate(nameless, max(largest, 0) + 1):
            image.id = number
        if nameless:
            self._tell(
                f"Images whose ids are no numbers from 1, {len(nameless)} of them, were given others.",
                "mended",
            )

    def _tell(
        self,
        reason: str,
        done: Literal["left out", "mended", "kept"],
        file_name: str | None = None,
        row: Mapping[str, Any] | None = None,
    ) -> None:
        own = row.get("attributes") if row else None
        region = own.get("region_id") if isinstance(own, Mapping) else None
        region = region if isinstance(region, str) else None
        self._tell_all(Problem(reason, done, region_id=region, file_name=file_name))


def _opened(path: Path) -> BinaryIO:
    """The file, without the mark that some editors put before UTF-8."""
    file = path.open("rb")
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    return file


def _new_image(row: Mapping[str, Any], name: str, relative: str) -> _Image:
    key, frame = row["id"], row.get("frame")
    address = row.get("coco_url")
    return _Image(
        id=key if type(key) is int and 1 <= key <= _LARGEST_ID else 0,
        file_name=relative,
        size=read_size(row),
        uri=address if isinstance(address, str) and address else (name if name != relative else None),
        task_id=int_or_none(row.get("task_id")),
        video=row["video"] if isinstance(row.get("video"), str) else None,
        frame=int_or_none(frame),
    )


def _record(image: _Image) -> Record:
    return Record(
        id=image.id,
        file_name=image.file_name,
        size=image.size,
        instances=tuple(image.instances),
        uri=image.uri,
        task_id=image.task_id,
        group=image.video or str(image.task_id or image.id),
        video=image.video,
        frame=image.frame,
    )


def _relative(name: str) -> str:
    """A path inside a folder: of an address its path, without what would lead out of the folder."""
    if "://" in name:
        parts = urlsplit(name)
        name = unquote(parts.path)
    name = _IN_NO_NAME.sub("_", name)
    name = posixpath.normpath(name.replace("\\", "/").strip())
    kept = [part for part in name.split("/") if part not in ("", ".", "..") and not part.endswith(":")]
    return "/".join(kept)


def _is_id(value: object) -> bool:
    return type(value) in (int, float, str)


def _short(value: object) -> str:
    """An id as an error may show it."""
    return repr(value)[:40]
