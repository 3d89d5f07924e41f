"""Keys, regions and clocks of these tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labeler_backend.studio.export_json.tracks import key_of
from labeler_backend.studio.regions import Place
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.seals import SEAL, digest_of, sealed

SIZE = (90, 140)  # H, W
COUNT = 40
CLOCK = Clock(COUNT, 25, 25)
PLACE = Place("box", "video")


def entry(frame: Any, x: float = 10, enabled: bool = True, **more: Any) -> dict[str, Any]:
    """A key as the editor writes it."""
    box = {"x": x, "y": 10, "width": 20, "height": 30, "rotation": 0}
    return {"frame": frame, "enabled": enabled, "time": 0.4} | box | more


def computed(frame: int, x: float = 10, *, of: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
    """A key as we answer with it, from those `of` people."""
    key = entry(frame, x, **more)
    return key | {SEAL: sealed(key_of(key), digest_of(map(key_of, of)))}


def region(*entries: Any, name: str = "r1", **more: Any) -> dict[str, Any]:
    """A box through a video as the editor writes it."""
    value = {"framesCount": COUNT, "duration": COUNT / 25, "sequence": list(entries), "labels": ["car"]}
    item = {"id": name, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}
    return item | more
