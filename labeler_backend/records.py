"""The one currency between Label Studio, COCO, training and export: an image or a video with what is in it.

A reader yields records one at a time and tells of everything that it could not take as it is; a writer takes
them one at a time. Neither holds them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labeler_backend.masks.shape import Shape

UNNAMED = "object"
"""The class of what nobody named."""


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A named point of an instance: `x`, `y` in pixels."""

    label: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Instance:
    """One object in one image.

    Attributes:
        shape: its area, never empty.
        label: its class; None where nobody named it.
        region_id: in Label Studio; of the object, where it came as several regions. Empty elsewhere.
        annotation_id: of the annotation (or prediction) in Label Studio.
        annotator: who drew it, as the source names them.
        score: of the prediction that it is or came from, in [0, 1].
        track_id: the same for one object in all frames of a video.
        crowd: stands for a group that nobody counted: COCO's `iscrowd`.
        keypoints: of this object.
        attributes: whatever else is known, as JSON can hold it: `labels` (where it has several), `origin`,
            `relations` ([{"to": region id, "direction", "labels"}]), `text`, answers given for the region.
    """

    shape: Shape
    label: str | None = None
    region_id: str = ""
    annotation_id: int | None = None
    annotator: str | None = None
    score: float | None = None
    track_id: str | None = None
    crowd: bool = False
    keypoints: tuple[Keypoint, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One image, or one frame of a video that is labelled frame by frame.

    Attributes:
        id: positive, the same in every export of the same project, and at most 2**53.
        file_name: relative, with forward slashes; unique within a source.
        size: (H, W) of the upright image; None where neither its regions nor anything else says.
        instances: what is in it, in the order in which it was drawn.
        uri: where the picture lies, as the source says.
        task_id: in Label Studio.
        group: images of one group stay in one split.
        annotator: whose it is, where every annotator gets a data set of their own.
        video: name of the video whose frame it is.
        frame: which, from 0.
        bulk: whether its instances were proposals that became annotations without anybody opening them.
    """

    id: int
    file_name: str
    size: tuple[int, int] | None
    instances: tuple[Instance, ...]
    uri: str | None = None
    task_id: int | None = None
    group: str = ""
    annotator: str | None = None
    video: str | None = None
    frame: int | None = None
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """One object through a video.

    Attributes:
        id: unique within the video.
        label: its class; None where nobody named it.
        shapes: by frame, from 0; only the frames where it is to be seen.
        region_id, annotation_id, annotator, score, attributes: as of an `Instance`.
    """

    id: str
    label: str | None
    shapes: Mapping[int, Shape]
    region_id: str = ""
    annotation_id: int | None = None
    annotator: str | None = None
    score: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One video with its tracks.

    Attributes:
        id, file_name, uri, task_id, group, annotator: as of a `Record`.
        size: (H, W) in pixels.
        frame_count: of the video.
        frame_rate: frames per second; None where unknown.
        tracks: the objects in it.
        frame_names: file of each frame, relative, where it is a series of pictures; else empty.
    """

    id: int
    file_name: str
    size: tuple[int, int]
    frame_count: int
    frame_rate: float | None
    tracks: tuple[Track, ...]
    uri: str | None = None
    task_id: int | None = None
    group: str = ""
    annotator: str | None = None
    frame_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be taken as it is.

    Attributes:
        reason: one sentence: what, where, the mend.
        done: what became of it.
        task_id, annotation_id, region_id: where it is, as far as known.
        file_name: of the image, where it is about one.
    """

    reason: str
    done: Literal["left out", "mended", "kept"]
    task_id: int | None = None
    annotation_id: int | None = None
    region_id: str | None = None
    file_name: str | None = None


Tell = Callable[[Problem], None]
"""What readers and writers are given, to tell of problems as they meet them."""
