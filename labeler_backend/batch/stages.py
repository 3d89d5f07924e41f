"""What is done to one image, step by step, and what becomes of an error on the way."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from labeler_backend.backbone.features import Features
from labeler_backend.batch.errors import OutputError
from labeler_backend.batch.output import store
from labeler_backend.batch.types import Annotation, Failure, Formats, Job, MaskProposer, Options, Result
from labeler_backend.errors import LabelerError
from labeler_backend.media import RGB
from labeler_backend.report.drawing import overlay
from labeler_backend.report.preview import MAX_PREVIEWS, preview

STAGES = ("decode", "backbone", "proposals", "polygons", "overlay", "write")
_OVERLAY_QUALITY = 90

Outcome = Result | Failure


@dataclass(frozen=True, slots=True)
class Tools:
    """What the stages work with; `annotate` is Formats.instance."""

    proposer: MaskProposer
    annotate: Callable[..., Annotation]
    options: Options


class Stages:
    """Seconds per stage of one image, and which stage it is in."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self.current = STAGES[0]

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a block as `name`; after an error `current` still says where it was."""
        self.current = name
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def failure_of(job: Job, stages: Stages, error: Exception) -> Failure:
    """What one image's error leaves behind."""
    return Failure(job, stages.current, reason(error, stages.current))


def describe(
    job: Job,
    image: RGB,
    note: str,
    features: Features,
    tools: Tools,
    stages: Stages,
) -> Result:
    """Proposals of one image and all that is made of them; touches no file."""
    options = tools.options
    with stages.stage("proposals"):
        answer = tools.proposer.answer(image, features)
        proposals = [p for p in answer.proposals if p.area > 0]
    with stages.stage("polygons"):
        annotations = [
            tools.annotate(proposal, polygons=options.polygons, max_points=options.max_points)
            for proposal in proposals
        ]
    with stages.stage("overlay"):
        drawn = _jpeg(overlay(image, proposals)) if options.overlays else None
        shown = preview(image, proposals) if job.position < MAX_PREVIEWS else None
    height, width = image.shape[:2]
    size = (height, width)
    return Result(job, size, proposals, annotations, drawn, shown, note, stages.seconds, answer.confidence)


def keep(out: Path, outcome: Outcome, formats: Formats) -> Outcome:
    """Writes the files of a result; what cannot be written becomes a Failure.

    Raises:
        OutputError: the output folder takes no more.
    """
    if isinstance(outcome, Failure):
        return outcome
    stages = Stages()
    try:
        with stages.stage("write"):
            store(out, outcome, formats)
    except OutputError:
        raise
    except Exception as error:
        return failure_of(outcome.job, stages, error)
    outcome.seconds.update(stages.seconds)
    return outcome


def is_out_of_memory(error: BaseException) -> bool:
    """On the host or on a device; torch is asked only where somebody has imported it."""
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))


def reason(error: Exception, stage: str) -> str:
    """One sentence on one line."""
    if isinstance(error, LabelerError):
        return " ".join(str(error).split())
    if is_out_of_memory(error):
        return f"Memory ran out in the {stage} step: use a smaller --size, or scale the image down."
    if isinstance(error, OSError) and error.strerror:
        return (
            f"The {stage} step could not write or read a file ({error.strerror}): check its name and place."
        )
    detail = " ".join(str(error).split())[:300]
    return (
        f"The {stage} step failed on it ({type(error).__name__}: {detail}): please report it with the image."
    )


def _jpeg(image: RGB) -> bytes:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _OVERLAY_QUALITY]
    )
    if not done:
        raise ValueError(f"OpenCV cannot encode an overlay of {image.shape}.")
    return np.asarray(data).tobytes()
