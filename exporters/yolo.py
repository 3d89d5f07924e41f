"""Records to a folder that Ultralytics' YOLO trains segmentation from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from exporters.categories import Categories
from exporters.coco.segmentation import painted_rings
from exporters.rings import joined
from exporters.writer import Options, fitting, problem
from labeler_backend.errors import InputError
from labeler_backend.masks.shape import Polygons, Ring, Shape
from labeler_backend.records import Instance, Record, Tell, VideoRecord

_TRAIN = "train"
_VALIDATION = ("val", "valid", "validation")
_MOST_GAPS = 10_000


class YoloDataset:
    """Records → `images/<split>/`, `labels/<split>/*.txt` and `data.yaml`; without splits all is `train`.

    Per instance a line: the class (category id - 1), then x and y of one ring, as shares of width and height.
    Holes and blobs are joined to it by bridges of no width. Crowds are left out, as Ultralytics' converter
    from COCO does. An image without instances has an empty file, which makes it a background image.

    Read in Ultralytics' sources (`data/utils.py`, `data/converter.py`, `utils/ops.py`) and documentation: a
    picture's label file is found by the last `/images/` in its path, which becomes `/labels/`, and by its
    name up to the last dot; `train` and `val` are required; without `path`, folders are relative to
    `data.yaml`; classes count from 0 without gaps; a line is a segment where some line of the file has more
    than 6 numbers, which three corners have; rings above 1000 points are thinned to these; of two lines with
    the same class and box one is dropped. It moves corners to whole pixels and paints borders as well, so
    bridges show there as lines a pixel wide; `annotations.json` of `CocoDataset` is the more exact.
    """

    def __init__(self, folder: Path, categories: Categories, options: Options, tell: Tell) -> None:
        self._folder = folder
        self._categories = categories
        self._splits = options.splits or (_TRAIN,)
        self._description = options.description
        self._tell = tell
        self._owners: dict[str, str] = {}  # path without its ending → the picture that has it
        self._renamed: dict[str, str] = {}
        self._images = self._instances = 0
        for split in self._splits:
            for kind in ("images", "labels"):
                (folder / kind / split).mkdir(parents=True)

    def add(self, record: Record | VideoRecord, split: str | None) -> None:
        """Takes one image; a video is left out."""
        if isinstance(record, VideoRecord):
            reason = "YOLO labels hold images, no videos: export with --format youtube-vis, mot or davis."
            return self._tell(problem(record, reason))
        picture = self._place(record, split)
        labels = self._folder / _labels_of(picture)
        if labels.exists():
            reason = f"{record.file_name} comes twice: take it out of the source once."
            return self._tell(problem(record, reason))
        assert record.size is not None  # a writer is given no other
        instances = fitting(record, self._tell)
        lines = [line for one in instances if (line := self._line(record, one, record.size))]
        crowds = sum(one.crowd for one in instances)
        if crowds:
            reason = f"{crowds} crowd(s): YOLO has no place for them; export with --format coco to keep them."
            self._tell(problem(record, reason))
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text("".join(lines), "ascii")
        self._images += 1
        self._instances += len(lines)

    def picture_path(self, record: Record | VideoRecord, split: str | None) -> Path | None:
        """Where Ultralytics looks for it; once added, renamed where two would share a label file."""
        if isinstance(record, VideoRecord):
            return None
        given = _wished(record, split)
        return Path(self._renamed.get(str(given), given))

    def finish(self) -> dict[str, int]:
        """Writes `data.yaml`.

        Raises:
            InputError: the category ids leave out more than 10,000 numbers. Fewer get a class that is called
                unused, since classes have no gaps and their numbers are to stay.
        """
        names = {number: name for name, number in self._categories.names.items()}
        last = max(names, default=0)
        if last - len(names) > _MOST_GAPS:
            raise InputError(
                f"Category ids go up to {last} for {len(names)} classes, and YOLO's have no gaps: give them "
                "smaller ids in the categories file."
            )
        classes = [names.get(number, f"unused {number}") for number in range(1, last + 1)]
        (self._folder / "data.yaml").write_text(_yaml(self._description, self._splits, classes), "utf-8")
        return {"images": self._images, "instances": self._instances, "categories": len(names)}

    def close(self) -> None:
        """Nothing is open."""

    def _place(self, record: Record, split: str | None) -> str:
        """The picture's path, the same each time; tells once where it had to be renamed."""
        path = _wished(record, split)
        given = str(path)
        if given in self._renamed:
            return self._renamed[given]
        free, n = path, 1
        while self._owners.setdefault(str(free.with_suffix("")).casefold(), given) != given:
            n += 1
            free = path.with_name(f"{path.stem}-{n}{path.suffix}")
        if free != path:
            self._renamed[given] = str(free)
            reason = (
                f"{record.file_name} has the name of another picture but for its ending, and YOLO would give "
                f"both the same labels: it is {free.name} here."
            )
            self._tell(problem(record, reason, "mended"))
        return str(free)

    def _line(self, record: Record, instance: Instance, size: tuple[int, int]) -> str:
        if instance.crowd:
            return ""
        rings = _rings(instance.shape)
        if not rings:
            reason = "A region covers the centre of no pixel: draw it larger, or delete it."
            self._tell(problem(record, reason, instance=instance))
            return ""
        ring = joined(rings) if len(rings) > 1 else rings[0]
        shares = np.clip(ring / (size[1], size[0]), 0, 1).ravel().tolist()
        corners = (" %.6f" * len(shares)) % tuple(shares)
        return f"{self._categories.id_of(instance.label) - 1}{corners}\n"


def _wished(record: Record, split: str | None) -> PurePosixPath:
    return PurePosixPath("images", split or _TRAIN, record.file_name)


def _rings(shape: Shape) -> Sequence[Ring]:
    return shape.rings if isinstance(shape, Polygons) else painted_rings(shape)


def _labels_of(picture: str) -> str:
    """The label file that Ultralytics looks for."""
    labels = "/labels/".join(f"/{picture}".rsplit("/images/", 1))[1:]
    return str(PurePosixPath(labels).with_suffix(".txt"))


def _yaml(description: str, splits: Sequence[str], classes: Sequence[str]) -> str:
    lines = [f"# {line}" for line in description.splitlines()]
    lines += [f"{role}: {folder}" for role, folder in _roles(splits).items()]
    lines += ["names:"] if classes else ["names: {}"]
    # JSON's strings are YAML's; what YAML cannot hold as it is, escaped
    lines += [f"  {n}: {json.dumps(c, ensure_ascii=not c.isprintable())}" for n, c in enumerate(classes)]
    return "\n".join(lines) + "\n"


def _roles(splits: Sequence[str]) -> Mapping[str, str]:
    """What stands in data.yaml for each split; train and val whatever they are called."""
    train = _TRAIN if _TRAIN in splits else splits[0]
    others = [split for split in splits if split != train]
    validation = next((s for s in others if s in _VALIDATION), next(iter(others), train))
    roles = {"train": train, "val": validation} | {s: s for s in others if s != validation}
    return {role: f"images/{split}" for role, split in roles.items()}
