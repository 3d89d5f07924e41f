"""How far a run has come, on disk: what propagation needs to go on from there."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labeler_backend.errors import InputError
from labeler_backend.files import write_bytes
from labeler_backend.video.propagate import Reached

_OURS = "labeler_backend.video."
_ARRAYS = frozenset(
    f"{module}.{name}"
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy._core.numeric")
    for name in ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer")
)


def save(path: Path, reached: Sequence[Reached]) -> None:
    """Whole or not at all."""
    write_bytes(path, pickle.dumps(list(reached), protocol=5))


def load(path: Path) -> list[Reached]:
    """What was saved.

    Raises:
        InputError: it is damaged, or another version of this program wrote it.
    """
    try:
        found = _OwnTypesOnly(io.BytesIO(path.read_bytes())).load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise InputError(
            f"{path} is damaged or of another version of labeler: start anew with --overwrite."
        ) from error
    if not isinstance(found, list) or not all(isinstance(one, Reached) for one in found):
        raise InputError(f"{path} is not what a run leaves behind: start anew with --overwrite.")
    return found


class _OwnTypesOnly(pickle.Unpickler):
    """Makes arrays and what `video` defines, and calls nothing else: a folder may come from anywhere."""

    def find_class(self, module: str, name: str, /) -> Any:
        if f"{module}.{name}" in _ARRAYS:
            return super().find_class(module, name)
        if module.startswith(_OURS) and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} does not belong in it")
