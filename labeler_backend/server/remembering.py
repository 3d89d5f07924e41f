"""What was answered to clicks in the last few seconds, for the next click.

The editor writes a labeler's draft about five seconds after a change (its `autosaveDelay`), and until then no
request says what became of the last answer. Kept on disk among what replicas share, so that any of them can
answer the next click; what is lost costs nothing but that click's memory.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from labeler_backend.store import Store

UNSAVED = 10.0
"""Seconds after which an answer that was accepted is in a draft, slow networks included."""

Region = dict[str, Any]


class Remembering:
    """Safe to share between threads and processes; of two clicks in the same instant one may be forgotten."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        """`store` is shared by all that answer for a project; so is `clock`, in seconds."""
        self._store, self._clock = store, clock

    def answers(self, place: Sequence[object], prompts: Collection[str]) -> list[Region]:
        """The newest regions that were answered on a page, each id once.

        Args:
            place: project, task, picture, page.
            prompts: ids of what is asked with; an answer to a part of it was never accepted.
        """
        found: dict[str, list[Region]] = {}
        for entry in self._entries(place):
            if not set(entry["prompts"]) <= set(prompts):
                ids = {str(region["id"]) for region in entry["result"]}
                for name in ids:
                    found[name] = [region for region in entry["result"] if region["id"] == name]
        return [region for regions in found.values() for region in regions]

    def keep(self, place: Sequence[object], prompts: Collection[str], result: Sequence[Region]) -> None:
        """Takes note of an answer."""
        if result:
            entry = {"at": self._clock(), "prompts": sorted(prompts), "result": list(result)}
            self._store.write(_key(place), json.dumps([*self._entries(place), entry]).encode())

    def _entries(self, place: Sequence[object]) -> list[dict[str, Any]]:
        """Those young enough to count, the oldest first."""
        data = self._store.read(_key(place))
        if data is None:
            return []
        try:
            entries = json.loads(data)
            return [one for one in entries if 0 <= self._clock() - one["at"] <= UNSAVED]
        except (ValueError, KeyError, TypeError):  # after a power cut
            self._store.discard(_key(place))
            return []


def _key(place: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(list(place), default=str).encode()).hexdigest()
