"""Which keys of a track were computed, and from what: a mark in each of them, so that no memory is needed.

A track that we answer with consists of keys, and a labeler corrects some of them. A computed key carries a
seal of what it was: where it does not fit any more, or there is none, the key is a person's. Beside it stands
a digest of the keys that people had made: where it does not fit, they have said more since. The editor keeps
what it does not know in a key; where it makes one, it copies the next one's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labeler_backend.studio.export_json.tracks import Key, is_track, key_of
from labeler_backend.studio.results import Item
from labeler_backend.studio.shapes import ShapeError

SEAL = "carried"
"""The name of the mark in a key."""
UNFINISHED = "unfinished"
"""In place of a digest, where a track ends because no more was known of it."""


def sealed(key: Key, digest: str) -> str:
    """The mark of a computed key; `digest`: of the keys that people had made."""
    return f"{_short(_written(key))}-{digest}"


def digest_of(keys: Iterable[Key]) -> str:
    """Of keys that people made."""
    return _short("; ".join(sorted(map(_written, keys))))


def keys_of(item: Item) -> list[tuple[Key, str | None]]:
    """The keys of a region in order, one per frame; those that are as computed with their digest."""
    value = item.get("value")
    sequence = value.get("sequence") if isinstance(value, Mapping) else None
    keys: dict[int, tuple[Key, str | None]] = {}
    for entry in sequence if isinstance(sequence, list) else ():
        try:
            key = key_of(entry)
        except ShapeError:
            continue
        seal, _, digest = str(entry.get(SEAL, "")).partition("-")
        keys[key.frame] = key, digest if seal == _short(_written(key)) else None
    return [keys[frame] for frame in sorted(keys)]


def followed(result: Sequence[Any]) -> dict[str, str]:
    """By id of each track in a `result`, the digest of what people made of it.

    Tracks on which they have made nothing, so that nothing can be followed, are left out.
    """
    found = {}
    for item in result:
        if isinstance(item, Mapping) and is_track(item):
            made = [key for key, digest in keys_of(item) if digest is None]
            if made:
                found[str(item.get("id"))] = digest_of(made)
    return found


def to_follow(result: Sequence[Any]) -> dict[str, str]:
    """Those of `followed` whose computed keys, if any, were computed from something else."""
    done = {
        (str(item.get("id")), digest)
        for item in result
        if isinstance(item, Mapping) and is_track(item)
        for _, digest in keys_of(item)
    }
    return {name: digest for name, digest in followed(result).items() if (name, digest) not in done}


def _written(key: Key) -> str:
    """Numbers as they are after a labeler's browser, which rounds far below a thousandth of a percent."""
    numbers = " ".join(f"{key.box[name]:.3f}" for name in ("x", "y", "width", "height", "rotation"))
    return f"{key.frame} {numbers} {key.enabled}"


def _short(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
