"""Records to tasks with predictions, as Label Studio imports them, and a labelling config they fit."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, get_args
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from labeler_backend.errors import LabelerError
from labeler_backend.masks.polygons import HARD_MAX_POINTS
from labeler_backend.masks.shape import Polygons
from labeler_backend.records import UNNAMED, Instance, Problem, Record, Tell, VideoRecord
from labeler_backend.studio.labeling import color_of
from labeler_backend.studio.task_regions import (
    IMAGE,
    TAGS,
    Region,
    drawn,
    labels_of,
    object_id,
    percent,
    texts_of,
)

Kind = Literal["auto", "polygon", "brush", "box", "bitmask"]

_POINT_WIDTH = 0.5  # percent: how large the editor draws a key point
_NOT_IN_XML = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
_PLACED = {"labels", "text", "origin"}  # the last is what regions say when they are imported, too
_ENVELOPE = ("to_name", "original_width", "original_height", "image_rotation")


class Classes(Protocol):
    """What is needed of a data set's classes; the exporters, which are built on this package, have them."""

    @property
    def names(self) -> Collection[str]:
        """Every class, in order."""

    def id_of(self, label: str) -> int:
        """Of a class, which is added where it is new."""


class Splits(Protocol):
    """What is needed of how a data set is written."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, each with files of its own; empty = one data set without splits."""


class TasksDataset:
    """Records → `tasks.json` (or `tasks-<split>.json` per split) and `config.xml`, both to be imported.

    Every image is a task with one prediction. Ids of regions stay, or follow from the image's id, so that the
    same data come out with the same ids. Track and `iscrowd` go into the region's `meta` as texts, which our
    own reader turns back.

    Args:
        folder: where to.
        categories: classes, which become the config's labels.
        options: which splits there are; what the regions are is said by `kind`.
        tell: of what cannot be taken as it is.
        kind: what the regions are; `auto`: polygons with their exact corners where they are polygons, each
            ring a region; brush for masks.
        image_prefix: what makes an address of a file's name, such as `/data/local-files/?d=photos/`; the name
            is quoted behind it. Without one the task has the address that the record knows, or the bare name.
        model_version: of the predictions.

    Raises:
        LabelerError: an unknown kind.
    """

    def __init__(
        self,
        folder: Path,
        categories: Classes,
        options: Splits,
        tell: Tell,
        *,
        kind: Kind = "auto",
        image_prefix: str = "",
        model_version: str = "imported",
    ) -> None:
        if kind not in get_args(Kind):
            raise LabelerError(f"{kind!r} is no kind of region: take one of {', '.join(get_args(Kind))}.")
        self._folder = folder
        self._categories = categories
        self._tell = tell
        self._kind = kind
        self._prefix = image_prefix
        self._version = model_version
        self._open = ExitStack()
        self._files = {split: self._start(split) for split in options.splits or (None,)}
        self._tasks = dict.fromkeys(self._files, 0)
        self._instances = 0
        self._labels: dict[str, dict[str, None]] = {}  # by kind, in the order in which they are met
        self._renamed: dict[str, str] = {}
        self._without_place: Counter[str] = Counter()  # attributes

    def add(self, record: Record | VideoRecord, split: str | None) -> None:
        """Takes one image; a video is left out."""
        if isinstance(record, VideoRecord):
            return self._say(record, "A video has no task of this kind: import its frames as images.")
        regions = self._regions(record)
        scores = [region["score"] for region in regions if "score" in region]
        prediction = {
            "model_version": self._version,
            **({"score": max(scores)} if scores else {}),
            "result": regions,
        }
        task = {"data": self._data(record), "predictions": [prediction] if regions else []}
        text = json.dumps(task, ensure_ascii=False, allow_nan=False)
        file = self._files[split]
        file.write((b",\n" if self._tasks[split] else b"[\n") + text.encode("utf-8", "replace"))
        self._tasks[split] += 1

    def picture_path(self, record: Record | VideoRecord, split: str | None) -> Path | None:
        """Under `images/`, by its own name: a folder to be served or uploaded."""
        return None if isinstance(record, VideoRecord) else Path("images", record.file_name)

    def finish(self) -> dict[str, int]:
        """Completes the tasks and writes the config; tells of attributes that a region has no place for."""
        if self._without_place:
            shown = ", ".join(f"{name} ({count})" for name, count in sorted(self._without_place.items()))
            reason = (
                f"Attributes of objects that Label Studio's regions do not have: {shown}; keep the source."
            )
            self._tell(Problem(reason, "left out"))
        for split, file in self._files.items():
            file.write(b"\n]\n" if self._tasks[split] else b"[]\n")
        self._open.close()
        (self._folder / "config.xml").write_text(self._config(), "utf-8", newline="\n")
        return {
            "images": sum(self._tasks.values()),
            "instances": self._instances,
            "categories": len(self._categories.names),
        }

    def close(self) -> None:
        """Lets go of the files."""
        self._open.close()

    def _start(self, split: str | None) -> BinaryIO:
        name = f"tasks-{split}.json" if split else "tasks.json"
        return self._open.enter_context((self._folder / name).open("wb"))

    def _data(self, record: Record) -> dict[str, Any]:
        address = self._prefix + quote(record.file_name) if self._prefix else record.uri or record.file_name
        frame = {"video": record.video, "frame": record.frame} if record.video is not None else {}
        return {IMAGE: address, **frame}

    def _regions(self, record: Record) -> list[Region]:
        """All regions of an image's objects, their key points after each."""
        regions: list[Region] = []
        taken: set[str] = set()
        many = 0
        for number, instance in enumerate(record.instances):
            found = self._object(record, instance, number, taken)
            if not found:
                self._say(
                    record, "A region covers no pixel: draw it larger, or delete it.", instance=instance
                )
                continue
            self._instances += 1
            many += any(len(one["value"].get("points", ())) > HARD_MAX_POINTS for one in found)
            regions += found
        if many:
            reason = (
                f"{many} objects of {record.file_name} have polygons of over {HARD_MAX_POINTS} points, with "
                "which Label Studio's editor hangs: import them with --kind brush."
            )
            self._say(record, reason, "kept")
        return regions

    def _object(self, record: Record, instance: Instance, number: int, taken: set[str]) -> list[Region]:
        """The regions of one object; none where nothing is left of it."""
        kind = self._kind
        if kind == "auto":
            kind = "polygon" if isinstance(instance.shape, Polygons) else "brush"
        parts = len(instance.shape.rings) if kind == "polygon" and isinstance(instance.shape, Polygons) else 1
        name = object_id(record, instance, number, taken, whole=parts == 1)
        labels = [self._label(label) for label in labels_of(instance)]
        regions = drawn(instance.shape, kind, name, labels)
        for label in labels:
            self._categories.id_of(label)
            self._labels.setdefault(kind, {})[label] = None
        self._without_place.update(instance.attributes.keys() - _PLACED)
        texts = texts_of(instance)
        for region in regions:
            taken.add(region["id"])
            region.pop("score", None)
            if instance.score is not None:
                region["score"] = instance.score
            if texts:
                region["meta"] = {"text": texts}
        return regions + (self._points(instance, regions[0]) if regions else [])

    def _points(self, instance: Instance, parent: Region) -> list[Region]:
        """Its key points, as regions of their own that belong to it."""
        points = []
        for number, point in enumerate(instance.keypoints):
            label = self._label(point.label)
            self._labels.setdefault("keypoint", {})[label] = None
            size = parent["original_height"], parent["original_width"]
            x, y = percent(np.array([[point.x, point.y]]), size)[0]
            value = {"x": x, "y": y, "width": _POINT_WIDTH, "keypointlabels": [label]}
            region = {"id": f"{parent['id']}-k{number}", "type": "keypointlabels", "from_name": "keypoint"}
            same = {key: parent[key] for key in _ENVELOPE}
            points.append({**region, **same, "parentID": parent["id"], "value": value})
        return points

    def _label(self, label: str) -> str:
        """A label as a config can hold it."""
        if label not in self._renamed:
            plain = _NOT_IN_XML.sub("", label).strip().lstrip("$").strip() or UNNAMED
            self._renamed[label] = plain
            if plain != label:
                reason = f"The label {label!r} cannot stand in a labelling config: it became {plain!r}."
                self._tell(Problem(reason, "mended"))
        return self._renamed[label]

    def _config(self) -> str:
        """A config with a tag for each kind of region there is, all with all classes."""
        kinds = [kind for kind in TAGS if kind in self._labels]
        if not set(kinds) - {"keypoint"}:
            kinds.append("polygon" if self._kind == "auto" else self._kind)
        classes = list(dict.fromkeys(self._label(name) for name in self._categories.names)) or [UNNAMED]
        smooth = ' smoothing="false"' if "bitmask" in kinds else ""
        lines = [f'  <Image name="{IMAGE}" value="${IMAGE}" zoom="true"{smooth}/>']
        for kind in kinds:
            lines += _control(kind, list(self._labels["keypoint"]) if kind == "keypoint" else classes)
        return "\n".join(["<View>", *lines, "</View>", ""])

    def _say(
        self,
        record: Record | VideoRecord,
        reason: str,
        done: Literal["left out", "mended", "kept"] = "left out",
        instance: Instance | None = None,
    ) -> None:
        annotation = instance.annotation_id if instance else None
        region = instance.region_id or None if instance else None
        self._tell(Problem(reason, done, record.task_id, annotation, region, record.file_name))


def _control(kind: str, labels: Sequence[str]) -> list[str]:
    tag = TAGS[kind]
    options = [
        f"    <Label value={quoteattr(label)} background={quoteattr(color_of(number))}/>"
        for number, label in enumerate(labels)
    ]
    # smart is true by default and would add a tool that does nothing
    return [f'  <{tag} name="{kind}" toName="{IMAGE}" smart="false">', *options, f"  </{tag}>"]
