"""One version of a head on disk: `head.safetensors`, `learned.json`, and `head.json`, which seals both.

`head.json` holds size and SHA-256 of the other two, and the SHA-256 of what it says itself: whatever is not
as it was written is found out when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import load, save

from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.training import Trained
from labeler_backend.heads.types import Metrics

FORMAT = 1
"""Of `head.json`; another one is refused."""
FACTS, TENSORS, LEARNED = "head.json", "head.safetensors", "learned.json"

_UNSOUND = (ValueError, KeyError, TypeError, AttributeError, IndexError, safetensors.SafetensorError)


def write_version(folder: Path, trained: Trained, facts: Mapping[str, Any]) -> None:
    """Writes a version into a folder that exists, and waits until the disk has it.

    Args:
        folder: nobody reads it yet.
        trained: what to write.
        facts: further ones, as JSON can hold them.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
        ValueError: the head's facts are nothing that JSON can hold.
    """
    tensors, head = trained.head.to_files()
    content = {
        TENSORS: save(tensors),
        LEARNED: _json([list(pair) for pair in trained.learned]),
    }
    body = {
        "format": FORMAT,
        "files": {name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in content.items()},
        "head": head,
        "n_images": trained.n_images,
        "n_held_out": trained.n_held_out,
        "seconds": round(trained.seconds, 3),
        "before": metrics_json(trained.before),
        "after": metrics_json(trained.after),
        **facts,
    }
    sealed = {**body, "sha256": _sha256(_json(body))}
    for name, data in {**content, FACTS: _json(sealed, indent=1)}.items():
        _write(folder / name, data)
    sync_folder(folder)


def read_facts(folder: Path) -> dict[str, Any]:
    """What `head.json` says, its own SHA-256 among it, once it is sure that nothing changed it.

    The other files are looked at, not read: they are there and as long as they were.

    Raises:
        HeadError: there is no such version, it is damaged, or of another format.
    """
    try:
        sealed = json.loads((folder / FACTS).read_bytes())
        body = {key: value for key, value in sealed.items() if key != "sha256"}
        if _sha256(_json(body)) != sealed["sha256"]:
            raise HeadError(_damaged(folder, f"{FACTS} is not what was written"))
        if body["format"] != FORMAT:
            raise HeadError(_damaged(folder, f"its format is {body['format']} and not {FORMAT}"))
        for name, known in body["files"].items():
            if (folder / name).stat().st_size != known["bytes"]:
                raise HeadError(_damaged(folder, f"{name} is not as long as it was"))
    except OSError as error:
        raise HeadError(_unreadable(folder, error)) from error
    except _UNSOUND as error:
        raise HeadError(_damaged(folder, f"{FACTS} is not what was written")) from error
    return {**body, "sha256": sealed["sha256"]}


def read_head(folder: Path) -> Head:
    """The head, checked by SHA-256.

    Raises:
        HeadError: there is no such version, or it is damaged.
    """
    facts = read_facts(folder)
    data = _checked(folder, TENSORS, facts)
    try:
        return Head.from_files(load(data), facts["head"])
    except HeadError:
        raise
    except _UNSOUND as error:
        raise HeadError(_damaged(folder, f"{TENSORS} holds no head")) from error


def read_learned(folder: Path) -> frozenset[tuple[str, str]]:
    """(key, revision) of every sample that the head was learned from.

    Raises:
        HeadError: there is no such version, or it is damaged.
    """
    data = _checked(folder, LEARNED, read_facts(folder))
    try:
        return frozenset((str(key), str(revision)) for key, revision in json.loads(data))
    except _UNSOUND as error:
        raise HeadError(_damaged(folder, f"{LEARNED} holds no samples")) from error


def metrics_json(metrics: Metrics | None) -> dict[str, Any] | None:
    """As strict JSON holds it: what is not a number is null."""
    found = None if metrics is None else _finite(asdict(metrics))
    return found if isinstance(found, dict) else None


def metrics_of(found: Mapping[str, Any] | None) -> Metrics | None:
    """What `metrics_json` gave; null is not a number again.

    Raises:
        KeyError, TypeError, ValueError: it is nothing of the kind.
    """
    if found is None:
        return None
    return Metrics(
        images=int(found["images"]),
        pq=_number(found["pq"]),
        ap50=_number(found["ap50"]),
        foreground=_number(found["foreground"]),
        miou=_number(found["miou"]),
        per_class={
            name: {key: _number(value) for key, value in of.items()}
            for name, of in found["per_class"].items()
        },
        per_image={key: _number(value) for key, value in found["per_image"].items()},
    )


def sync_folder(folder: Path) -> None:
    """Waits until the disk has the folder's list of names, where the system can tell."""
    with contextlib.suppress(OSError):  # Windows opens no folders, and some network drives sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _checked(folder: Path, name: str, facts: Mapping[str, Any]) -> bytes:
    try:
        data = (folder / name).read_bytes()
        sound = _sha256(data) == facts["files"][name]["sha256"]
    except OSError as error:
        raise HeadError(_unreadable(folder, error)) from error
    except _UNSOUND as error:
        raise HeadError(_damaged(folder, f"{FACTS} does not know {name}")) from error
    if not sound:
        raise HeadError(_damaged(folder, f"{name} is not what was written"))
    return data


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _json(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, indent=indent).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _damaged(folder: Path, how: str) -> str:
    return f"The head in {folder} cannot be used ({how}): roll back to another version, or train again."


def _unreadable(folder: Path, error: OSError) -> str:
    if not folder.is_dir():
        return f"There is no head in {folder}: `labeler heads list` says which there are."
    return _damaged(folder, f"{error.filename or 'a file'}: {error.strerror or error}")
