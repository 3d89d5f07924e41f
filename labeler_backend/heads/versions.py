"""The versions of a project's head: published whole or not at all, rolled back to, deleted.

```
heads/000001/   one version (see version_files); its name is its number, never given twice
heads/current.json   {"number": which one serves, or null; "last": the highest number ever given}
```

A version is written into a folder that nobody looks into, tested, and renamed; only then `current.json` is
replaced. Killed at whatever point, the head that served goes on serving.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from labeler_backend.files import write_bytes
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.training import Trained
from labeler_backend.heads.types import Metrics
from labeler_backend.heads.version_files import (
    metrics_json,
    metrics_of,
    read_facts,
    read_head,
    read_learned,
    sync_folder,
    write_version,
)

CURRENT = "current.json"
_LOCK_SECONDS = 60.0  # publishing takes a second or two
_LEFT = ".part"  # ends the names of what was begun, and of what is about to go


@dataclass(frozen=True, slots=True)
class Version:
    """One head that was trained for a project.

    Attributes:
        number: from 1, never given twice in a project.
        path: of its folder.
        promoted: whether it was found better, and so began to serve when it was made.
        created_at: UTC, ISO 8601.
        kind, classes, model_key: of the head.
        n_images: it was learned from.
        n_held_out: it was measured on.
        before, after: what served until then, and this one, on the same held-out images; None where there
            were none.
        reason: why it was promoted or not.
        seconds: training took.
        sha256: of all that is known of it; no other version has the same.
    """

    number: int
    path: Path
    promoted: bool
    created_at: str
    kind: str
    classes: tuple[str, ...]
    model_key: str
    n_images: int
    n_held_out: int
    before: Metrics | None
    after: Metrics | None
    reason: str
    seconds: float
    sha256: str

    def json(self) -> dict[str, Any]:
        """Everything, JSON-ready; the first key is `version`, its number."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "number"}
        measured = {"before": metrics_json(self.before), "after": metrics_json(self.after)}
        return {
            "version": self.number,
            **found,
            **measured,
            "path": str(self.path),
            "classes": list(self.classes),
        }


@dataclass(frozen=True, slots=True)
class _State:
    """`current.json`."""

    number: int | None = None
    last: int = 0


class Versions:
    """The heads of one project; any number of processes may share it.

    Methods that change something wait for one another, and raise HeadError where another process does not
    finish, the folder cannot be written, or the disk is full; nothing has changed then.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is made with the first version."""
        self.folder = folder

    def list(self) -> builtins.list[Version]:
        """All that can be read, by number."""
        found = []
        for number in self.numbers():
            with contextlib.suppress(HeadError):
                found.append(self.get(number))
        return found

    def numbers(self) -> builtins.list[int]:
        """All that are there, also the damaged ones, in their order."""
        with contextlib.suppress(OSError):
            return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())
        return []

    def get(self, number: int) -> Version:
        """One of them.

        Raises:
            HeadError: there is no such version, or it is damaged.
        """
        path = self._path(number)
        facts = read_facts(path)
        try:
            return _version(number, path, facts)
        except (KeyError, TypeError, ValueError) as error:
            raise HeadError(f"The head in {path} lacks {error}: roll back to another version.") from error

    def serving(self) -> int | None:
        """The number of the one that serves; None before the first one, and where it was rolled back to that.

        Raises:
            HeadError: nobody knows, since `current.json` is damaged.
        """
        return self._state().number

    def current(self) -> Version | None:
        """The one that serves, or None.

        Raises:
            HeadError: it is damaged, or nobody knows which one it is.
        """
        number = self.serving()
        return None if number is None else self.get(number)

    def load(self, number: int) -> Head:
        """The head itself, checked by SHA-256.

        Raises:
            HeadError: there is no such version, or it is damaged.
        """
        return read_head(self._path(number))

    def learned(self, number: int) -> frozenset[tuple[str, str]]:
        """(key, revision) of the samples it was learned from.

        Raises:
            HeadError: there is no such version, or it is damaged.
        """
        return read_learned(self._path(number))

    def publish(
        self,
        trained: Trained,
        test: Callable[[Head], None] = lambda head: None,
        *,
        instead_of: int | None,
    ) -> Version:
        """Keeps a head, and lets it serve where it is better.

        Args:
            trained: the head, and what is known of it.
            test: of the head as it is read back from the disk; raises what keeps it from being published.
            instead_of: which version `trained.before` was measured on. Where another one serves meanwhile,
                the new head does not: nobody knows whether it is better than that.

        Raises:
            HeadError: it fails the test, or cannot be written.
        """
        with self._changing():
            state = self._state()
            serves, reason = _verdict(trained, state.number, instead_of)
            part = self._begin()
            now = datetime.now(timezone.utc).isoformat(timespec="seconds")
            write_version(part, trained, {"created_at": now, "promoted": serves, "reason": reason})
            test(read_head(part))
            read_learned(part)
            number = 1 + max([state.last, *self.numbers()])
            os.rename(part, self._path(number))
            sync_folder(self.folder)
            self._save(_State(number if serves else state.number, number))
            return self.get(number)

    def rollback(self, to: int | None) -> Version | None:
        """Lets an earlier head serve, or, with None, none: as before the first one.

        Raises:
            HeadError: there is no such version, or it is damaged; the one that served goes on.
        """
        with self._changing():
            if to is not None:
                self.load(to)
            self._save(_State(to, max([self._state(lenient=True).last, *self.numbers()])))
            return None if to is None else self.get(to)

    def previous(self) -> int | None:
        """The newest sound version, older than the one that serves, that served once; None = no head did.

        Raises:
            HeadError: no head serves, or nobody knows which one does.
        """
        number = self._state().number
        if number is None:
            raise HeadError(
                f"No head of {self.folder} serves, so there is none to roll back: name a version with --to."
            )
        for version in reversed(self.list()):
            if version.number < number and version.promoted:
                with contextlib.suppress(HeadError):
                    self.load(version.number)
                    return version.number
        return None

    def delete(self, number: int) -> None:
        """Removes a version for good.

        Raises:
            HeadError: it serves, or is not there.
        """
        with self._changing():
            state = self._state()
            if number == state.number:
                raise HeadError(f"Version {number} serves: roll back to another one before it is deleted.")
            if number not in self.numbers():
                raise HeadError(f"There is no version {number}: `labeler heads list` says which there are.")
            if number > state.last:  # its number must not come again
                self._save(_State(state.number, number))
            gone = self.folder / f".{number}{_LEFT}"
            os.rename(self._path(number), gone)
            shutil.rmtree(gone)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}"

    def _begin(self) -> Path:
        """An empty folder to write a version into."""
        part = self.folder / f".new{_LEFT}"
        part.mkdir()
        return part

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One process at a time; clears away what a killed one left, and what this one leaves."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=_LOCK_SECONDS):
                self._sweep()
                try:
                    yield
                finally:
                    self._sweep()
        except Timeout as error:
            raise HeadError(f"Another process changes the heads in {self.folder}: try again.") from error
        except OSError as error:
            raise HeadError(
                f"The heads in {self.folder} cannot be changed ({error.strerror or error}): make room there "
                f"or change its permissions, then do it again; what served goes on serving."
            ) from error

    def _sweep(self) -> None:
        for left in self.folder.glob(f".*{_LEFT}"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def _state(self, lenient: bool = False) -> _State:
        path = self.folder / CURRENT
        try:
            found = json.loads(path.read_bytes())
            number, last = found["number"], found["last"]
            if not isinstance(last, int) or not isinstance(number, int | None):
                raise ValueError(f"{found}")
            return _State(number, last)
        except FileNotFoundError:
            return _State()
        except OSError as error:
            why = error.strerror or error
            raise HeadError(f"{path} cannot be read ({why}): check the disk and its permissions.") from error
        except (ValueError, KeyError, TypeError) as error:
            if lenient:
                return _State()
            raise HeadError(
                f"{path} is damaged, so nobody knows which head serves: say it with "
                f"`labeler heads rollback --to NUMBER`."
            ) from error

    def _save(self, state: _State) -> None:
        data = json.dumps({"number": state.number, "last": state.last}).encode()
        write_bytes(self.folder / CURRENT, data)
        sync_folder(self.folder)


def _verdict(trained: Trained, serves: int | None, instead_of: int | None) -> tuple[bool, str]:
    """Whether it may serve, and why."""
    if trained.better and serves != instead_of:
        return False, "Another head began to serve while this one was trained: train again to compare them."
    return trained.better, trained.reason


def _version(number: int, path: Path, facts: dict[str, Any]) -> Version:
    head = facts["head"]
    return Version(
        number=number,
        path=path,
        promoted=bool(facts["promoted"]),
        created_at=str(facts["created_at"]),
        kind=str(head["kind"]),
        classes=tuple(map(str, head["classes"])),
        model_key=str(head["model_key"]),
        n_images=int(facts["n_images"]),
        n_held_out=int(facts["n_held_out"]),
        before=metrics_of(facts["before"]),
        after=metrics_of(facts["after"]),
        reason=str(facts["reason"]),
        seconds=float(facts["seconds"]),
        sha256=str(facts["sha256"]),
    )
