"""What regions enclose, kept for the next click: brush strokes take some 20 ms each to decode."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence

from labeler_backend.studio.areas import Area
from labeler_backend.studio.regions import regions_to_areas, shape_of
from labeler_backend.studio.results import Item, kind_of

_KEPT = 2000  # some kB each
_SLOW = frozenset({"brush", "bitmask"})


class Decoded:
    """The areas of painted regions by what they say; safe to share between threads."""

    def __init__(self, kept: int = _KEPT) -> None:
        """None yet; the least recently used of more than `kept` are dropped."""
        self._kept = kept
        self._areas: OrderedDict[bytes, Area] = OrderedDict()
        self._lock = threading.Lock()

    def areas(self, items: Sequence[Item]) -> list[Area]:
        """As `regions_to_areas`."""
        slow = {n: _key(item) for n, item in enumerate(items) if shape_of(kind_of(item)) in _SLOW}
        with self._lock:
            found = {n: self._areas[key] for n, key in slow.items() if key in self._areas}
        missing = [n for n in range(len(items)) if n not in found]
        found |= zip(missing, regions_to_areas([items[n] for n in missing]), strict=True)
        with self._lock:
            for n, key in slow.items():
                self._areas[key] = found[n]
                self._areas.move_to_end(key)
            while len(self._areas) > self._kept:
                self._areas.popitem(last=False)
        return [found[n] for n in range(len(items))]


def _key(item: Item) -> bytes:
    about = [item.get(name) for name in ("type", "original_width", "original_height", "value")]
    return hashlib.blake2b(json.dumps(about, sort_keys=True, default=str).encode(), digest_size=16).digest()
