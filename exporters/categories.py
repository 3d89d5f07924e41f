"""Classes and their ids, the same in every export of a project."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from labeler_backend.errors import InputError, LabelerError
from labeler_backend.files import write_bytes
from labeler_backend.records import UNNAMED


class Categories:
    """Which id each class has; one that is not known yet gets the next id after the largest.

    Args:
        known: ids of earlier exports, from 1; they never change.
        names: classes to have ids before any label is met, in this order, such as a labelling config's.
    """

    def __init__(self, known: Mapping[str, int] | None = None, names: Sequence[str] = ()) -> None:
        self._ids = dict(known or {})
        self._next = max(self._ids.values(), default=0) + 1
        for name in names:
            self.id_of(name)

    def id_of(self, label: str | None) -> int:
        """Id of a label; None and the empty label are an `object`."""
        name = label or UNNAMED
        found = self._ids.get(name)
        if found is None:
            found = self._ids[name] = self._next
            self._next += 1
        return found

    @property
    def names(self) -> dict[str, int]:
        """Every class and its id, by rising id."""
        return dict(sorted(self._ids.items(), key=lambda item: item[1]))

    @classmethod
    def load(cls, path: Path, names: Sequence[str] = ()) -> Categories:
        """What `save` wrote, then `names`; without the file, only `names`.

        Raises:
            InputError: the file cannot be read, or is not an object of names and ids from 1, each id once.
        """
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls(names=names)
        except OSError as e:
            raise InputError(f"Categories in {path} cannot be read ({e.strerror}): check the path.") from e
        return cls(_checked(content, path), names)

    def save(self, path: Path) -> None:
        """Writes {name: id} as JSON, whole or not at all.

        Raises:
            LabelerError: the folder cannot be written, or the disk is full.
        """
        text = json.dumps(self.names, ensure_ascii=False, indent=1) + "\n"
        try:
            write_bytes(path, text.encode("utf-8", "replace"))
        except OSError as e:
            reason = e.strerror or e
            raise LabelerError(
                f"Categories cannot be saved in {path} ({reason}): check the folder and the room on the disk."
            ) from e


def _checked(content: bytes, path: Path) -> dict[str, int]:
    """Names and ids of a categories file."""
    mend = f'mend it by hand (such as {{"car": 1, "dog": 2}}), or delete {path} to number the classes anew.'
    try:
        pairs = json.loads(content, object_pairs_hook=tuple)  # a class named twice would be lost in a dict
    except (ValueError, RecursionError) as e:
        raise InputError(f"Categories in {path} are not JSON ({e}): {mend}") from e
    if not isinstance(pairs, tuple):
        raise InputError(f"Categories in {path} are not a JSON object of names and ids: {mend}")
    name_of: dict[int, str] = {}
    for name, number in pairs:
        if not name or not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise InputError(f"Categories in {path} give {name!r} no id of 1 or more: {mend}")
        if number in name_of:
            raise InputError(
                f"Categories in {path} give {name_of[number]!r} and {name!r} the same id {number}: {mend}"
            )
        if name in name_of.values():
            raise InputError(f"Categories in {path} hold {name!r} twice: {mend}")
        name_of[number] = name
    return {name: number for number, name in name_of.items()}
