"""What annotators marked in one video → its record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from labeler_backend.errors import LabelerError
from labeler_backend.records import Problem, Tell, Track
from labeler_backend.studio.export_json.attributes import attributes_of, meta_of
from labeler_backend.studio.export_json.marked import Marked
from labeler_backend.studio.export_json.pages import Page
from labeler_backend.studio.export_json.tracks import frames_of, last_key, path_of, rate_of
from labeler_backend.studio.regions import named, region_labels, region_size, sentence
from labeler_backend.studio.results import Item, id_of
from labeler_backend.studio.shapes import ShapeError
from labeler_backend.video.info import VideoInfo

VideoInfos = Callable[[str, int], VideoInfo | None]

Done = Literal["left out", "mended", "kept"]

_NOTES = 3  # of one track, in one sentence


@dataclass(frozen=True, slots=True)
class Clip:
    """A video with its tracks; the attributes are those of a `VideoRecord`."""

    size: tuple[int, int]
    frame_count: int
    frame_rate: float | None
    tracks: tuple[Track, ...]


def clip_of(
    page: Page, marked: Sequence[Marked], info: VideoInfo | None, tell: Tell, task_id: int | None
) -> Clip | None:
    """The tracks that people drew in a video; None where its size in pixels is not known.

    Args:
        page: the video.
        marked: annotations of its task; of several, oldest first, the last one's tracks are taken.
        info: on the video, where it could be looked at.
        tell: hears of what could not be taken as it is.
        task_id: for `tell`.
    """
    items = [item for one in marked for item in one.tracks if _lies_on(item, page)]
    size = info.size if info else next((s for item in items if (s := region_size(item))), None)
    if size is None:
        reason = (
            f"The size of the video {page.file_name} is not known, since Label Studio does not store it: "
            f"give the folder that holds the video."
        )
        tell(Problem(reason, "left out", task_id, file_name=page.file_name))
        return None
    count = _frame_count(page, items, info, tell, task_id)
    if items and len(marked) > 1:
        what = f"Several annotators saw {page.file_name}, and tracks have no consensus"
        reason = f"{what}: the latest that were drawn were taken, export it with --annotations per-annotator."
        tell(Problem(reason, "kept", task_id, file_name=page.file_name))
        marked = [one for one in marked if any(_lies_on(item, page) for item in one.tracks)][-1:]
    tracks: dict[str, Track] = {}
    for one in marked:
        for track in _tracks(one, page, size, count, tell, task_id):
            tracks[track.id] = track
    rate = info.frame_rate if info else None
    rate = rate or next((r for item in items if (r := rate_of(item))), None)
    return Clip(size, count, rate, tuple(tracks.values()))


def look_at(page: Page, video_info: VideoInfos | None, tell: Tell, record_id: int) -> VideoInfo | None:
    """What a video is, where it can be looked at."""
    if video_info is None or page.uri is None:
        return None
    try:
        return video_info(page.uri, record_id)
    except LabelerError as error:
        tell(Problem(str(error), "kept", record_id, file_name=page.file_name))
        return None


def _frame_count(
    page: Page, items: Sequence[Item], info: VideoInfo | None, tell: Tell, task_id: int | None
) -> int:
    """As the editor counted them, since its key frames do; else as the file has them."""
    said = [count for item in items if (count := frames_of(item))]
    if said:
        return max(said)
    if info is not None:
        return info.frame_count
    last = max((last_key(item) for item in items), default=0)
    if items:
        reason = (
            f"How many frames {page.file_name} has is not known: its tracks end at the last key frame of all."
        )
        tell(Problem(reason, "kept", task_id, file_name=page.file_name))
    return last


def _tracks(
    one: Marked, page: Page, size: tuple[int, int], count: int, tell: Tell, task_id: int | None
) -> Iterator[Track]:
    """Of one annotation."""
    seen: dict[str, int] = {}
    for n, item in enumerate(one.tracks):
        if not _lies_on(item, page):
            continue
        name = id_of(item) or f"track-{n + 1}"
        seen[name] = seen.get(name, 0) + 1
        track_id = name if seen[name] == 1 else f"{name}#{seen[name]}"

        def report(reason: str, done: Done, name: str = name) -> None:
            tell(Problem(reason, done, task_id, one.origin.id, name, page.file_name))

        if track_id != name:
            report(
                f"{named(item)} has the id of another, and is called {track_id!r} here: both were kept.",
                "kept",
            )
        try:
            path = path_of(item, size, count)
        except ShapeError as error:
            report(sentence(item, str(error)), "left out")
            continue
        if path.notes:
            more = f"; and {len(path.notes) - _NOTES} more" if len(path.notes) > _NOTES else ""
            what = "; ".join(path.notes[:_NOTES]) + more
            report(f"{named(item)} was mended, because {what}: look at it in Label Studio.", "mended")
        meta = meta_of(item)
        labels = region_labels({**item, "type": "videorectangle"}) or region_labels(item)
        labels = labels or one.beside.labels.get(name, ())
        score = item.get("score")
        yield Track(
            id=track_id,
            label=labels[0] if labels else None,
            shapes=path.shapes,
            region_id=id_of(item),
            annotation_id=one.origin.id,
            annotator=one.origin.annotator,
            score=float(score) if isinstance(score, int | float) and 0 <= score <= 1 else one.origin.score,
            attributes=attributes_of(item, (name,), labels, meta.rest, one.beside),
        )


def _lies_on(item: Item, page: Page) -> bool:
    return not page.to_name or item.get("to_name") in (page.to_name, None)
