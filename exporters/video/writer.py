"""What the formats for videos have in common: what they take, and how it is put together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from exporters.categories import Categories
from exporters.video.clips import Clip, Folders, Gathering, checked, frame_folder, suffix_of, whole
from exporters.writer import Options, problem
from labeler_backend.records import Record, Tell, Track, VideoRecord

VIDEOS = "videos"
"""Where whole videos belong; frames that are pictures have a place in each format."""


class VideoWriter(ABC):
    """Takes videos, and frames of videos that are labelled one by one, in any order.

    A whole video is written as it comes. Frames wait, without their pictures, until `finish`; then those of
    one video become one, with the instances of one track id as a track. A frame without a video is left out.

    A format says how a clip is written and where its frames' pictures belong.
    """

    def __init__(self, folder: Path, categories: Categories, options: Options, tell: Tell) -> None:
        self.folder = folder
        self.categories = categories
        self.options = options
        self.tell = tell
        self._folders = Folders()
        self._frames = Gathering(tell)
        self._videos = 0
        self._tracks = 0
        self._shapes = 0

    def add(self, record: Record | VideoRecord, split: str | None) -> None:
        """Takes a video or a frame of one."""
        if isinstance(record, VideoRecord):
            self._take(whole(record, split, self._folders))
        elif record.video is None:
            reason = f"{record.file_name!r} is no frame of a video: export it with --format coco."
            self.tell(problem(record, reason))
        else:
            self._frames.add(record, split)

    def picture_path(self, record: Record | VideoRecord, split: str | None) -> Path | None:
        """`videos/` for a video; for a frame, where the format looks for it."""
        if isinstance(record, VideoRecord):
            return Path(VIDEOS, record.file_name)
        if record.video is None or record.frame is None or record.frame < 0 or not self._frames.owns(record):
            return None
        name = frame_folder(record, self._folders)
        return Path(self.frame_path(name, record.frame, suffix_of(record.file_name)))

    def finish(self) -> dict[str, int]:
        """Writes the videos whose frames came one by one, then the indices."""
        for clip in self._frames.clips(self._folders):
            self._take(clip)
        self.end()
        return {
            "videos": self._videos,
            "tracks": self._tracks,
            "instances": self._shapes,
            "categories": len(self.categories.names),
        }

    def close(self) -> None:  # noqa: B027 most formats keep nothing open
        """Lets go of files."""

    @abstractmethod
    def write(self, clip: Clip) -> Sequence[Track]:
        """Writes one video, whose shapes all fit it → the tracks of it that were written."""

    @abstractmethod
    def frame_path(self, folder: str, number: int, suffix: str) -> str:
        """Where the picture of a frame of the video in `folder` belongs."""

    @abstractmethod
    def end(self) -> None:
        """Writes what stands once per data set."""

    def _take(self, clip: Clip) -> None:
        clip = checked(clip, self.tell)
        self._videos += 1
        tracks = self.write(clip)
        self._tracks += len(tracks)
        self._shapes += sum(len(track.shapes) for track in tracks)
