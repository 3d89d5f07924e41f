"""Tracks → regions of type `videorectangle`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labeler_backend.studio.export_json.tracks import Key as EditorKey
from labeler_backend.studio.regions import Place
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.seals import SEAL, UNFINISHED, digest_of, sealed
from labeler_backend.video.tracks import Key

TYPE = "videorectangle"

_DECIMALS = 5  # of percent


def track_region(
    keys: Sequence[Key],
    place: Place,
    clock: Clock,
    size: tuple[int, int],
    *,
    object_id: str,
    labels: Sequence[str],
    score: float,
    made: Sequence[EditorKey] = (),
    whole: bool = True,
) -> dict[str, Any]:
    """A track → the item of a prediction's `result`.

    Args:
        keys: that were computed, in order.
        place: where it goes.
        clock: of the video in the editor.
        size: (H, W) of the video in pixels.
        object_id: the region's id; that of a person's region replaces it.
        labels: what it is; the editor keeps them within the region.
        score: in [0, 1].
        made: keys that people made; they stay to the number, and what was computed there gives way.
        whole: whether nothing is left to be computed; else it counts as not followed yet.
    """
    computed = {(at := clock.shown(key.frame) - 1): _percent(key, at, size) for key in keys}
    for key in made:
        before = computed.pop(key.frame, None)
        # a key that somebody left enabled cannot end the track, so the next frame does
        if before is not None and not before.enabled and key.enabled and key.frame + 1 < clock.shown_count:
            computed.setdefault(key.frame + 1, EditorKey(key.frame + 1, key.box, False))
    digest = digest_of(made) if whole else UNFINISHED
    entries = [_entry(key, clock) | {SEAL: sealed(key, digest)} for key in computed.values()]
    entries += [_entry(key, clock) for key in made]
    value: dict[str, Any] = {
        "framesCount": clock.shown_count,
        "duration": clock.duration,
        "sequence": sorted(entries, key=lambda entry: int(entry["frame"])),
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


def _percent(key: Key, frame: int, size: tuple[int, int]) -> EditorKey:
    """As the editor has it, at its `frame` (from 0)."""
    x, y, w, h = key.box
    height, width = size
    numbers = {"x": x / width, "y": y / height, "width": w / width, "height": h / height}
    box = {name: round(100 * number, _DECIMALS) for name, number in numbers.items()}
    return EditorKey(frame, box | {"rotation": 0}, key.enabled)


def _entry(key: EditorKey, clock: Clock) -> dict[str, Any]:
    """Without `enabled`, `rotation` and `time` on each of them Label Studio fails to export the project."""
    shown = key.frame + 1
    return {"frame": shown, "enabled": key.enabled, **key.box, "time": clock.time(shown)}
