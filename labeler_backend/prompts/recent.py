"""The scenes of the last few pictures: who clicks, clicks again on the same one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from labeler_backend.prompts.scene import Scene

KEPT = 6
"""Scenes; one takes about 15 MB on a photograph of a megapixel, at most 45."""


class Recent:
    """A few scenes in memory, the least recently used dropped first; shared between threads.

    It holds nothing but what can be computed again: any other process answers the same.
    """

    def __init__(self, kept: int = KEPT) -> None:
        """None yet."""
        self._kept = kept
        self._scenes: OrderedDict[str, Scene] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str, make: Callable[[], Scene]) -> Scene:
        """The scene under a key, made where it is not there; two threads may both make it."""
        with self._lock:
            scene = self._scenes.get(key)
            if scene is not None:
                self._scenes.move_to_end(key)
                return scene
        scene = make()
        with self._lock:
            self._scenes[key] = scene
            while len(self._scenes) > self._kept:
                self._scenes.popitem(last=False)
        return scene
