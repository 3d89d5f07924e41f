"""How Label Studio's editor counts the frames of a video, and which frames of the file those are.

The editor knows no frames, only times: its frame `u`, from 1, is what the browser shows 2 milliseconds after
(u - 1) / frameRate seconds (`VideoCanvas.goToFrame`; browsers are exact to 2 ms). Where the tag's
`frameRate` is not the file's, its numbers are others than the file's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from labeler_backend.video.info import VideoInfo

DEFAULT_RATE = 24.0
"""What the editor takes where a `<Video>` says nothing, or nothing it understands."""

_SLACK = 0.002  # seconds behind the beginning of a frame, to which the editor seeks
_EXACT = 1e-9  # frames: what floating point may lose


@dataclass(frozen=True, slots=True)
class Clock:
    """The frames of a file, from 0, and those of the editor, from 1.

    Attributes:
        frame_count: of the file.
        frame_rate: of the file, frames per second, taken as constant.
        shown_rate: the tag's `frameRate`.
    """

    frame_count: int
    frame_rate: float
    shown_rate: float

    @classmethod
    def of(cls, info: VideoInfo, shown_rate: float) -> Clock:
        """Of a video as a tag shows it; a file that does not say its rate is taken to have the tag's."""
        return cls(info.frame_count, info.frame_rate or shown_rate, shown_rate)

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frame_count / self.frame_rate

    @property
    def shown_count(self) -> int:
        """How many frames the editor says there are."""
        return max(1, math.floor(self.duration * self.shown_rate + 0.5))

    @property
    def agrees(self) -> bool:
        """Whether the editor's last frame is the file's, so that no box drifts off its picture."""
        return self.index(self.frame_count) == self.frame_count - 1 and self.shown_count == self.frame_count

    def index(self, shown: int) -> int:
        """The file's frame that the editor shows as `shown`, the first or last one where there is none."""
        at = ((shown - 1) / self.shown_rate + self._slack) * self.frame_rate
        return min(max(math.floor(at + _EXACT), 0), self.frame_count - 1)

    def shown(self, index: int) -> int:
        """The first of the editor's frames that shows `index`, or a later frame where it skips that one."""
        at = (index / self.frame_rate - self._slack) * self.shown_rate
        return max(math.ceil(at - _EXACT) + 1, 1)

    def time(self, shown: int) -> float:
        """Seconds that the editor writes beside a key of its frame `shown`."""
        return shown / self.shown_rate

    @property
    def _slack(self) -> float:
        """Less than half a frame, or it would be the next one's."""
        return min(_SLACK, 0.4 / max(self.frame_rate, self.shown_rate))
