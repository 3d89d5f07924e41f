"""Tracks → regions of type `videorectangle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from labeler_backend.studio.regions import Place
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.drawn import SEAL, Box, seal

TYPE = "videorectangle"

_DECIMALS = 5  # of percent


class TrackKey(Protocol):
    """One key of a track; between two of them a box moves evenly."""

    @property
    def frame(self) -> int:
        """Of the file, from 0."""

    @property
    def box(self) -> Box:
        """x, y, width, height in pixels."""

    @property
    def enabled(self) -> bool:
        """Whether it is to be seen after this frame."""


def track_region(
    keys: Sequence[TrackKey],
    place: Place,
    clock: Clock,
    size: tuple[int, int],
    *,
    object_id: str,
    labels: Sequence[str],
    score: float,
    drawn: Mapping[int, Box],
) -> dict[str, Any]:
    """A track → the item of a prediction's `result`.

    Keys at `drawn` frames are the person's, to the number; the others are sealed (see `drawn`).

    Args:
        keys: in order.
        place: where it goes.
        clock: of the video in the editor.
        size: (H, W) of the video in pixels.
        object_id: the region's id; that of a person's region replaces it.
        labels: what it is; the editor keeps them within the region.
        score: in [0, 1].
        drawn: boxes that people drew, by frame of the file.
    """
    by_frame = {key.frame: (key.box, key.enabled) for key in keys}
    for frame, box in drawn.items():
        by_frame[frame] = box, by_frame[frame][1] if frame in by_frame else True
    sequence: dict[int, dict[str, Any]] = {}
    for frame, (box, enabled) in sorted(by_frame.items()):
        shown = clock.shown(frame)
        sequence[shown] = _entry(box, size, shown, enabled, clock)
        if frame not in drawn:
            sequence[shown][SEAL] = seal(sequence[shown])
    value: dict[str, Any] = {
        "framesCount": clock.shown_count,
        "duration": clock.duration,
        "sequence": list(sequence.values()),
    }
    return {
        "id": object_id,
        "type": TYPE,
        "from_name": place.from_name,
        "to_name": place.to_name,
        "original_width": size[1],
        "original_height": size[0],
        "score": round(float(score), 4),
        "value": value | ({"labels": list(labels)} if labels else {}),
    }


def _entry(box: Box, size: tuple[int, int], shown: int, enabled: bool, clock: Clock) -> dict[str, Any]:
    x, y, w, h = box
    height, width = size
    return {
        "frame": shown,
        "enabled": enabled,
        "rotation": 0,
        "x": round(100 * x / width, _DECIMALS),
        "y": round(100 * y / height, _DECIMALS),
        "width": round(100 * w / width, _DECIMALS),
        "height": round(100 * h / height, _DECIMALS),
        "time": clock.time(shown),
    }
