"""Videos to DAVIS masks: a PNG per frame whose pixel values are the objects."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from exporters.categories import Categories
from exporters.coco.file import as_text
from exporters.palette import pascal
from exporters.video.clips import Clip, track_problem
from exporters.video.writer import VideoWriter
from exporters.writer import Options
from labeler_backend.masks.shape import Polygons, Shape, area_of, patch, same, upright_box
from labeler_backend.records import Tell, Track

Ids = npt.NDArray[np.uint8]

_MOST = 254  # of 256 values; 0 is the background, and 255 is void to DAVIS' evaluation and TrackEval
_RESOLUTION = "480p"  # what readers look for, whatever the real size
_FIRST_COLORS = (
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
    (128, 128, 128), (64, 0, 0), (191, 0, 0), (64, 128, 0), (191, 128, 0), (64, 0, 128), (191, 0, 128),
    (64, 128, 128), (191, 128, 128), (0, 64, 0), (128, 64, 0), (0, 191, 0), (128, 191, 0), (0, 64, 128),
    (128, 64, 128),
)  # fmt: skip


class DavisDataset(VideoWriter):
    """Videos → `Annotations/480p/<video>/00000.png`, …, `ImageSets/2017/<split>.txt` and `objects.json`.

    A pixel's value is the number of the track, from 1 in their order, 0 where there is none; where tracks
    overlap, the one that is smaller in the frame is on top. Every frame has its PNG, also an empty one.
    A video has at most 254 tracks. DAVIS' semi-supervised evaluation counts objects in the first frame alone.
    `objects.json` says what each number is: {video: {number: {track_id, label, …}}}. Frames belong into
    `JPEGImages/480p/<video>/`; where the video is a file, `ffmpeg -start_number 0 … %05d.jpg` makes them.
    """

    def __init__(self, folder: Path, categories: Categories, options: Options, tell: Tell) -> None:
        super().__init__(folder, categories, options, tell)
        self._objects = (folder / "objects.json").open("wb")
        self._written = 0

    def write(self, clip: Clip) -> Sequence[Track]:
        """Writes the video's PNGs, and its name into the list of its split."""
        tracks = self._at_most(clip)
        by_frame: list[list[tuple[int, Shape]]] = [[] for _ in clip.numbers]
        for number, track in enumerate(tracks, 1):
            self.categories.id_of(track.label)
            for position, shape in track.shapes.items():
                by_frame[position].append((number, shape))
        target = self.folder / "Annotations" / _RESOLUTION / clip.folder
        target.mkdir(parents=True)
        before: list[tuple[int, Shape]] | None = None
        png = b""
        for frame, found in zip(clip.numbers, by_frame, strict=True):
            if before is None or not _same(found, before):
                png = as_png(painted(found, clip.video.size)) if found else _empty_png(clip.video.size)
            before = found
            (target / f"{frame:05d}.png").write_bytes(png)
        self._list(clip)
        self._describe(clip.folder, tracks)
        return tracks

    def frame_path(self, folder: str, number: int, suffix: str) -> str:
        """In the video's folder of `JPEGImages/480p/`."""
        return f"JPEGImages/{_RESOLUTION}/{folder}/{number:05d}{suffix}"

    def end(self) -> None:
        """Completes `objects.json`."""
        self._objects.write(b"\n}\n" if self._written else b"{}\n")
        self._objects.close()

    def close(self) -> None:
        """Lets go of it."""
        self._objects.close()

    def _at_most(self, clip: Clip) -> Sequence[Track]:
        """As many tracks as can be told apart."""
        tracks = clip.video.tracks
        for track in tracks[_MOST:]:
            reason = (
                f"Track {track.id!r} is more than the {_MOST} of a video that DAVIS' PNGs can hold: export "
                "with --format youtube-vis."
            )
            self.tell(track_problem(clip.video, track, reason))
        return tracks[:_MOST]

    def _list(self, clip: Clip) -> None:
        path = self.folder / "ImageSets" / "2017" / f"{clip.split or 'train'}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{clip.folder}\n")

    def _describe(self, folder: str, tracks: Sequence[Track]) -> None:
        self._objects.write(b",\n" if self._written else b"{\n")
        self._written += 1
        rows = {str(number): _described(track) for number, track in enumerate(tracks, 1)}
        line = f" {as_text(folder)}: {as_text(rows)}"
        self._objects.write(line.encode("utf-8", "replace"))


def painted(found: Sequence[tuple[int, Shape]], size: tuple[int, int]) -> Ids:
    """(H, W) uint8: numbers where their shapes are, the smaller on top."""
    ids = np.zeros(size, np.uint8)
    for number, shape in sorted(found, key=lambda item: -area_of(item[1])):
        _paint(ids, shape, number)
    return ids


def as_png(ids: Ids) -> bytes:
    """(H, W) → a PNG with DAVIS' palette."""
    picture = Image.fromarray(ids)
    picture.putpalette(palette().tobytes())
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1, compress_type=zlib.Z_RLE, bits=8)  # ids come in runs
    return out.getvalue()


@lru_cache(maxsize=1)
def palette() -> Ids:
    """(256, 3) RGB: DAVIS' own first 22 colours, then PASCAL VOC's, which go on in the same way."""
    colors = np.array([pascal(number) for number in range(256)], np.uint8)
    colors[: len(_FIRST_COLORS)] = _FIRST_COLORS
    return colors


@lru_cache(maxsize=4)
def _empty_png(size: tuple[int, int]) -> bytes:
    return as_png(np.zeros(size, np.uint8))


def _same(found: Sequence[tuple[int, Shape]], before: Sequence[tuple[int, Shape]]) -> bool:
    """Whether two frames hold the same, as between the keyframes of something that rests."""
    pairs = zip(found, before, strict=False)
    return len(found) == len(before) and all(a == b and same(one, other) for (a, one), (b, other) in pairs)


def _described(track: Track) -> Mapping[str, object]:
    row = {
        "track_id": track.id,
        "label": track.label,
        "region_id": track.region_id or None,
        "annotation_id": track.annotation_id,
        "annotator": track.annotator,
        "score": track.score,
    }
    return {**track.attributes, **{key: value for key, value in row.items() if value is not None}}


def _paint(canvas: npt.NDArray[np.uint8], shape: Shape, value: int) -> None:
    """Sets the pixels of the shape in an (H, W) picture."""
    box = upright_box(shape) if isinstance(shape, Polygons) else None
    if box is not None:
        top, left, bottom, right = box
        canvas[top:bottom, left:right] = value
        return
    window, mask = patch(shape)
    if mask.size:
        canvas[window][mask] = value
