"""Boxes through a video, as people drew or corrected them: a `result` → on which frames each object is known.

A track that we answer with consists of keys, too, and a labeler corrects some of them. Those that nobody
touched carry a seal of what they were: where it does not fit any more, or there is none, the key is a
person's. So an answer needs no memory of the one before it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.studio.export_json.tracks import Key, is_track, key_of
from labeler_backend.studio.regions import region_labels
from labeler_backend.studio.results import Item, id_of
from labeler_backend.studio.shapes import ShapeError, rectangle_outline
from labeler_backend.studio.video.clock import Clock

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

SEAL = "carried"
"""The name, in a key, of what says that it was computed."""

_LEAST = 1.0  # pixels: a narrower box holds no object


@dataclass(frozen=True, slots=True)
class Drawn:
    """One object that somebody drew on some frames.

    Attributes:
        id: of its region.
        labels: in their order; empty where it has none.
        boxes: by frame of the file, within the picture, at least one.
        gone: ranges of frames of the file, [start, stop), in which it is said not to be seen.
    """

    id: str
    labels: tuple[str, ...]
    boxes: Mapping[int, Box]
    gone: tuple[tuple[int, int], ...] = ()


def seal(entry: Mapping[str, Any]) -> str:
    """Of a key: its frame, box and whether it stays, in short."""
    numbers = (entry.get(name, 0) for name in ("x", "y", "width", "height", "rotation"))
    rounded = " ".join(f"{float(number):.3f}" for number in numbers)
    about = f"{entry['frame']} {rounded} {bool(entry.get('enabled', True))}"
    return f"{zlib.crc32(about.encode()):08x}"


def drawn_in(
    result: Sequence[Any], from_name: str, to_name: str, size: tuple[int, int], clock: Clock
) -> list[Drawn]:
    """The objects in a `result`, with what people say of them; what cannot be read is passed over.

    Of a track that nobody touched its first box counts as drawn.

    Args:
        result: of an annotation, or of a request's context.
        from_name: the `<VideoRectangle>`.
        to_name: the `<Video>`.
        size: (H, W) of the video in pixels.
        clock: of the video in the editor.
    """
    items = [item for item in result if isinstance(item, Mapping)]
    ours = [
        i for i in items if is_track(i) and (i.get("from_name"), i.get("to_name")) == (from_name, to_name)
    ]
    named = _labels_beside(items)
    found: dict[str, Drawn] = {}
    for number, item in enumerate(ours):
        name = id_of(item) or f"track-{number + 1}"
        keys = _keys(item)
        boxes = {
            clock.index(key.frame + 1): box for key in _persons(keys) if (box := _box(key, size)) is not None
        }
        if boxes and name not in found:
            labels = region_labels({**item, "type": "videorectangle"}) or region_labels(item)
            found[name] = Drawn(name, labels or named.get(name, ()), boxes, tuple(_gone(keys, clock)))
    return list(found.values())


def _labels_beside(items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """Of `labels` items with the id of a region, as scripts write them; the editor puts them into it."""
    return {id_of(item): region_labels(item) for item in items if item.get("type") == "labels"}


def _keys(item: Item) -> list[tuple[Key, bool]]:
    """In order, each with whether it is as we computed it."""
    value = item.get("value")
    sequence = value.get("sequence") if isinstance(value, Mapping) else None
    keys: dict[int, tuple[Key, bool]] = {}
    for entry in sequence if isinstance(sequence, list) else ():
        try:
            key = key_of(entry)
            keys[key.frame] = key, entry.get(SEAL) == seal(entry)
        except ShapeError:
            continue
    return [keys[frame] for frame in sorted(keys)]


def _persons(keys: Sequence[tuple[Key, bool]]) -> list[Key]:
    """Those that people made or changed, or the first of all where there is none."""
    return [key for key, sealed in keys if not sealed] or [key for key, _ in keys][:1]


def _box(key: Key, size: tuple[int, int]) -> Box | None:
    """The upright box around it within the picture; None where nothing is left of it."""
    corners = rectangle_outline(key.box, size)
    start = corners.min(axis=0).clip(0, (size[1], size[0]))
    extent = corners.max(axis=0).clip(0, (size[1], size[0])) - start
    if min(extent) < _LEAST:
        return None
    return float(start[0]), float(start[1]), float(extent[0]), float(extent[1])


def _gone(keys: Sequence[tuple[Key, bool]], clock: Clock) -> Iterator[tuple[int, int]]:
    """After each key by which somebody ended it, until the next key, as the editor shows it."""
    stops = [clock.index(key.frame + 1) for key, _ in keys[1:]] + [clock.frame_count]
    for (key, sealed), stop in zip(keys, stops, strict=True):
        start = clock.index(key.frame + 1) + 1
        if not key.enabled and not sealed and start < stop:
            yield start, stop
