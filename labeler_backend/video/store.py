"""Tokens and shares of a stretch of frames, on disk while it is gone through from both ends."""

from __future__ import annotations

import tempfile
from typing import IO

import numpy as np

from labeler_backend.backbone.features import FloatArray


class Store:
    """Arrays by position, in half precision, in files that vanish with it. All of one kind have one shape."""

    def __init__(self) -> None:
        self._files: dict[str, IO[bytes]] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *problem: object) -> None:
        for file in self._files.values():
            file.close()

    def put(self, kind: str, position: int, values: FloatArray) -> None:
        """Keep one array; files are read and written, not mapped, so that they do not count as memory."""
        if kind not in self._files:
            self._files[kind] = tempfile.TemporaryFile(prefix="labeler-video-")  # noqa: SIM115, closed on exit
            self._shapes[kind] = values.shape
        file = self._files[kind]
        file.seek(position * values.size * 2)
        file.write(values.astype(np.float16).tobytes())

    def get(self, kind: str, position: int) -> FloatArray:
        """What was put there."""
        shape = self._shapes[kind]
        size = int(np.prod(shape)) * 2
        file = self._files[kind]
        file.seek(position * size)
        return np.frombuffer(file.read(size), np.float16).reshape(shape).astype(np.float32)
