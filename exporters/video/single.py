"""One video's tracks as one file of a format, for what is no data set."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from exporters.categories import Categories
from exporters.video.mot import MotDataset
from exporters.video.writer import VideoWriter
from exporters.video.youtube_vis import YoutubeVisDataset
from exporters.writer import Options
from labeler_backend.records import Problem, VideoRecord


def write_youtube_vis(path: Path, video: VideoRecord, description: str = "") -> None:
    """YouTube-VIS JSON, whole or not at all."""
    _write(YoutubeVisDataset, path, video, "instances.json", Options(description=description))


def write_mot(path: Path, video: VideoRecord) -> None:
    """The MOTChallenge's rows, whole or not at all: frame, id, left, top, width, height, 1, class, 1."""
    _write(MotDataset, path, video, "*/gt/gt.txt", Options())


def _write(kind: type[VideoWriter], path: Path, video: VideoRecord, file: str, options: Options) -> None:
    """One file of a data set of one video; the folder made for it lies beside `path`."""
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", suffix=".part") as name:
        problems: list[Problem] = []
        writer = kind(Path(name), Categories(), options, problems.append)
        try:
            writer.add(video, None)
            writer.finish()
        finally:
            writer.close()
        (written,) = Path(name).glob(file)
        with open(written, "rb+") as whole:
            os.fsync(whole.fileno())
        os.replace(written, path)
