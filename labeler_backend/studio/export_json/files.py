"""Label Studio's JSON export, task by task, with memory that does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import ijson

from labeler_backend.errors import LabelerError
from labeler_backend.records import Problem, Tell

_HEAD = 1 << 16
_BOM = b"\xef\xbb\xbf"
_AGAIN = "export the project again as JSON"
_GIVE_UP = 1000  # entries that are no tasks, and no task before them
_PACKED = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "packed with gzip"}


class ExportError(LabelerError):
    """A file that is not Label Studio's JSON export, or not a whole one."""


def tasks_in(path: Path, tell: Tell | None = None) -> Iterator[dict[str, Any]]:
    """The tasks of a JSON export, one at a time, in their order.

    An array of tasks, one task alone, and a task per line can be read, with or without a byte order mark.
    A damaged file gives all tasks before the damage; then `tell` hears of it, or without `tell` it is raised.

    Raises:
        ExportError: it cannot be opened, is something else (JSON-MIN, COCO, CSV, an export of Label Studio
            before 1.0), or holds no whole task.
    """
    try:
        with path.open("rb") as file:
            yield from _tasks(file, path, tell)
    except OSError as error:
        raise ExportError(f"{path} cannot be read ({error.strerror or error}): check the path.") from error


def _tasks(file: IO[bytes], path: Path, tell: Tell | None) -> Iterator[dict[str, Any]]:
    prefix = _prefix(file, path)
    count = strange = 0
    damage = None
    items = ijson.items(file, prefix, use_float=True, multiple_values=not prefix)
    while count or strange < _GIVE_UP:
        try:
            item = next(items)
        except StopIteration:
            break
        except (ijson.JSONError, UnicodeDecodeError, OverflowError, RecursionError) as error:
            damage = " ".join(str(error).split())[:80]
            break
        if isinstance(item, dict) and not count:
            _check(item, path)
        if isinstance(item, dict) and "data" in item:
            count += 1
            yield item
        else:
            strange += 1
            if tell:
                reason = f"Entry {count + strange} of {path} is not a task: {_AGAIN}."
                tell(Problem(reason, "left out"))
    _end(path, count, strange, damage, tell)


def _end(path: Path, count: int, strange: int, damage: str | None, tell: Tell | None) -> None:
    if damage is not None:
        found = f"after {count} whole tasks" if count else "before its first whole task"
        reason = f"{path} is damaged or cut off {found} ({damage}): {_AGAIN}."
        if not count or tell is None:
            raise ExportError(reason)
        tell(Problem(reason, "left out"))
    elif not count:
        what = "a list of something else than tasks" if strange else "an export without tasks"
        raise ExportError(f"{path} is {what}: {_AGAIN}, with tasks in it.")


def _prefix(file: IO[bytes], path: Path) -> str:
    """Where in the file its tasks lie, in ijson's words; the file stands at its beginning then."""
    head = file.read(_HEAD)
    start = len(_BOM) if head.startswith(_BOM) else 0
    text = head[start:].lstrip()
    if not text:
        raise ExportError(f"{path} is empty: {_AGAIN}.")
    packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)
    if packed:
        raise ExportError(f"{path} is {packed}: unpack it first.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ExportError(f"{path} is written in UTF-16: {_AGAIN}, or save it as UTF-8.")
    file.seek(start)
    if text.startswith(b"["):
        return "item"
    if not text.startswith(b"{"):
        first = text.split(b"\n", 1)[0]
        what = "a table (CSV or TSV)" if b"," in first or b"\t" in first else "not JSON"
        raise ExportError(f"{path} is {what}, and not Label Studio's JSON export: {_AGAIN}.")
    _check_keys(file, path)
    file.seek(start)
    return ""


def _check_keys(file: IO[bytes], path: Path) -> None:
    """Of an object: tells a task from a COCO file without reading more than needed."""
    keys = set()
    try:
        for prefix, event, value in ijson.parse(file, multiple_values=True):
            if prefix == "" and event == "map_key":
                keys.add(value)
                if value in ("images", "categories"):
                    raise ExportError(
                        f"{path} is a COCO file, and not Label Studio's JSON export: read it as COCO."
                    )
            if value in ("data", "completions") and event == "map_key" and prefix == "":
                return
            if prefix == "" and event == "end_map":
                break
    except (ijson.JSONError, UnicodeDecodeError):
        return  # said where it is read
    _check(dict.fromkeys(keys), path)


def _check(item: Mapping[str, Any], path: Path) -> None:
    """Of entries up to the first task."""
    if "completions" in item:
        raise ExportError(
            f"{path} was made by a Label Studio before 1.0: import it into a newer one, and {_AGAIN}."
        )
    if "data" not in item and item.keys() & {"annotation_id", "annotator", "lead_time"}:
        raise ExportError(f"{path} is a JSON-MIN export, which lacks what an export needs: {_AGAIN}.")
