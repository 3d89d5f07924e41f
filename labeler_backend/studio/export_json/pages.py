"""A task's pictures and videos, each with its id and file name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labeler_backend.studio.export_json.names import Names
from labeler_backend.studio.export_json.task_media import Kind, Medium

MAX_PAGES = 4096
"""Of one task."""

_FIRST_PAGED_ID = 2**40  # ids of tasks are below


@dataclass(frozen=True, slots=True)
class Page:
    """One picture or video of a task.

    Attributes:
        to_name: the object tag that shows it; empty where nothing says it.
        index: which of the tag's pictures, from 0.
        kind: what it is.
        uri: its address; None where the task's data does not say it.
        id: of its record.
        file_name: of its record.
    """

    to_name: str
    index: int
    kind: Kind
    uri: str | None
    id: int
    file_name: str


def pages_of(
    media: Sequence[Medium], used: Mapping[str, Collection[int]], record_id: int, names: Names
) -> tuple[list[Page], int]:
    """The pages of a task, and how many more it has than there are ids for.

    Args:
        media: what the task shows.
        used: by object tag, the pages that regions lie on; they say what there is where the data does not.
        record_id: the id of a record of the whole task, and of its page where it has only one.
        names: of the source.
    """
    places = [place for medium in media for place in _places(medium, used.get(medium.to_name, ()))]
    stem = f"task-{record_id}"
    if len(places) == 1:
        medium, index, uri = places[0]
        name = names.take(uri, stem)
        return [Page(medium.to_name, index, medium.kind, uri, record_id, name)], 0
    first = _FIRST_PAGED_ID + record_id * MAX_PAGES
    pages = [
        Page(medium.to_name, index, medium.kind, uri, first + n, names.take(uri, f"{stem}-{n}"))
        for n, (medium, index, uri) in enumerate(places[:MAX_PAGES])
    ]
    return pages, max(0, len(places) - MAX_PAGES)


def _places(medium: Medium, used: Collection[int]) -> Iterator[tuple[Medium, int, str | None]]:
    if medium.uris:
        yield from ((medium, index, uri) for index, uri in enumerate(medium.uris))
    else:
        yield from ((medium, index, None) for index in range(min(max(used, default=-1), MAX_PAGES) + 1))
