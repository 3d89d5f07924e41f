"""What the steps of a batch hand to one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from labeler_backend.backbone.features import Features
from labeler_backend.heads.types import Answer
from labeler_backend.media import DEFAULT_MAX_PIXELS, RGB
from labeler_backend.proposals.types import Proposal

Annotation = Mapping[str, Any]
"""One mask as the exporter keeps it before it has ids: JSON-ready."""


class MaskProposer(Protocol):
    """What turns images into proposals; one model call for many images, the rest image by image."""

    @property
    def fingerprint(self) -> str:
        """Everything that determines the answer: model key, size, settings."""

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of an image in pixels → (gh, gw) in patches; images of one grid share a model call."""

    def encode(self, images: Sequence[RGB]) -> list[Features]:
        """(H, W, 3) uint8 images of one grid → their features. One model call; never called concurrently."""

    def answer(self, image: RGB, features: Features) -> Answer:
        """Proposals by falling score, and how sure it is. Called from several threads at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """One image to do: its place in the run, the relative path outputs are named after, where to read it."""

    position: int
    path: str
    uri: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one image has no row; `stage` is one of stages.STAGES."""

    job: Job
    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """All that is kept of one image.

    Attributes:
        size: (H, W) in pixels, upright.
        proposals: by falling score.
        annotations: one per proposal, in the same order.
        overlay: a JPEG, or None where overlays are off.
        preview: what the report embeds (see report/preview.py), or None past the first few hundred images.
        note: how the file was read, where a person should know.
        seconds: per stage.
        confidence: in [0, 1], of the whole image.
    """

    job: Job
    size: tuple[int, int]
    proposals: list[Proposal]
    annotations: list[Annotation]
    overlay: bytes | None
    preview: dict[str, Any] | None
    note: str
    seconds: dict[str, float]
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch runs.

    Attributes:
        categories: of annotations.json, in their order, whether or not any is found.
        polygons: polygons instead of RLE in annotations.json.
        max_points: the most points one polygon may have.
        overlays: write overlays/.
        max_pixels: larger images are refused.
        batch_size: images of one grid per model call.
        workers: threads that decode, and as many that propose and write; 0 = one per core.
        bytes_in_flight: decoded pixels held at a time, over the whole pipeline.
    """

    categories: tuple[str, ...] = ()
    polygons: bool = False
    max_points: int = 60
    overlays: bool = True
    max_pixels: int = DEFAULT_MAX_PIXELS
    batch_size: int = 8
    workers: int = 0
    bytes_in_flight: int = 512 * 1024 * 1024

    def fingerprint(self) -> dict[str, Any]:
        """What must not change between a run and its --resume."""
        return {"polygons": self.polygons, "max_points": self.max_points, "overlays": self.overlays}


@dataclass(frozen=True, slots=True)
class Formats:
    """How files are written; given by the caller, since this package does not know the exporters.

    Attributes:
        instance: (proposal, polygons=…, max_points=…) → its annotation, with RLE or polygons.
        instance_png: (path, proposals, (H, W)) → a uint16 PNG of ids in the order of the proposals.
        coco: (path, rows, categories, description) → annotations.json, streaming.
    """

    instance: Callable[..., Annotation]
    instance_png: Callable[[Path, Sequence[Proposal], tuple[int, int]], None]
    coco: Callable[[Path, Iterable[Any], Sequence[str], str], object]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did; what `--json` prints.

    Attributes:
        images: in the run, over all its sessions; images = done + failed.
        now: done or failed in this session (the rest stood in the state before).
        seconds: thread-seconds per stage in this session; they overlap, so they add up to more than
            wall_seconds.
    """

    out: str
    images: int
    done: int
    failed: int
    proposals: int
    now: int
    wall_seconds: float
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Of this session."""
        return self.now / self.wall_seconds if self.wall_seconds > 0 else 0.0
