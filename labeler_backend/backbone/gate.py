"""Lets urgent work overtake what is already running in the same process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from labeler_backend.backbone.hooks import blocks


class Gate:
    """Background threads stand still at their checkpoints while anybody does urgent work.

    A forward pass cannot be interrupted, but it can wait between two of its layers: that frees the cores
    within a few hundredths of a second, and nothing computed so far is lost.
    """

    def __init__(self) -> None:
        self._urgent = 0
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self._thread = threading.local()

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """While somebody is inside, background threads wait."""
        with self._lock:
            self._urgent += 1
            self._open.clear()
        try:
            yield
        finally:
            with self._lock:
                self._urgent -= 1
                if not self._urgent:
                    self._open.set()

    @contextmanager
    def background(self) -> Iterator[None]:
        """What this thread does inside gives way at each `checkpoint`."""
        self._thread.gives_way = True
        try:
            yield
        finally:
            self._thread.gives_way = False

    def checkpoint(self) -> None:
        """Waits here if this thread is in the background and somebody is urgent. Hold no lock meanwhile."""
        if getattr(self._thread, "gives_way", False):
            self._open.wait()


def check_between_layers(model: nn.Module, gate: Gate) -> None:
    """Makes every layer of a transformer begin with a checkpoint.

    Only for models on a CPU: on an accelerator a forward pass is short and holds the lock of the device.
    """

    def wait(_module: nn.Module, _args: Any) -> None:
        gate.checkpoint()

    for layer in blocks(model):
        layer.register_forward_pre_hook(wait)
