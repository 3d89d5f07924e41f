"""Videos to the MOTChallenge's text files."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from exporters.video.clips import Clip
from exporters.video.writer import VideoWriter
from exporters.writer import problem
from labeler_backend.masks.shape import Polygons, Shape
from labeler_backend.records import Track

PICTURES = "img1"
_LARGEST_ID = 10**6  # TrackEval makes an array as long as the largest id
_RATE = 30.0  # TrackEval needs none, trackers a number


class MotDataset(VideoWriter):
    """Videos → `<video>/gt/gt.txt` and `<video>/seqinfo.ini`, `labels.txt`, and `seqmaps/<split>.txt`.

    A row: frame, id, left, top, width, height, 1, class, visibility 1; for a crowd 0 in place of the first 1,
    which evaluations take as not to be counted. As the MOTChallenge defines
    it, frames, ids and pixels count from 1: the left edge of the picture is 1. py-motmetrics takes that 1 off
    again; what compares boxes as they stand has to count the same way.
    The class is the category's id, and the line of `labels.txt` that holds its name.

    Frames stand under their number in the video; where only some are labelled, the others have no rows.
    """

    def write(self, clip: Clip) -> Sequence[Track]:
        """Writes the video's folder, and its name into the list of its split."""
        height, width = clip.video.size
        ids = track_numbers(clip.video.tracks)
        rows = [row for track in clip.video.tracks for row in self._rows(clip, track, ids[track.id])]
        rows.sort(key=lambda row: row[:2])
        target = self.folder / clip.folder / "gt" / "gt.txt"
        target.parent.mkdir(parents=True)
        target.write_text("".join(_line(row) for row in rows), "utf-8", newline="\n")
        if clip.video.frame_rate is None:
            reason = f"The frame rate of {clip.video.file_name!r} is unknown: mend frameRate in seqinfo.ini."
            self.tell(problem(clip.video, reason, "kept"))
        settings = {
            "name": clip.folder,
            "imDir": PICTURES,
            "frameRate": f"{clip.video.frame_rate or _RATE:g}",
            "seqLength": max(clip.numbers, default=-1) + 1,
            "imWidth": width,
            "imHeight": height,
            "imExt": clip.suffix,
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self.folder / clip.folder / "seqinfo.ini").write_text(f"[Sequence]\n{text}", "utf-8", newline="\n")
        self._list(clip)
        return clip.video.tracks

    def frame_path(self, folder: str, number: int, suffix: str) -> str:
        """In the video's `img1/`."""
        return f"{folder}/{PICTURES}/{number + 1:06d}{suffix}"

    def end(self) -> None:
        """Writes the names of the classes."""
        names = {number: name for name, number in self.categories.names.items()}
        lines = [" ".join(names.get(number, "").split()) for number in range(1, max(names, default=0) + 1)]
        (self.folder / "labels.txt").write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")

    def _rows(self, clip: Clip, track: Track, number: int) -> list[tuple[float, ...]]:
        category = self.categories.id_of(track.label)
        counted = 0 if track.attributes.get("iscrowd") else 1
        return [
            (clip.numbers[position] + 1, number, *_box(shape), counted, category)
            for position, shape in track.shapes.items()
        ]

    def _list(self, clip: Clip) -> None:
        path = self.folder / "seqmaps" / f"{clip.split or 'all'}.txt"
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_text("name\n", "utf-8", newline="\n")
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{clip.folder}\n")


def track_numbers(tracks: tuple[Track, ...]) -> dict[str, int]:
    """Track id → number from 1: ids that are numbers keep them, the others get what is free."""
    own = {track.id: int(track.id) for track in tracks if track.id.isdecimal() and track.id.isascii()}
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for name, number in own.items():
        if 1 <= number <= _LARGEST_ID and number not in taken:  # "1" and "01" are two tracks
            numbers[name] = number
            taken.add(number)
    free = 1
    for track in tracks:
        if track.id not in numbers:
            while free in taken:
                free += 1
            numbers[track.id] = free
            taken.add(free)
    return numbers


def _box(shape: Shape) -> tuple[float, float, float, float]:
    """Left, top (the picture's first pixel is 1), width, height."""
    if isinstance(shape, Polygons):
        points = np.concatenate(shape.rings)
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left + 1, top + 1, right - left, bottom - top
    x, y, w, h = coco_mask.toBbox(shape).tolist()
    return x + 1, y + 1, w, h


def _line(row: tuple[float, ...]) -> str:
    frame, number, *box, counted, category = row
    sides = ",".join(_short(side) for side in box)
    return f"{frame:.0f},{number:.0f},{sides},{counted:.0f},{category:.0f},1\n"


def _short(value: float) -> str:
    """Two decimals, where there are any."""
    return f"{value:.0f}" if math.isclose(value, round(value), abs_tol=0.005) else f"{value:.2f}"
