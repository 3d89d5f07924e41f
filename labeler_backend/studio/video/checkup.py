"""The part of `labeler doctor` that looks at videos."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from labeler_backend.errors import LabelerError
from labeler_backend.studio.config import LabelingConfig
from labeler_backend.studio.doctor import Check
from labeler_backend.studio.media.types import Media
from labeler_backend.studio.video.clock import Clock
from labeler_backend.video.info import read_info

_NAME = "frame rate"


def frame_rates(
    config: LabelingConfig, tasks: Sequence[Mapping[str, Any]], fetch: Callable[[str, int], Media]
) -> Iterator[Check]:
    """Whether the editor counts the frames of videos as their files do; those that cannot be read apart."""
    seen = 0
    for track in config.tracks:
        for task in tasks:
            with contextlib.suppress(LabelerError):
                media = fetch(track.video.address(task["data"]), task["id"])
                clock = Clock.of(read_info(media.path), track.video.shown_rate(task["data"]))
                if not clock.agrees:
                    yield _drifts(clock, media.name, track.video.name)
                    return
                seen += 1
    if seen:
        yield Check(_NAME, "ok", f"the editor counts the frames of the first {seen} as their files do")


def _drifts(clock: Clock, video: str, tag: str) -> Check:
    return Check(
        _NAME,
        "wrong",
        f"{video} has {clock.frame_rate:g} frames per second, and frameRate of <Video name={tag!r}> is "
        f"{clock.shown_rate:g}",
        "Write the video's there, or where they differ $fps, and fps into the data of each task.",
    )
