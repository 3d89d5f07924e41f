"""Label Studio's boxes through a video → their outline in every frame.

As the editor draws them (`VideoRegion`, `VideoRectangleRegion`): linear between key frames, the rotation over
the shorter way round; a key frame with `enabled: false` is itself still shown, and nothing after it until the
next key frame; the last enabled one holds to the end. Frames count from 1 there and from 0 here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from labeler_backend.masks.shape import Shape
from labeler_backend.studio.areas import areas
from labeler_backend.studio.shapes import ShapeError, number, rectangle_outline

_KINDS = frozenset({"videorectangle", "videorectanglelabels"})
MAX_FRAMES = 1_000_000
"""Of one track: nine hours at 30 frames a second. More is damage, and would not fit into memory."""

_PROPERTIES = ("x", "y", "width", "height", "rotation")


@dataclass(frozen=True, slots=True)
class Path:
    """A box through a video.

    Attributes:
        shapes: by frame, from 0.
        notes: middles of sentences: what had to be mended.
    """

    shapes: Mapping[int, Shape]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a region's `sequence`.

    Attributes:
        frame: of the editor's, but from 0.
        box: `x`, `y`, `width`, `height` in percent, `rotation` in degrees.
        enabled: whether the box stays after this frame.
    """

    frame: int
    box: Mapping[str, float]
    enabled: bool


def is_track(item: Mapping[str, Any]) -> bool:
    """Whether an item of a result is a box through a video."""
    kind = item.get("type")
    return isinstance(kind, str) and kind in _KINDS


def frames_of(item: Mapping[str, Any]) -> int | None:
    """How many frames a region says that its video has."""
    value = item.get("value")
    count = value.get("framesCount") if isinstance(value, Mapping) else None
    if isinstance(count, bool) or not isinstance(count, int | float) or not 1 <= count <= MAX_FRAMES:
        return None
    return int(count)


def rate_of(item: Mapping[str, Any]) -> float | None:
    """Frames per second, by a region's frame count and duration."""
    count, value = frames_of(item), item.get("value")
    duration = value.get("duration") if isinstance(value, Mapping) else None
    if count is None or isinstance(duration, bool) or not isinstance(duration, int | float):
        return None
    return count / duration if 0 < duration < 1e9 else None


def last_key(item: Mapping[str, Any]) -> int:
    """The last frame (from 1) that a region's key frames name; 0 where there is none."""
    value = item.get("value")
    keys = value.get("sequence") if isinstance(value, Mapping) else None
    frames = [key.get("frame") for key in keys if isinstance(key, Mapping)] if isinstance(keys, list) else []
    return max((f for f in frames if isinstance(f, int) and 0 < f <= MAX_FRAMES), default=0)


def path_of(item: Mapping[str, Any], size: tuple[int, int], frame_count: int) -> Path:
    """A `videorectangle` → its outline in each frame where it is to be seen.

    Args:
        item: of a result.
        size: (H, W) of the video in pixels.
        frame_count: of the video.

    Raises:
        ShapeError: it has no key frames that can be read, or is nowhere within the frame.
    """
    value = item.get("value")
    sequence = value.get("sequence") if isinstance(value, Mapping) else None
    if not isinstance(sequence, list) or not sequence:
        raise ShapeError("it has no key frames")
    notes: list[str] = []
    keys = _keys(sequence, frame_count, notes)
    if not keys:
        raise ShapeError("none of its key frames can be read: " + "; ".join(notes))
    boxes = dict(_boxes(keys, frame_count))
    found = areas([rectangle_outline(box, size) for box in boxes.values()], size)
    shapes = {n: area.shape for n, area in zip(boxes, found, strict=True) if area.shape is not None}
    if not shapes:
        raise ShapeError("its box encloses nothing of the picture in any frame")
    if len(shapes) < len(boxes):
        notes.append(f"its box encloses nothing of the picture in {len(boxes) - len(shapes)} frames")
    cut = sum(1 for area in found if area.shape is not None and area.note)
    if cut:
        notes.append(f"it leaves the picture in {cut} frames, and was cut off there")
    return Path(shapes, tuple(notes))


def _keys(sequence: Sequence[Any], frame_count: int, notes: list[str]) -> list[Key]:
    """Key frames in order, one per frame."""
    keys: dict[int, Key] = {}
    frames = []
    for entry in sequence:
        try:
            key = key_of(entry)
        except ShapeError as error:
            notes.append(f"a key frame was left out, because {error}")
            continue
        if not 0 <= key.frame < frame_count:
            notes.append(
                f"key frame {key.frame + 1} was left out, because the video has {frame_count} frames"
            )
            continue
        if key.frame in keys:
            notes.append(f"key frame {key.frame + 1} comes twice, and the last one was taken")
        if entry.get("enabled") is None:
            notes.append(
                f"key frame {key.frame + 1} does not say whether it is enabled, and was taken as such"
            )
        keys[key.frame] = key
        frames.append(key.frame)
    if frames != sorted(frames):
        notes.append("its key frames were out of order")
    return [keys[frame] for frame in sorted(keys)]


def key_of(entry: Any) -> Key:
    """An entry of a `sequence`.

    Raises:
        ShapeError: it is none.
    """
    frame = entry.get("frame") if isinstance(entry, Mapping) else None
    if isinstance(frame, float) and frame.is_integer():
        frame = int(frame)
    if isinstance(frame, bool) or not isinstance(frame, int):
        raise ShapeError("its frame is missing or not a whole number")
    box = {name: number(entry, name) for name in _PROPERTIES[:4]} | {
        "rotation": number(entry, "rotation", 0.0)
    }
    enabled = entry.get("enabled")
    return Key(frame - 1, box, enabled is None or bool(enabled))


def _boxes(keys: Sequence[Key], frame_count: int) -> Iterator[tuple[int, Mapping[str, float]]]:
    for key, after in zip_longest(keys, keys[1:]):
        end = after.frame if after else frame_count
        for frame in range(key.frame, end if key.enabled else key.frame + 1):
            share = (frame - key.frame) / (end - key.frame)
            yield frame, _between(key.box, after.box, share) if after else key.box


def _between(start: Mapping[str, float], end: Mapping[str, float], share: float) -> dict[str, float]:
    box = {name: start[name] + share * (end[name] - start[name]) for name in _PROPERTIES}
    turn = (end["rotation"] - start["rotation"]) % 360
    box["rotation"] = start["rotation"] + share * (turn - 360 if turn > 180 else turn)
    return box
