"""Boxes through a video, as people drew or corrected them: on which frames each object is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeler_backend.studio.export_json.tracks import Key, is_track
from labeler_backend.studio.regions import region_labels
from labeler_backend.studio.results import Item, id_of
from labeler_backend.studio.shapes import rectangle_outline
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.seals import keys_of
from labeler_backend.studio.video.tags import VideoTag
from labeler_backend.video.tracks import Box

_LEAST = 1.0  # pixels: a narrower box holds no object


@dataclass(frozen=True, slots=True)
class Drawn:
    """One object that somebody drew on some frames.

    Attributes:
        id: of its region.
        labels: in their order; empty where it has none.
        boxes: by frame of the file, upright and within the picture, at least one.
        gone: ranges of frames of the file, [start, stop), in which it is said not to be seen.
        keys: what people made, as they did.
    """

    id: str
    labels: tuple[str, ...]
    boxes: Mapping[int, Box]
    gone: tuple[tuple[int, int], ...] = ()
    keys: tuple[Key, ...] = field(default=())


def drawn_on(context: Mapping[str, Any], video: VideoTag) -> bool:
    """Whether the context of a request is about this video, or about nothing.

    The editor asks with an empty one for each track when it leaves a task.
    """
    result = context.get("result")
    items = [item for item in result if isinstance(item, Mapping)] if isinstance(result, list) else []
    return not items or any(item.get("to_name") == video.name for item in items)


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
        keys = keys_of(item)
        made = tuple(key for key, digest in keys if digest is None)
        counted = made or [key for key, _ in keys][:1]
        boxes = {clock.index(key.frame + 1): box for key in counted if (box := _box(key, size)) is not None}
        if boxes and name not in found:
            labels = region_labels({**item, "type": "videorectangle"}) or region_labels(item)
            found[name] = Drawn(name, labels or named.get(name, ()), boxes, tuple(_gone(keys, clock)), made)
    return list(found.values())


def _labels_beside(items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """Of `labels` items with the id of a region, as scripts write them; the editor puts them into it."""
    return {id_of(item): region_labels(item) for item in items if item.get("type") == "labels"}


def _box(key: Key, size: tuple[int, int]) -> Box | None:
    """The upright box around it within the picture; None where nothing is left of it."""
    corners = rectangle_outline(key.box, size)
    start = corners.min(axis=0).clip(0, (size[1], size[0]))
    extent = corners.max(axis=0).clip(0, (size[1], size[0])) - start
    if min(extent) < _LEAST:
        return None
    return float(start[0]), float(start[1]), float(extent[0]), float(extent[1])


def _gone(keys: Sequence[tuple[Key, str | None]], clock: Clock) -> Iterator[tuple[int, int]]:
    """After each key by which somebody ended it, until the next key, as the editor shows it."""
    stops = [clock.index(key.frame + 1) for key, _ in keys[1:]] + [clock.frame_count]
    for (key, digest), stop in zip(keys, stops, strict=True):
        start = clock.index(key.frame + 1) + 1
        if not key.enabled and digest is None and start < stop:
            yield start, stop
