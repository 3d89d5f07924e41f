"""The regions that a labeler has on a picture while clicking, as far as a request says.

Label Studio sends a task with its annotations, predictions and the labeler's drafts. The editor writes a
draft about five seconds after a change: the answers of those seconds have to be remembered by who gave them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from labeler_backend.masks.rle import BoolMask
from labeler_backend.masks.shape import Patch, patch, scaled
from labeler_backend.studio.decoded import Decoded
from labeler_backend.studio.regions import region_labels, shape_of
from labeler_backend.studio.results import Item, id_of, kind_of, page_of

_AREAS = frozenset({"polygon", "brush", "bitmask", "rectangle", "ellipse", "vector"})
_DECODED = Decoded()


@dataclass(frozen=True, slots=True)
class Shown:
    """One region on the picture.

    Attributes:
        id: of the region.
        labels: its labels.
        area: in pixels of the picture, at least one.
        item: the region as it came.
        part: its mask, cut out.
        size: (H, W) of the picture.
    """

    id: str
    labels: tuple[str, ...]
    area: int
    item: Item = field(repr=False, compare=False)
    part: Patch = field(repr=False, compare=False)
    size: tuple[int, int] = field(repr=False, compare=False)

    @property
    def mask(self) -> BoolMask:
        """(H, W) bool."""
        mask = np.zeros(self.size, bool)
        mask[self.part.window] = self.part.mask
        return mask

    def common(self, mask: BoolMask) -> int:
        """How many pixels it shares with an (H, W) mask."""
        return int(np.count_nonzero(mask[self.part.window] & self.part.mask))

    def iou(self, mask: BoolMask) -> float:
        """Intersection over union with an (H, W) mask."""
        common = self.common(mask)
        return common / (self.area + int(np.count_nonzero(mask)) - common)

    def distance(self, x: float, y: float) -> float:
        """From a place on the picture, in pixels to the nearest pixel of it; 0 inside."""
        rows, columns = np.nonzero(self.part.mask)
        top, left = self.part.window[0].start, self.part.window[1].start
        along = np.maximum(np.abs(columns + left + 0.5 - x) - 0.5, 0)
        down = np.maximum(np.abs(rows + top + 0.5 - y) - 0.5, 0)
        return float(np.hypot(along, down).min())


def drawn_last(task: Mapping[str, Any]) -> Sequence[Any]:
    """The `result` of a task's annotation or draft that was changed last; skipped ones do not count."""
    return max(_dated(task, "annotations", "drafts"), key=lambda one: one[0], default=("", []))[1]


def on_canvas(task: Mapping[str, Any], remembered: Sequence[Item] = ()) -> list[Item]:
    """The items that are on the picture: what was drawn last, or else what was predicted last.

    Args:
        task: as it came.
        remembered: answers that may not be in a draft yet; they stand for regions with their ids.
    """
    drawn = _dated(task, "annotations", "drafts") or _dated(task, "predictions")
    result = max(drawn, key=lambda one: one[0], default=("", []))[1]
    newer = {id_of(item) for item in remembered}
    kept = [item for item in result if isinstance(item, Mapping) and id_of(item) not in newer]
    return [*kept, *remembered]


def regions_on(
    items: Sequence[Item], to_name: str, page: int, size: tuple[int, int], prompts: Collection[str]
) -> list[Shown]:
    """Those of the items that enclose something on one page.

    Args:
        items: of a result.
        to_name: the image tag.
        page: from 0.
        size: (H, W) of the picture.
        prompts: names of tags whose regions only ask.
    """
    drawn: dict[str, Item] = {}
    names: dict[str, tuple[str, ...]] = {}
    for item in items:
        if item.get("to_name") != to_name or (page_of(item) or 0) != page:
            continue
        if kind_of(item) == "labels":
            names[id_of(item)] = region_labels(item)
        elif shape_of(kind_of(item)) in _AREAS and item.get("from_name") not in prompts and id_of(item):
            drawn.setdefault(id_of(item), item)
    found = []
    for (name, item), area in zip(drawn.items(), _DECODED.areas(list(drawn.values())), strict=True):
        if area.shape is None:
            continue
        part = patch(scaled(area.shape, size))
        if part.mask.any():
            pixels = cv2.countNonZero(np.ascontiguousarray(part.mask).view(np.uint8))
            labels = region_labels(item) or names.get(name, ())
            found.append(Shown(name, labels, pixels, item, part, size))
    return found


def _dated(task: Mapping[str, Any], *kinds: str) -> list[tuple[str, list[Any]]]:
    """When each was changed, and its result."""
    found = []
    for kind in kinds:
        entries = task.get(kind)
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, Mapping) or entry.get("was_cancelled"):
                continue
            if isinstance(entry.get("result"), list):
                found.append((str(entry.get("updated_at") or ""), entry["result"]))
    return found
