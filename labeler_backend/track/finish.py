"""What is made of the masks of a video when they are there: tracks, an overlay, a list of what failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from labeler_backend import __version__
from labeler_backend.batch.errors import Interrupted
from labeler_backend.batch.output import FAILURES, guarded
from labeler_backend.errors import InputError
from labeler_backend.files import replacing
from labeler_backend.track.folder import BOXES, MASKS, OVERLAY, TRACKS, Folder
from labeler_backend.track.overlay import write_overlay
from labeler_backend.track.types import Formats, Summary
from labeler_backend.video.frames import FrameSource
from labeler_backend.video.tracks import mask_record

ShowOverlay = Callable[[int, int], None]


def finish(
    target: Folder,
    frames: FrameSource,
    name: str,
    formats: Formats,
    problem: InputError | None,
    show_overlay: ShowOverlay,
) -> None:
    """What is made of the masks that there are; each file whole or not at all.

    Args:
        target: with the masks.
        frames: of the video.
        name: of the video.
        formats: how tracks are written.
        problem: why there are no more masks, if there should be.
        show_overlay: told how many frames of the overlay are drawn.
    """
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


def stoppable(show: ShowOverlay, target: Folder, stopped: Callable[[], bool]) -> ShowOverlay:
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
