"""One COCO file, written as images come, with memory that does not grow with their number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, BinaryIO

from labeler_backend import __version__
from labeler_backend.records import Keypoint

PointNames = dict[int, dict[str, int]]
"""Category id → name of a key point → its place, from 0."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_VISIBLE = 2  # COCO's v: labelled and to be seen


class CocoFile:
    """Images go to the file as they come; annotations, the second array, wait in a spool.

    What is only known at the end (which key points a class has) is added when the spool is copied.

    Args:
        file: what becomes the COCO file.
        spool: for its annotations, open for reading too.
        description: of the data set.
        points: the key points met so far, one for all files of a data set.
    """

    def __init__(self, file: BinaryIO, spool: BinaryIO, description: str, points: PointNames) -> None:
        self._file = file
        self._spool = spool
        self._points = points
        self.images = 0
        self.annotations = 0
        self._file.write(opening(description, "images"))

    def image(self, fields: Mapping[str, Any]) -> None:
        """Adds a row.

        Raises:
            ValueError: JSON cannot hold it.
        """
        self._file.write((b",\n" if self.images else b"\n") + as_json(fields))
        self.images += 1

    def annotation(
        self, image_id: int, category_id: int, fields: str, keypoints: Sequence[Keypoint] = ()
    ) -> None:
        """Adds an annotation with the next id; `fields`: what follows its ids, as JSON without braces."""
        self.annotations += 1
        placed = ""
        if keypoints:
            places = self._points.setdefault(category_id, {})
            placed = _encode(
                [[places.setdefault(k.label, len(places)), round(k.x, 2), round(k.y, 2)] for k in keypoints]
            )
        row = f'{{"id": {self.annotations}, "image_id": {image_id}, "category_id": {category_id}, {fields}'
        self._spool.write(f"{category_id}\t{placed}\t{row}\n".encode("utf-8", "replace"))

    def finish(self, categories: Mapping[str, int]) -> None:
        """Writes all that is left; `categories`: name → id."""
        self._file.write(b'\n],\n"annotations": [')
        self._spool.seek(0)
        self._file.writelines(self._finished())
        rows = [_category(name, number, self._points.get(number)) for name, number in categories.items()]
        self._file.write(b'\n],\n"categories": ' + as_json(rows) + b"}\n")

    def _finished(self) -> Iterator[bytes]:
        """The spool's rows with their key points, and what stands between them."""
        separator = b"\n"
        for line in self._spool:
            category_id, placed, row = line[:-1].split(b"\t", 2)
            yield separator
            yield row
            places = self._points.get(int(category_id))
            yield b"}" if places is None else _keypoint_fields(json.loads(placed or b"[]"), len(places))
            separator = b",\n"


def opening(description: str, rows: str) -> bytes:
    """How a file of COCO's kind begins, up to the first of its `images` or `videos`."""
    now = datetime.now(timezone.utc)
    info = {
        "description": description,
        "version": "1.0",
        "year": now.year,
        "contributor": f"Emergent Labeler {__version__}",
        "date_created": now.isoformat(timespec="seconds"),
    }
    return b'{"info": ' + as_json(info) + b',\n"licenses": [],\n' + as_json(rows) + b": ["


def as_text(value: object) -> str:
    """JSON of it.

    Raises:
        ValueError, TypeError: JSON cannot hold it.
    """
    return _encode(value)


def as_json(value: object) -> bytes:
    """The same in UTF-8; half a surrogate pair, which that cannot hold, becomes a question mark."""
    return _encode(value).encode("utf-8", "replace")


def _category(name: str, number: int, places: Mapping[str, int] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"id": number, "name": name, "supercategory": ""}
    if places is not None:
        row |= {"keypoints": list(places), "skeleton": []}
    return row


def _keypoint_fields(placed: Sequence[tuple[int, float, float]], count: int) -> bytes:
    """COCO's two fields: x, y, v of every key point of the class, zeros for what is not labelled."""
    flat: list[float] = [0] * (3 * count)
    for place, x, y in placed:
        flat[3 * place : 3 * place + 3] = x, y, _VISIBLE
    labelled = len({place for place, _, _ in placed})
    return f', "num_keypoints": {labelled}, "keypoints": {_encode(flat)}}}'.encode()
