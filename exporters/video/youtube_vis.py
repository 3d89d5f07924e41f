"""Videos to YouTube-VIS JSON: COCO's layout with a list per frame where COCO has one value."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from pycocotools import mask as coco_mask

from exporters.categories import Categories
from exporters.coco.file import as_json, opening
from exporters.coco.uris import address_without_secrets
from exporters.video.clips import Clip, track_problem
from exporters.video.writer import VideoWriter
from exporters.writer import Options, problem
from labeler_backend.masks.rle import RLE
from labeler_backend.masks.shape import to_rle
from labeler_backend.records import Tell, Track

PICTURES = "JPEGImages"


class YoutubeVisDataset(VideoWriter):
    """Videos → `instances.json`, or `instances-<split>.json` per split, as YouTube-VIS 2019 and 2021 have it.

    `file_names` are relative to `JPEGImages/`: a folder per video, which TrackEval takes for its name, and
    `00000.jpg`, … counting from 0; where the video is a file, `ffmpeg -start_number 0` makes them.
    Segmentations are compressed RLE with their counts as text, which pycocotools reads; TrackEval wants a
    ground truth's counts as lists.
    """

    def __init__(self, folder: Path, categories: Categories, options: Options, tell: Tell) -> None:
        super().__init__(folder, categories, options, tell)
        self._open = ExitStack()
        self._files = {split: self._start(split) for split in options.splits or (None,)}

    def write(self, clip: Clip) -> Sequence[Track]:
        """Adds the video's row and its tracks'."""
        video = clip.video
        file = self._files[clip.split]
        video_id = file.free_id(video.id)
        if video_id != video.id:
            reason = f"The video id {video.id} is taken: {video.file_name!r} was given {video_id}."
            self.tell(problem(video, reason, "mended"))
        height, width = video.size
        shape = {"width": width, "height": height, "length": video.frame_count}
        names = [f"{clip.folder}/{_frame_name(number, clip.suffix)}" for number in clip.numbers]
        further = {
            "coco_url": address_without_secrets(video.uri) if video.uri else None,
            "task_id": video.task_id,
            "frame_rate": video.frame_rate,
        }
        file.video({"id": video_id, **shape, "file_names": names, **_known(further)})
        written = []
        for track in video.tracks:
            codes = {position: code for position, code in _codes(track) if coco_mask.area(code)}
            if missing := len(track.shapes) - len(codes):
                reason = f"Track {track.id!r} covers no pixel in {missing} frames: draw it larger there."
                self.tell(track_problem(video, track, reason))
            if codes:
                ids = {"video_id": video_id, "category_id": self.categories.id_of(track.label)}
                file.annotation({**ids, **shape, **_annotation(track, codes, video.frame_count)})
                written.append(track)
        return written

    def frame_path(self, folder: str, number: int, suffix: str) -> str:
        """In `JPEGImages/`, as `file_names` say."""
        return f"{PICTURES}/{folder}/{_frame_name(number, suffix)}"

    def end(self) -> None:
        """Completes the files."""
        if not self.categories.names:
            self.categories.id_of(None)  # a file without any category trips up readers
        for file in self._files.values():
            file.finish(self.categories.names)
        self._open.close()

    def close(self) -> None:
        """Lets go of files and spools."""
        self._open.close()

    def _start(self, split: str | None) -> _JsonFile:
        name = f"instances-{split}.json" if split else "instances.json"
        file = self._open.enter_context((self.folder / name).open("wb"))
        spool = self._open.enter_context(TemporaryFile(dir=self.folder))  # noqa: SIM115 it is entered
        return _JsonFile(file, spool, self.options.description)


class _JsonFile:
    """Videos go to the file as they come; annotations, the second array, wait in a spool."""

    def __init__(self, file: BinaryIO, spool: BinaryIO, description: str) -> None:
        self._file = file
        self._spool = spool
        self._ids: set[int] = set()
        self._annotations = 0
        self._file.write(opening(description, "videos"))

    def free_id(self, wish: int) -> int:
        """The id wished for; where a video of this file has it, the next after the largest."""
        return max(self._ids) + 1 if wish in self._ids else wish

    def video(self, row: Mapping[str, Any]) -> None:
        self._file.write((b",\n" if self._ids else b"\n") + as_json(row))
        self._ids.add(row["id"])

    def annotation(self, row: Mapping[str, Any]) -> None:
        self._annotations += 1
        self._spool.write(b",\n" if self._annotations > 1 else b"\n")
        self._spool.write(as_json({"id": self._annotations, **row}))

    def finish(self, categories: Mapping[str, int]) -> None:
        self._file.write(b'\n],\n"annotations": [')
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, self._file, 1 << 20)
        rows = [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()]
        self._file.write(b'\n],\n"categories": ' + as_json(rows) + b"}\n")


def _codes(track: Track) -> Iterator[tuple[int, RLE]]:
    return ((position, to_rle(shape)) for position, shape in track.shapes.items())


def _annotation(track: Track, codes: Mapping[int, RLE], length: int) -> dict[str, Any]:
    """A track's lists, with None for each frame where it is not to be seen, and what else is known of it."""
    boxes = {position: [int(side) for side in coco_mask.toBbox(code)] for position, code in codes.items()}
    areas = {position: int(coco_mask.area(code)) for position, code in codes.items()}
    own = {
        "region_id": track.region_id or None,
        "annotation_id": track.annotation_id,
        "annotator": track.annotator,
        "track_id": track.id,
        "score": track.score,
    }
    plain = {key: value for key, value in track.attributes.items() if key != "iscrowd"}
    return {
        "iscrowd": int(bool(track.attributes.get("iscrowd"))),
        "segmentations": [codes.get(position) for position in range(length)],
        "bboxes": [boxes.get(position) for position in range(length)],
        "areas": [areas.get(position) for position in range(length)],
        **_known({"score": track.score}),
        "attributes": {**plain, **_known(own)},
    }


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _frame_name(number: int, suffix: str) -> str:
    return f"{number:05d}{suffix}"
