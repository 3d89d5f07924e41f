"""Objects that were followed through a video → the regions of a prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labeler_backend.studio.prediction import GUESSED
from labeler_backend.studio.regions import Place
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.drawn import Drawn
from labeler_backend.studio.video.regions import track_region
from labeler_backend.studio.video.tags import TrackTag
from labeler_backend.video.tracks import Box, Key, Track, keyframes

TOLERANCE, RELATIVE = 0.002, 0.05
"""By how much the editor's box may be off between two keys: a share of the picture's longer side or, where it
is more, of the box itself. Many keys are hard to correct, and boxes of carried masks tremble by as much."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """One object, followed.

    Attributes:
        drawn: as somebody drew it; of a proposal its own box on the first frame.
        boxes: by frame of the file, where it is to be seen, as far as that is known.
        score: in [0, 1].
        proposed: whether nobody drew it.
    """

    drawn: Drawn
    boxes: Mapping[int, Box]
    score: float
    proposed: bool = False


def track_regions(
    objects: Sequence[Tracked], tag: TrackTag, clock: Clock, size: tuple[int, int], *, whole: bool = True
) -> Iterator[dict[str, Any]]:
    """A region for each object of which something is known.

    What people drew stays as it is, and so does what they said: where it is not to be seen, its labels.

    Args:
        objects: that were followed.
        tag: where they go.
        clock: of the video in the editor.
        size: (H, W) of the video in pixels.
        whole: whether they were followed as far as can be.
    """
    for one in objects if whole else [one for one in objects if one.boxes]:
        labels, certain = _labels(one, tag)
        yield track_region(
            _keys(one, size),
            Place(tag.name, tag.video.name),
            clock,
            size,
            object_id=one.drawn.id,
            labels=labels,
            score=min(max(one.score if certain else one.score * GUESSED, 0.0), 1.0),
            made=one.drawn.keys,
            whole=whole,
        )


def _labels(one: Tracked, tag: TrackTag) -> tuple[Sequence[str], bool]:
    """What a track takes, and whether that is more than a guess."""
    given = one.drawn.labels
    known = [label for label in given if label in tag.labels] if one.proposed and tag.labels else given
    if known or tag.label is None:
        return known, True
    return [tag.label], tag.certain


def _keys(one: Tracked, size: tuple[int, int]) -> Sequence[Key]:
    gone = [range(start, stop) for start, stop in one.drawn.gone]
    boxes = {**one.boxes, **one.drawn.boxes}
    kept = {frame: box for frame, box in sorted(boxes.items()) if not any(frame in span for span in gone)}
    return keyframes(Track(1, kept, {}), TOLERANCE * max(size), RELATIVE)
