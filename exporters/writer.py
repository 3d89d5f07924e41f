"""What a writer of a data set is to those who feed it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from labeler_backend.masks.shape import size_of
from labeler_backend.records import Instance, Problem, Record, Tell, VideoRecord


@dataclass(frozen=True, slots=True)
class Options:
    """How a data set is written.

    Attributes:
        segmentation: `auto` writes polygons where the labeler drew with corners, and RLE for what was painted
            or has holes; `polygons` and `rle` write nothing else.
        splits: names of the splits, each with files of its own; empty = one data set without splits.
        description: for the formats that have a place for it.
    """

    segmentation: Literal["auto", "polygons", "rle"] = "auto"
    splits: tuple[str, ...] = ()
    description: str = ""


class Writer(Protocol):
    """One data set of one format, written into a folder one record at a time.

    The folder exists and is a temporary one: who feeds the writer renames it when all is whole.
    """

    def add(self, record: Record | VideoRecord, split: str | None) -> None:
        """Takes one record, whose size is known; `split`: one of the options', None without splits."""

    def picture_path(self, record: Record | VideoRecord, split: str | None) -> Path | None:
        """Where the record's picture or video belongs, relative to the folder; None where it has no place.

        Before `add` it says whether there is one, after it which.
        """

    def finish(self) -> dict[str, int]:
        """Writes what can only be written at the end → how many `images`, `instances`, `categories`, …"""

    def close(self) -> None:
        """Lets go of files, also after an error; called once, last."""


def problem(
    record: Record | VideoRecord,
    reason: str,
    done: Literal["left out", "mended", "kept"] = "left out",
    instance: Instance | None = None,
) -> Problem:
    """What a writer tells of a record, or of one instance in it."""
    return Problem(
        reason,
        done,
        task_id=record.task_id,
        annotation_id=instance.annotation_id if instance else None,
        region_id=instance.region_id or None if instance else None,
        file_name=record.file_name,
    )


def fitting(record: Record, tell: Tell) -> list[Instance]:
    """The instances that were drawn on an image of the record's size; tells of the others."""
    fit: list[Instance] = []
    for instance in record.instances:
        size = size_of(instance.shape)
        if size == record.size:
            fit.append(instance)
        else:
            reason = f"A region was drawn on {size[1]}×{size[0]} pixels, not on this image: draw it anew."
            tell(problem(record, reason, instance=instance))
    return fit
