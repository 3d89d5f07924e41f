"""Which head serves which project: read from disk when it changes, and kept in memory."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from labeler_backend.errors import LabelerError
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.versions import CURRENT, Version, Versions
from labeler_backend.studio.version import with_head

logger = logging.getLogger("labeler_backend")

Folder = Callable[[str], Path | None]
"""A project as Label Studio names it → the folder of its heads; None where its Label Studio is not known."""

_PROJECTS = 256  # kept in memory
_Signature = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Serving:
    """What answers for a project.

    Attributes:
        version: as predictions are stamped and /setup says.
        number: of the head; None = what emerges without labels.
        head: it, or None.
        key: tells this head from every other, in keys of caches; empty without one.
    """

    version: str
    number: int | None = None
    head: Head | None = field(default=None, repr=False)
    key: str = ""


@dataclass
class _Project:
    """What is known of one project, as of one state of its `current.json`.

    Attributes:
        signature: of that file.
        number: of the head that is said to serve.
        unusable: numbers of heads that turned out to be.
        problem: why, one sentence.
        serving: loaded; None = not yet.
    """

    signature: _Signature
    number: int | None
    unusable: set[int] = field(default_factory=set)
    problem: str | None = None
    serving: Serving | None = None


class Live:
    """Safe to share between threads. A head that another process publishes is noticed at the next call."""

    def __init__(self, base: str, folder: Folder, model_key: Callable[[], str | None] = lambda: None) -> None:
        """Args:
        base: what predictions are stamped with where there is no head.
        folder: where a project's heads are.
        model_key: of the loaded model; None = not known yet.
        """
        self.base = base
        self._folder, self._model_key = folder, model_key
        self._known: OrderedDict[str, _Project] = OrderedDict()
        self._lock = threading.Lock()

    def version(self, project: str) -> str:
        """What /setup says; costs a look at one file's date, and loads nothing."""
        with self._lock:
            return self._version(self._project(project))

    def glance(self, project: str) -> str | None:
        """The same, without keeping the project in memory; None where nothing was ever learned for it."""
        with self._lock:
            folder, known = self._folder(project), self._known.get(project)
            signature = _signature(folder)
            if signature is None:
                return None
            if known is None or known.signature != signature:
                known = _looked_at(folder, signature)
            return self._version(known)

    def serving(self, project: str) -> Serving:
        """What answers, loaded; blocks the first time. Where a head is damaged, the one before it."""
        with self._lock:
            found = self._project(project)
            if found.serving is None:
                found.serving = self._load(project, found)
            return found.serving

    def refuse(self, project: str, serving: Serving, why: str) -> None:
        """That head cannot answer after all (it knows another model): the one before it takes over."""
        with self._lock:
            found = self._project(project)
            if serving.number is not None and found.serving == serving:
                found.unusable.add(serving.number)
                found.problem, found.serving = why, None

    def versions(self) -> list[str]:
        """All that serve now somewhere, the base first."""
        with self._lock:
            numbers = {one.number for one in self._known.values() if one.number is not None}
        return [self.base, *(with_head(self.base, number) for number in sorted(numbers))]

    def state(self, project: str) -> tuple[Version | None, str | None]:
        """The version that serves, and what is wrong with the one that should."""
        with self._lock:
            found = self._project(project)
            number = found.number if found.serving is None else found.serving.number
            problem, folder = found.problem, self._folder(project)
        if folder is None or number is None:
            return None, problem
        try:
            return Versions(folder).get(number), problem
        except LabelerError as error:
            return None, problem or str(error)

    def _version(self, found: _Project) -> str:
        return found.serving.version if found.serving else with_head(self.base, found.number)

    def _project(self, name: str) -> _Project:
        folder = self._folder(name)
        signature = _signature(folder)
        known = self._known.get(name)
        if known is None or known.signature != signature:
            known = self._known[name] = _looked_at(folder, signature)
            if len(self._known) > _PROJECTS:
                self._known.popitem(last=False)
        self._known.move_to_end(name)
        return known

    def _load(self, project: str, found: _Project) -> Serving:
        folder = self._folder(project)
        if folder is None or found.number is None:
            return Serving(self.base)
        versions = Versions(folder)
        for number in _candidates(versions, found.number):
            if number in found.unusable:
                continue
            try:
                return self._loaded(versions, number)
            except LabelerError as error:
                found.unusable.add(number)
                found.problem = found.problem or str(error)
                logger.error("Head %d of project %s does not serve: %s", number, project, error)
        return Serving(self.base)

    def _loaded(self, versions: Versions, number: int) -> Serving:
        """Raises:
        HeadError: it is damaged, or of another model.
        """
        version, head = versions.get(number), versions.load(number)
        model = self._model_key()
        if model is not None and version.model_key != model:
            raise HeadError(
                f"Head {number} was trained on features of another model ({version.model_key}) than the one "
                f"that runs ({model}): press Start Training, or start the server with that model."
            )
        return Serving(with_head(self.base, number), number, head, f"{number} {version.sha256}")


def _signature(folder: Path | None) -> _Signature:
    if folder is None:
        return None
    try:
        found = (folder / CURRENT).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _looked_at(folder: Path | None, signature: _Signature) -> _Project:
    if folder is None or signature is None:
        return _Project(signature, None)
    try:
        return _Project(signature, Versions(folder).serving())
    except LabelerError as error:
        return _Project(signature, None, problem=str(error))


def _candidates(versions: Versions, live: int) -> list[int]:
    """The one that is to serve, and those that served before it, the newest first."""
    before = [one.number for one in versions.list() if one.promoted and one.number < live]
    return [live, *sorted(before, reverse=True)]
