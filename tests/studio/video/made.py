"""Keys, regions and clocks of these tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labeler_backend.studio.regions import Place
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.drawn import Box

SIZE = (90, 140)  # H, W
COUNT = 40
CLOCK = Clock(COUNT, 25, 25)
PLACE = Place("box", "video")


@dataclass(frozen=True)
class Key:
    """Of a track."""

    frame: int
    box: Box
    enabled: bool = True


def entry(frame: Any, x: float = 10, **more: Any) -> dict[str, Any]:
    """A key as the editor writes it."""
    box = {"x": x, "y": 10, "width": 20, "height": 30, "rotation": 0}
    return {"frame": frame, "enabled": True, "time": 0.4} | box | more


def region(*entries: Any, name: str = "r1", **more: Any) -> dict[str, Any]:
    """A box through a video as the editor writes it."""
    value = {"framesCount": COUNT, "duration": COUNT / 25, "sequence": list(entries), "labels": ["car"]}
    item = {"id": name, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}
    return item | more
