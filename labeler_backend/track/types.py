"""What the steps of `labeler track` hand to one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from labeler_backend.backbone.features import Features
from labeler_backend.boxes import Box
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.records import VideoRecord


class BoxModel(Protocol):
    """What finds objects in boxes."""

    def mask_in_box(self, image: RGB, box: Box) -> BoolMask:
        """(H, W) bool: the object in a box."""


class FrameModel(BoxModel, Protocol):
    """What sees frames."""

    @property
    def fingerprint(self) -> str:
        """Everything that determines the answer, but for the size."""

    @property
    def patch(self) -> int:
        """Side of a patch in pixels of what it sees."""

    def encode_frame(self, frame: RGB, size: int) -> Features:
        """Features of an upright (H, W, 3) uint8 frame, its short side at `size` pixels."""


@dataclass(frozen=True, slots=True)
class Job:
    """One video and what is given of it.

    Attributes:
        input: a video file, or a folder of pictures.
        masks: by frame, from 0; empty where boxes are given.
        first: the frame of the mask that says which objects there are.
        boxes: a file of boxes, or None.
        new_objects: whether later masks may show further objects.
        size: short side in pixels of what the model sees; None = as the objects need it.
        frame_rate: frames per second of a folder of pictures, or None.
    """

    input: Path
    masks: Mapping[int, Path] = field(default_factory=dict)
    first: int = 0
    boxes: Path | None = None
    new_objects: bool = False
    size: int | None = None
    frame_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Formats:
    """How files are written; given by the caller, since this package does not know the exporters.

    Attributes:
        png: (H, W) uint8 ids → an indexed PNG.
        youtube_vis: (path, video, description) → tracks.json.
        mot: (path, video) → tracks.txt.
    """

    png: Callable[[Any], bytes]
    youtube_vis: Callable[[Path, VideoRecord, str], None]
    mot: Callable[[Path, VideoRecord], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        frames: of the video.
        done: that have masks.
        seen: that the model has seen, which is ahead of `done` between two given frames.
        failed: that cannot be decoded.
    """

    frames: int
    done: int
    seen: int
    failed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did; what `--json` prints.

    Attributes:
        frames: of the video, failed ones included.
        failed: those that cannot be decoded.
        given: frames whose masks were given.
        objects: ids of the tracks.
        size: short side in pixels of what the model saw.
        now: frames done in this session.
        wall_seconds: of carrying masks in this session.
    """

    out: str
    frames: int
    failed: int
    given: list[int]
    objects: list[int]
    size: int
    now: int
    wall_seconds: float

    @property
    def frames_per_second(self) -> float:
        """Of this session."""
        return self.now / self.wall_seconds if self.wall_seconds > 0 else 0.0
