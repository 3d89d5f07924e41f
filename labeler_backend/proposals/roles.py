"""Which attention heads look at the figure and which at the ground: found from pictures, per model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from labeler_backend.backbone.features import Features, FloatArray
from labeler_backend.files import write_bytes
from labeler_backend.media import decode
from labeler_backend.proposals.spectral import normalized_cut

THRESHOLD = 0.1
"""Mean correlation from which on a head has a role."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class HeadRoles:
    """Roles of the last layer's heads.

    Attributes:
        agreement: per head, in [-1, 1]: mean correlation of its log attention with the figure side of the
            spectral partition over the calibration pictures.
    """

    agreement: tuple[float, ...]

    @property
    def figure(self) -> tuple[int, ...]:
        """Heads that attend to objects; all that are not ground where none clearly does."""
        heads = range(len(self.agreement))
        clear = tuple(h for h in heads if self.agreement[h] >= THRESHOLD)
        return clear or tuple(h for h in heads if h not in self.ground) or tuple(heads)

    @property
    def ground(self) -> tuple[int, ...]:
        """Heads that attend to what lies around objects; may be none."""
        return tuple(h for h, a in enumerate(self.agreement) if a <= -THRESHOLD)


def find_roles(pictures: Sequence[Features]) -> HeadRoles:
    """Agreement of every head with the spectral partition, over a few pictures.

    The side of the partition with more than its share of the picture's border is the ground.
    """
    rows = [_agreement(features) for features in pictures]
    return HeadRoles(tuple(float(v) for v in np.mean(rows, axis=0)))


def _agreement(features: Features) -> npt.NDArray[np.float64]:
    spectrum = normalized_cut(features.tokens, vectors=1)
    heads = len(features.attention)
    if not len(spectrum.vectors):
        return np.zeros(heads)
    cut = spectrum.vectors[0]
    side = cut > cut.mean()
    if side.all() or not side.any():
        return np.zeros(heads)
    edge = border(features.grid)
    figure = ~side if side[edge].mean() > side.mean() else side
    logs = np.log(features.attention.reshape(heads, -1) + 1e-9)
    steady = logs.std(axis=1) < 1e-6  # a head that looks everywhere alike has no role
    side_of = figure.ravel().astype(np.float64)
    return np.array(
        [0.0 if s else np.corrcoef(row, side_of)[0, 1] for s, row in zip(steady, logs, strict=True)]
    )


def border(grid: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """(gh, gw) bool, the outermost patches."""
    edge = np.ones(grid, bool)
    edge[1:-1, 1:-1] = False
    return edge


def figure_map(features: Features, roles: HeadRoles) -> FloatArray:
    """How much more the figure heads look at each patch than the ground heads do.

    Where a model has no ground head, the whole picture's mean stands in for it.

    Returns:
        (gh, gw) float32 log ratio; about 0 where neither prevails.
    """
    shares = features.attention / np.maximum(features.attention.sum(axis=(1, 2), keepdims=True), 1e-12)
    figure = np.log(shares[list(roles.figure)].mean(axis=0) + 1e-9)
    if roles.ground:
        return np.asarray(figure - np.log(shares[list(roles.ground)].mean(axis=0) + 1e-9), np.float32)
    return np.asarray(figure - figure.mean(), np.float32)


def calibration_pictures() -> list[npt.NDArray[np.uint8]]:
    """The few free pictures that come with the package, RGB."""
    folder = resources.files("labeler_backend.proposals") / "calibration"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".jpg"))
    return [decode((folder / name).read_bytes()) for name in names]


def cached_roles(
    model_key: str, encode: Callable[[Sequence[npt.NDArray[np.uint8]]], list[Features]], folder: Path
) -> HeadRoles:
    """Roles of a model, computed once and kept as JSON; a file that does not fit is redone."""
    path = folder / f"{model_key.replace('/', '--').replace(':', '_')}.v{VERSION}.json"
    kept = _read(path)
    if kept is not None:
        return kept
    roles = find_roles(encode(calibration_pictures()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, json.dumps({"model": model_key, "agreement": roles.agreement}).encode())
    except OSError:
        pass  # a read-only cache costs a second at the next start, nothing else
    return roles


def _read(path: Path) -> HeadRoles | None:
    try:
        agreement = json.loads(path.read_text(encoding="utf-8"))["agreement"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = isinstance(agreement, list) and len(agreement) > 0
    if not fits or not all(isinstance(v, float) and -1.0 <= v <= 1.0 for v in agreement):
        return None
    return HeadRoles(tuple(agreement))
