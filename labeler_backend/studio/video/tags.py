"""What a labelling config asks of a video: `<Video>`, `<VideoRectangle>`, and `<Labels>` that name boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.errors import InputError
from labeler_backend.proposals.propose import DEFAULT_MIN_SCORE
from labeler_backend.studio.tags import VARIABLE, ControlTag, ObjectTag, named_by
from labeler_backend.studio.task_data import addresses
from labeler_backend.studio.tuning import tuned
from labeler_backend.studio.video.clock import DEFAULT_RATE

MAX_TRACKS = 3
"""So many proposals of the first frame are offered as tracks where nobody has drawn a box yet."""


@dataclass(frozen=True, slots=True)
class VideoTag:
    """A `<Video>`.

    Attributes:
        name: the tag's name.
        key: of the task's data, without the `$`; may be a path.
        rate: its `frameRate` as written: a number, or `$key` of the task's data; empty where it is not.
    """

    name: str
    key: str
    rate: str = ""

    def address(self, data: Mapping[str, Any]) -> str:
        """Of a task's video.

        Raises:
            InputError: the data lacks the key, or holds something else than text there.
        """
        return addresses(data, self.key, f"<Video name={self.name!r}>")[0]

    def shown_rate(self, data: Mapping[str, Any]) -> float:
        """Frames per second by which the editor counts in a task, as it reads them (`Video.js`)."""
        written: Any = self.rate
        if self.rate.startswith("$"):
            try:
                written = addresses(data, self.rate[1:], "frameRate")[0]
            except InputError:  # a number, mostly; the editor takes text and numbers alike
                written = data.get(self.rate[1:])
        try:
            rate = float(written)
        except (TypeError, ValueError):
            return DEFAULT_RATE
        if not math.isfinite(rate) or rate <= 0:
            return DEFAULT_RATE
        return 1 / rate if rate < 1 else rate


@dataclass(frozen=True, slots=True)
class TrackTag:
    """The `<VideoRectangle>` that tracks go to.

    Attributes:
        name: the tag's name.
        video: what it labels.
        labels: static labels of the `<Labels>` on the same video, in their order.
        label: what tracks take that nobody has named; None where there is no static label.
        certain: False where `label` is only a guess.
        max_proposals: of the first frame, that are offered as tracks where nobody has drawn a box.
        min_score: proposals below it are not offered.
    """

    name: str
    video: VideoTag
    labels: tuple[str, ...] = ()
    label: str | None = None
    certain: bool = True
    max_proposals: int = MAX_TRACKS
    min_score: float = DEFAULT_MIN_SCORE


def read_tracks(
    controls: Sequence[ControlTag], objects: Sequence[ObjectTag], extra: Mapping[str, Any]
) -> Iterator[tuple[TrackTag, list[str]]]:
    """The tag that tracks go to on each video, and notes on it."""
    for tag in objects:
        if tag.kind != "video" or not VARIABLE.fullmatch(tag.value):
            continue
        boxes = [c for c in controls if c.kind == "videorectangle" and tag.name in c.targets]
        if not boxes:
            continue
        video = VideoTag(tag.name, tag.value[1:], tag.attributes.get("frameRate", "").strip())
        named = [c for c in controls if c.kind == "labels" and tag.name in c.targets]
        labels, label, certain = named_by(*named)
        tuning, notes = tuned(boxes[0].attributes, extra, str(boxes[0]))
        known = {name: value for name, value in tuning.items() if name in ("max_proposals", "min_score")}
        yield TrackTag(boxes[0].name, video, labels, label, certain, **known), notes
