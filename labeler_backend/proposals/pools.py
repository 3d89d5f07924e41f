"""Pools of proposals on disk: a picture's are the same for each head, and take as long as the backbone."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from labeler_backend.proposals.types import Proposal
from labeler_backend.store import Store

logger = logging.getLogger("labeler_backend")


class PoolCache:
    """A folder of pools, the least recently used deleted first; any number of processes may share it.

    An entry that is gone or damaged is a miss.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        """`root` is made with the first entry; `max_bytes` is of all entries together, 0 = no cache."""
        self.store = Store(root, max_bytes, ".json")

    def get(self, features_key: str, fingerprint: str) -> list[Proposal] | None:
        """The pool of what has these features, made in that way, or None."""
        key = _key(features_key, fingerprint)
        data = self.store.read(key)
        if data is None:
            return None
        try:
            return [Proposal(**one) for one in json.loads(data)]
        except (ValueError, TypeError) as error:
            logger.warning("%s is damaged (%s) and is computed again.", self.store.path(key), error)
            self.store.discard(key)
            return None

    def put(self, features_key: str, fingerprint: str, pool: Sequence[Proposal]) -> None:
        """Store a pool; never raises because of the disk."""
        if self.store.max_bytes > 0:
            data = json.dumps([asdict(one) for one in pool]).encode()
            self.store.write(_key(features_key, fingerprint), data)


def _key(features_key: str, fingerprint: str) -> str:
    return hashlib.sha256(f"{features_key} {fingerprint}".encode()).hexdigest()
