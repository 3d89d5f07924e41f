"""`labeler track`: from a video and what is given of it to a folder of masks, tracks and an overlay."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from labeler_backend import __version__
from labeler_backend.backbone.features import Features
from labeler_backend.batch.errors import Interrupted
from labeler_backend.batch.output import FAILURES, guarded
from labeler_backend.batch.stopping import interruptible
from labeler_backend.boxes import Box
from labeler_backend.errors import InputError
from labeler_backend.files import replacing
from labeler_backend.media import RGB
from labeler_backend.track import folder, resuming
from labeler_backend.track.boxes_file import read_boxes
from labeler_backend.track.folder import BOXES, MASKS, OVERLAY, TRACKS, Existing, Folder
from labeler_backend.track.given import Masks, check_count, digest, masks_in_boxes, together
from labeler_backend.track.masks import read_masks
from labeler_backend.track.overlay import write_overlay
from labeler_backend.track.types import Formats, FrameModel, Job, Progress, Summary
from labeler_backend.video.frames import FrameSource, open_frames
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.propagate import SIZE, Carried, Reached, propagate
from labeler_backend.video.sizing import short_side
from labeler_backend.video.tracks import mask_record

SAVE_EVERY = 10.0
"""Seconds between two states that a run which is killed can go on from."""

Show = Callable[[Progress], None]
ShowOverlay = Callable[[int, int], None]


def run(
    job: Job,
    out: Path,
    make_model: Callable[[VideoInfo], FrameModel],
    formats: Formats,
    *,
    existing: Existing = "refuse",
    show: Show = lambda progress: None,
    show_overlay: ShowOverlay = lambda done, of: None,
) -> Summary:
    """Masks of every frame of a video, into `out`.

    Args:
        job: the video and what is given.
        make_model: called once the inputs and the output have been looked at.
        existing: what to do where `out` already holds a run.
        show: told after each frame, and while the model looks ahead.
        show_overlay: told how many frames of the overlay are drawn.

    Raises:
        LabelerError: bad input or output; frames that are done are kept.
        Interrupted: Ctrl-C.
    """
    with open_frames(job.input, job.frame_rate) as frames:
        masks = read_masks(job.masks, job.first, frames.info, job.new_objects) if job.masks else {}
        boxes = read_boxes(job.boxes, frames.info) if job.boxes else {}
        check_count(
            masks or (frame for each in boxes.values() for frame in each), str(job.boxes or "--keyframe")
        )
        with folder.opened(out, existing, formats.png) as target:
            model = make_model(frames.info)
            given = _given(masks, boxes, frames, model)
            size = job.size or short_side((one for masks in given for one in masks.values()), model.patch)
            job = replace(job, size=size)
            target.keep_settings(_settings(job, frames, given, model), resumed=existing == "resume")
            with interruptible() as stopped:
                run_ = _Run(job, frames, given, model, target, show, stopped)
                problem = run_.carry()
                name = job.input.resolve().name
                _finish(target, frames, name, formats, problem, _stoppable(show_overlay, target, stopped))
    if problem is not None:
        raise InputError(f"{problem} {len(target.done)} frames before it are done and kept in {out}.")
    return run_.summary()


class _Run:
    """Masks carried through a video, one session of it."""

    def __init__(
        self,
        job: Job,
        frames: FrameSource,
        given: Sequence[Masks],
        model: FrameModel,
        target: Folder,
        show: Show,
        stopped: Callable[[], bool],
    ) -> None:
        self._frames, self._given, self._model = frames, given, model
        self._target, self._show, self._stopped = target, show, stopped
        self._reached = (
            resuming.load(target.reached) if target.reached.exists() else [Reached() for _ in given]
        )
        target.go_on(self._reached[0].index + 1)
        self._before, self._encoded, self._seconds = len(target.done), 0, 0.0
        self._size = job.size or SIZE

    def carry(self) -> InputError | None:
        """All frames that are not done; returns what makes it impossible to go on, if anything does.

        Raises:
            Interrupted: somebody asked to stop.
            InputError: nothing is done, and nothing can be.
        """
        started = time.perf_counter()
        self._tell()
        problem = None
        try:
            self._carry()
        except _Stop as stop:
            self._save()
            raise Interrupted(_interrupted(self._target, len(self._frames))) from stop
        except InputError as error:
            if not self._target.done:
                raise
            problem = error
        self._save()
        self._seconds = time.perf_counter() - started
        return problem

    def summary(self) -> Summary:
        """What has been done."""
        done = self._target.done
        return Summary(
            out=str(self._target.out),
            frames=len(done),
            failed=sum(bool(one.problem) for one in done),
            given=[one.frame for one in done if one.given],
            objects=sorted({number for one in done for number in one.confidence}),
            size=self._size,
            now=len(done) - self._before,
            wall_seconds=round(self._seconds, 3),
        )

    def _carry(self) -> None:
        saved, pause = time.perf_counter(), SAVE_EVERY
        for carried in together(self._ways()):
            self._target.save(carried)
            self._tell()
            if self._stopped():
                raise _Stop
            if time.perf_counter() - saved > pause:
                begun = time.perf_counter()
                self._save()
                saved = time.perf_counter()
                pause = max(SAVE_EVERY, 20 * (saved - begun))

    def _ways(self) -> list[Iterator[Carried]]:
        pairs = zip(self._given, self._reached, strict=True)
        return [propagate(self._frames, masks, self._encode, reached) for masks, reached in pairs]

    def _encode(self, image: RGB) -> Features:
        # Between two given frames all are seen before the first is done. Groups stop side by side only.
        if self._stopped() and len({one.index for one in self._reached}) == 1:
            raise _Stop
        self._encoded += 1
        features = self._model.encode_frame(image, self._size)
        self._tell()
        return features

    def _save(self) -> None:
        """Where to go on; only what has masks counts."""
        if all(one.index == len(self._target.done) - 1 for one in self._reached):
            self._target.flush()
            with guarded(self._target.out):
                resuming.save(self._target.reached, self._reached)

    def _tell(self) -> None:
        count, done = len(self._frames), len(self._target.done)
        seen = (self._encoded - sum(map(len, self._given))) // len(self._given) + self._before
        failed = sum(bool(one.problem) for one in self._target.done)
        self._show(Progress(count, done, min(max(seen, done), count), failed))


class _Stop(Exception):
    """Somebody asked to stop."""


def _given(
    masks: Masks, boxes: Mapping[int, Mapping[int, Box]], frames: FrameSource, model: FrameModel
) -> Sequence[Masks]:
    return [masks] if masks else masks_in_boxes(boxes, frames, model)


def _settings(job: Job, frames: FrameSource, given: Sequence[Masks], model: FrameModel) -> dict[str, Any]:
    """What must not change between a run and its --resume."""
    return {
        "version": __version__,
        "input": str(job.input.resolve()),
        "frames": len(frames),
        "height and width": list(frames.info.size),
        "given masks": digest(given)[:16],
        "model": model.fingerprint,
        "size": job.size,
    }


def _finish(
    target: Folder,
    frames: FrameSource,
    name: str,
    formats: Formats,
    problem: InputError | None,
    show_overlay: ShowOverlay,
) -> None:
    """What is made of the masks that there are; each file whole or not at all."""
    info = replace(frames.info, frame_count=len(target.done))
    video = mask_record(target.carried(), name, info)
    with guarded(target.out):
        formats.youtube_vis(target.out / TRACKS, video, f"Tracks by Emergent Labeler {__version__}")
        formats.mot(target.out / BOXES, video)
        with replacing(target.out / FAILURES) as temporary, open(temporary, "w", encoding="utf-8") as file:
            failed = [(one.frame, one.problem) for one in target.done if one.problem]
            for frame, reason in [*failed, *([(len(target.done), str(problem))] if problem else [])]:
                file.write(json.dumps({"frame": frame, "reason": reason}) + "\n")
        write_overlay(target.out / OVERLAY, frames, target, show_overlay)


def _stoppable(show: ShowOverlay, target: Folder, stopped: Callable[[], bool]) -> ShowOverlay:
    """The same, which also ends where somebody asked to stop."""

    def shown(done: int, of: int) -> None:
        show(done, of)
        if stopped() and done < of:
            raise Interrupted(
                f"Stopped; all masks are kept in {target.out}, the overlay is missing: go on with --resume."
            )

    return shown


def summary_json(summary: Summary) -> dict[str, Any]:
    """What `--json` prints."""
    files = {"masks": MASKS, "tracks": TRACKS, "boxes": BOXES, "overlay": OVERLAY, "failures": FAILURES}
    paths = {key: str(Path(summary.out) / name) for key, name in files.items()}
    return {**asdict(summary), "frames_per_second": round(summary.frames_per_second, 3), **paths}


def _interrupted(target: Folder, frames: int) -> str:
    return (
        f"Stopped; {len(target.done)} of {frames} frames are finished and kept in {target.out}: go on with "
        "--resume."
    )
