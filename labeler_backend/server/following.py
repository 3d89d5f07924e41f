"""One video's objects, followed from frame to frame: what is known of them, and how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from pydantic import TypeAdapter, ValidationError

from labeler_backend.backbone.features import Features
from labeler_backend.errors import InputError
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal
from labeler_backend.server.live import Serving
from labeler_backend.studio.identity import object_ids
from labeler_backend.studio.media.types import Media, MediaError
from labeler_backend.studio.video.drawn import Drawn
from labeler_backend.studio.video.tracked import Tracked
from labeler_backend.track.given import MOST_GIVEN, masks_in_boxes
from labeler_backend.video.frames import FrameSource, open_frames
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.outline import LabelMap
from labeler_backend.video.pieces import object_box
from labeler_backend.video.propagate import Carried, propagate
from labeler_backend.video.sizing import short_side
from labeler_backend.video.tracks import Box

logger = logging.getLogger("labeler_backend")

_SAID = 5  # damaged frames that are named
_FRAMES, _SECONDS = 5, 3.0  # after which it can be told how long the rest takes


class Stopped(Exception):
    """Nobody wants it any more."""


class Eye(Protocol):
    """The model, as one video uses it; blocks until it is its turn.

    Raises:
        LabelerError: the model cannot be loaded.
        Stopped: nobody waits for the answer any more.
    """

    @property
    def patch(self) -> int: ...
    def features(self, frame: RGB, size: int, info: VideoInfo) -> Features: ...
    def mask_in_box(self, image: RGB, box: Box) -> BoolMask: ...
    def objects(self, frame: RGB, least: float, most: int, serving: Serving) -> list[Proposal]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be followed.

    Attributes:
        key: of all that the answer depends on, hexadecimal.
        project: as Label Studio names it.
        task: its number.
        media: the video's file.
        serving: the head that proposes.
        drawn: what people drew; nothing = proposals of the first frame.
        video: name of the `<Video>`.
        most, least: the most proposals, and the lowest score that one may have.
    """

    key: str
    project: str
    task: int
    media: Media
    serving: Serving
    drawn: tuple[Drawn, ...]
    video: str
    most: int
    least: float


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a video.

    Attributes:
        objects: that were followed.
        whole: whether through all of it that can be.
        note: what a person should know of it, one sentence; empty where all is well.
    """

    objects: tuple[Tracked, ...]
    whole: bool = True
    note: str = ""


_FOUND: TypeAdapter[Found] = TypeAdapter(Found)


@dataclass
class _Object:
    """One object on its way."""

    drawn: Drawn
    proposed: bool
    boxes: dict[int, Box] = field(default_factory=dict)
    confidence: float = 0.0  # summed over the frames where it is to be seen

    def stay(self, index: int) -> None:
        """It is taken to be where it was in the frame before, if it was to be seen there."""
        if index - 1 in self.boxes:
            self.boxes[index] = self.boxes[index - 1]

    def so_far(self) -> Tracked:
        score = self.confidence / len(self.boxes) if self.boxes else 0.0
        return Tracked(self.drawn, dict(self.boxes), score, self.proposed)


class Following:
    """One video on its way; `run` it in a thread.

    Attributes:
        wanted: what it is about.
        over: done when it is.
        done, total: frames seen and to be seen; 0 until the video is open.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.over: Future[Found] = Future()
        self.done = self.total = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._objects: dict[int, _Object] = {}
        self._broken: set[int] = set()
        self._began = 0.0

    @property
    def failed(self) -> bool:
        """Whether nothing will come of it."""
        return self._stopping.is_set() or (self.over.done() and self.over.exception() is not None)

    def stop(self) -> None:
        """Has `run` end at its next look at a frame."""
        self._stopping.set()

    def so_far(self) -> Found:
        """What is known by now."""
        with self._lock:
            return Found(tuple(one.so_far() for one in self._objects.values()), whole=False)

    def seconds_left(self) -> float | None:
        """At the speed it has; None where that cannot be told."""
        took = time.monotonic() - self._began
        if self.done < _FRAMES or took < _SECONDS:
            return None
        return (self.total - self.done) * took / self.done

    def run(self, eye: Eye) -> None:
        """Follows them; ends with `over`, whatever happens."""
        self._began = time.monotonic()
        try:
            found = self._followed(eye)
        except InputError as error:
            self.over.set_exception(self._told(error))
        except BaseException as error:
            self.over.set_exception(error)
        else:
            self.over.set_result(found)

    def _followed(self, eye: Eye) -> Found:
        with open_frames(self.wanted.media.path) as frames:
            given = self._begin(frames, eye)
            self.total = len(frames) * len(given)
            size = short_side((labels for masks in given for labels in masks.values()), eye.patch)
            note = ""

            def seen(frame: RGB) -> Features:
                return self._seen(eye, frame, size, frames.info)

            try:
                for masks in given:
                    for carried in propagate(frames, masks, seen):
                        self._take(carried)
            except InputError as error:
                if not self.done:
                    raise
                note = self._named(f"{error} What was followed before that is kept.")
        return Found(self.so_far().objects, True, note or self._damage())

    def _told(self, error: InputError) -> InputError:
        """As a person may read it; what had to make room in the cache is not gone for good."""
        media = self.wanted.media
        if not media.path.exists():
            return MediaError(f"{media.name} had to make room in the cache: ask for it again.", final=False)
        return InputError(self._named(str(error)))

    def _named(self, text: str) -> str:
        """With the video called as its task does, which is what a person knows."""
        return text.replace(str(self.wanted.media.path), self.wanted.media.name)

    def _damage(self) -> str:
        """Which frames cannot be decoded, one sentence; empty where all can."""
        if not self._broken:
            return ""
        listed = ", ".join(str(index + 1) for index in sorted(self._broken)[:_SAID])
        more = f" and {len(self._broken) - _SAID} more" if len(self._broken) > _SAID else ""
        return (
            f"{self.wanted.media.name} is damaged at frame {listed}{more} (counted from 1), where its objects"
            " were taken to stay: look at them there, or import the video again."
        )

    def _begin(self, frames: FrameSource, eye: Eye) -> list[dict[int, LabelMap]]:
        """Notes which objects there are, and gives their masks on some frames, group by group."""
        wanted = self.wanted
        if wanted.drawn:
            self._objects = {number: _Object(one, False) for number, one in enumerate(wanted.drawn, 1)}
            boxes = {number: _few(one.drawn.boxes) for number, one in self._objects.items()}
            return masks_in_boxes(boxes, frames, eye)
        found = eye.objects(frames[0].image, wanted.least, wanted.most, wanted.serving)
        names = object_ids(wanted.task, wanted.video, None, (one.mask for one in found))
        labels = np.zeros(frames.info.size, np.uint16)
        for number, (name, one) in enumerate(zip(names, found, strict=True), 1):
            drawn = Drawn(name, (one.label,) if one.label else (), {0: one.box})
            self._objects[number] = _Object(drawn, True)
            labels[one.mask & (labels == 0)] = number  # the likelier ones come first
        return [{0: labels}] if found else []

    def _seen(self, eye: Eye, frame: RGB, size: int, info: VideoInfo) -> Features:
        if self._stopping.is_set():
            raise Stopped
        features = eye.features(frame, size, info)
        self.done += 1
        return features

    def _take(self, carried: Carried) -> None:
        """One frame of a group of objects."""
        with self._lock:
            if carried.problem:
                self._broken.add(carried.index)
                for number in carried.confidence:
                    self._objects[number].stay(carried.index)
            for number in carried.present:
                box = object_box(carried.labels == number)
                if box is not None:
                    x, y, w, h = map(float, box)
                    self._objects[number].boxes[carried.index] = x, y, w, h
                    self._objects[number].confidence += carried.confidence[number]


def to_json(found: Found) -> bytes:
    """`from_json` is its inverse."""
    return _FOUND.dump_json(found)


def from_json(data: bytes) -> Found | None:
    """None where it is damaged."""
    try:
        return _FOUND.validate_json(data)
    except ValidationError:
        logger.warning("Cached tracks are damaged and are computed again.")
        return None


def _few(boxes: Mapping[int, Box]) -> dict[int, Box]:
    """At most as many as fit into memory with their frames, spread evenly, the first and last among them."""
    frames = sorted(boxes)
    count = min(len(frames), MOST_GIVEN)
    picked = [frames[round(n * (len(frames) - 1) / max(count - 1, 1))] for n in range(count)]
    return {frame: boxes[frame] for frame in picked}
