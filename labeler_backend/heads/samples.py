"""Labelled images ready to learn from, kept so that training never reads a picture again.

A folder with `log.jsonl`, to which lines are only ever added (what each image is, what was said of it, what
was deleted), and under `images/` one file per image that was encoded. Deleting an annotation adds a line;
the image's file stays until `compact` removes it, as annotations often come back.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from labeler_backend.backbone.features import Features
from labeler_backend.files import write_bytes
from labeler_backend.heads.annotations import Annotation, coverage, from_entry, to_entry
from labeler_backend.heads.errors import SampleError
from labeler_backend.heads.sample_files import StoredImage, from_bytes, to_bytes
from labeler_backend.heads.sample_log import Log, Place
from labeler_backend.heads.types import Sample
from labeler_backend.masks.rle import RLE

__all__ = ["ImageFacts", "SampleStore", "coverage"]

_LOCK_SECONDS = 60.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image was encoded by and how large.

    Attributes:
        model_key: of its features.
        image_size: (H, W) in pixels.
        grid: (gh, gw) in patches.
        middle: whether its features have middle layers.
    """

    model_key: str
    image_size: tuple[int, int]
    grid: tuple[int, int]
    middle: bool = False


@dataclass(slots=True)
class _Known:
    """The last state of one image; `place` is None where no annotation of it counts.

    `gone` is where the log says so: the first byte of the line that deleted the last annotation.
    """

    facts: ImageFacts | None = None
    place: Place | None = None
    gone: int = -1
    revision: str = ""
    source: str = ""


class SampleStore:
    """The samples of one project.

    Any number of threads and processes may use the folder, each with an object of its own: one writes at a
    time, all others see it from their next call on. What was put or annotated is on the disk when the call
    returns, and outlives kill -9 from then on.

    Attributes:
        folder: it is made with the first sample.
        model_key: where it is given, only samples whose features are of these weights come out.
        problems: sentences about what had to be left out while samples were read.
    """

    def __init__(self, folder: Path, model_key: str = "") -> None:
        self.folder = folder
        self.model_key = model_key
        self.problems: list[str] = []
        self._reset()

    # --- writing --------------------------------------------------------------------------------------------

    def put(self, sample: Sample, *, source: str = "", address: str = "") -> None:
        """Keeps an image with what is in it; what was kept of the same image before is replaced.

        Args:
            sample: of which `key` is hexadecimal.
            source: where the annotation comes from; see `keep_only`.
            address: where the picture lies, or any name for that; see `key_at`.

        Raises:
            SampleError: it cannot be written.
        """
        features = sample.features
        facts = ImageFacts(
            features.model_key, features.image_size, features.grid, features.middle is not None
        )
        data = to_bytes(StoredImage(features, sample.picture, sample.proposals))
        annotation = Annotation(
            sample.group,
            sample.labels,
            sample.masks,
            sample.coverage,
            sample.unknown,
            sample.trust,
            sample.revision,
        )
        with self._writing():
            write_bytes(self._path(sample.key), data)
            entries = [_image_entry(sample.key, facts), _annotation_entry(sample.key, annotation, source)]
            self._log.append([*entries, *self._moved(sample.key, address)])

    def annotate(
        self,
        key: str,
        group: str,
        labels: Sequence[str],
        masks: Sequence[RLE],
        unknown: npt.NDArray[np.uint8],
        trust: float,
        revision: str,
        *,
        source: str = "",
        address: str = "",
    ) -> bool:
        """Another annotation of an image that is kept already; arguments as in a `Sample` and in `put`.

        Returns:
            Whether it is another one than the one that counted so far.

        Raises:
            SampleError: the image is not kept, or the annotation cannot be written.
        """
        with self._writing():
            known = self._all.get(key)
            if known is None or known.facts is None:
                raise SampleError(f"No image {key} is kept in {self.folder}: take it in first.")
            news = self._moved(key, address)
            differs = known.place is None or known.revision != revision
            if differs or known.source != source:
                shares = coverage(masks, known.facts.image_size, known.facts.grid)
                made = Annotation(group, tuple(labels), tuple(masks), shares, unknown, trust, revision)
                news.append(_annotation_entry(key, made, source))
            if news:
                self._log.append(news)
        return differs

    def forget(self, keys: Iterable[str]) -> int:
        """The annotations of these images do not count any more → how many that were."""
        with self._writing():
            known = [key for key in dict.fromkeys(keys) if key in self._all]
            counted = sum(self._all[key].place is not None for key in known)
            unclear = [key for key in known if not self._is_gone(self._all[key])]
            if unclear:
                self._log.append([{"op": "forget", "keys": unclear}])
        return counted

    def keep_only(self, keys: Collection[str], source: str | None = None) -> int:
        """All annotations but those of these images do not count any more → how many that were.

        Args:
            keys: of the images whose annotations still are where they came from.
            source: only annotations that came from there are looked at; None = all.
        """
        self._refresh()
        kept = set(keys)
        of_source = [key for key, one in self._all.items() if source is None or one.source == source]
        return self.forget(key for key in of_source if key not in kept)

    def idle(self) -> set[Path]:
        """Files that no annotation refers to: images whose annotation was deleted, and what damage and kills
        left. After a damaged line of the log, only images that were deleted since: it may be about any other.

        Raises:
            SampleError: the folder cannot be read.
        """
        self._refresh()
        dead = (self._path(key) for key, one in self._all.items() if self._is_gone(one))
        with self._sentences():
            left = [
                path for kind in ("*.damaged", ".*.part") for path in self.folder.glob(f"images/*/{kind}")
            ]
            return {path for path in (*dead, *left) if path.is_file()}

    def compact(self, files: Collection[Path]) -> int:
        """Removes those of these files that nothing refers to now either → how many that were.

        That their annotations do not count has been on the disk before; killed at whatever point, it has
        removed some of them, and nothing else.

        Args:
            files: what was `idle` some time ago.

        Raises:
            SampleError: something else writes into the folder, or it cannot be read.
        """
        removed = 0
        with self._writing():
            for path in sorted(self.idle().intersection(files)):
                with contextlib.suppress(OSError):  # the next time
                    path.unlink()
                    removed += 1
        return removed

    def acknowledge(self) -> None:
        """What `problems` says of the log has reached somebody, and need not be told again.

        The damaged lines stay where they are.
        """
        said = set(self._log.damaged)
        if said - self._said:
            with contextlib.suppress(SampleError), self._writing():  # else it is told once more
                if said - self._said:  # nobody else did meanwhile
                    self._log.append([{"op": "said", "lines": sorted(said - self._said)}])

    # --- reading --------------------------------------------------------------------------------------------

    def has(self, key: str, revision: str) -> bool:
        """Whether this annotation of this image is the one that counts."""
        return self.revision(key) == revision

    def revision(self, key: str) -> str | None:
        """Of the annotation that counts; None where there is none."""
        self._refresh()
        known = self._all.get(key)
        return known.revision if known is not None and self._counts(known) else None

    def has_image(self, key: str) -> bool:
        """Whether the image is kept, annotated or not."""
        return self.facts(key) is not None

    def facts(self, key: str) -> ImageFacts | None:
        """Of an image that is kept; None of any other."""
        self._refresh()
        known = self._all.get(key)
        return known.facts if known is not None and self._path(key).is_file() else None

    def key_at(self, address: str) -> str | None:
        """The image that was last found there."""
        self._refresh()
        return self._addresses.get(address)

    def revisions(self) -> dict[str, str]:
        """Key → revision of everything that there is to learn from, in the order in which it first came."""
        self._refresh()
        return {key: one.revision for key, one in self._all.items() if self._counts(one)}

    def keys(self) -> list[str]:
        """Of the images that there are to learn from, in the order in which they first came."""
        return list(self.revisions())

    def __len__(self) -> int:
        return len(self.revisions())

    def model_keys(self) -> set[str]:
        """The weights that features of annotated images are of, whatever `model_key` is."""
        self._refresh()
        return {one.facts.model_key for one in self._all.values() if one.place and one.facts}

    def digest(self) -> str:
        """Another one whenever there is something else to learn from."""
        parts = [
            f"{key} {revision} {one.facts.model_key if (one := self._all[key]).facts else ''}"
            for key, revision in sorted(self.revisions().items())
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def load(self, key: str) -> Sample:
        """One sample.

        Raises:
            SampleError: there is none, or it is damaged.
        """
        self._refresh()
        known = self._all.get(key)
        if known is None or not self._counts(known) or known.place is None:
            raise SampleError(f"There is no sample {key} in {self.folder}.")
        image = self._image(key)
        annotation = self._annotation(key, known.place, image.features)
        return Sample(
            key=key,
            group=annotation.group,
            features=image.features,
            picture=image.picture,
            labels=annotation.labels,
            masks=annotation.masks,
            coverage=annotation.coverage,
            unknown=annotation.unknown,
            trust=annotation.trust,
            proposals=image.proposals,
            revision=annotation.revision,
        )

    def __iter__(self) -> Iterator[Sample]:
        """One after another, in the order in which they first came; what is damaged is left out and told."""
        self._tell_of_others()
        for key in self.keys():
            try:
                sample = self.load(key)
            except SampleError as error:
                self._tell(str(error))
            else:
                yield sample

    # --- the rest -------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        return self.folder / "images" / key[:2] / f"{key}.safetensors"

    def _counts(self, one: _Known) -> bool:
        return (
            one.place is not None
            and one.facts is not None
            and (not self.model_key or one.facts.model_key == self.model_key)
        )

    def _is_gone(self, one: _Known) -> bool:
        """Whether surely no annotation of the image counts: no damaged line could have brought one later."""
        return one.place is None and one.gone >= max(self._log.damaged, default=-1)

    def _moved(self, key: str, address: str) -> list[dict[str, Any]]:
        moved = bool(address) and self._addresses.get(address) != key
        return [{"op": "address", "address": address, "key": key}] if moved else []

    def _reset(self) -> None:
        self._log = Log(self.folder / "log.jsonl")
        self._all: dict[str, _Known] = {}
        self._addresses: dict[str, str] = {}
        self._said: set[int] = set()

    def _refresh(self) -> None:
        with self._sentences():
            if self._log.shrank:
                self._reset()
            for place, entry in self._log.news():
                self._apply(place, entry)
        for start in self._log.damaged:
            if start not in self._said:
                self._tell(
                    f"The line at byte {start} of {self._log.path} is damaged and was left out: take in the "
                    f"annotations again."
                )

    def _apply(self, place: Place, entry: dict[str, Any]) -> None:
        match entry:
            case {"op": "image", "key": key, "model_key": model, "image_size": [h, w], "grid": [gh, gw]}:
                self._all.setdefault(key, _Known()).facts = ImageFacts(
                    model, (h, w), (gh, gw), entry.get("middle") is True
                )
            case {"op": "annotation", "key": key, "revision": revision, "source": source}:
                one = self._all.setdefault(key, _Known())
                one.place, one.revision, one.source = place, revision, source
            case {"op": "forget", "keys": keys}:
                for key in keys:
                    one = self._all.setdefault(key, _Known())
                    one.place, one.gone = None, place.start
            case {"op": "address", "address": address, "key": key}:
                self._addresses[address] = key
            case {"op": "said", "lines": lines}:
                self._said.update(lines)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """As the only one; with what others wrote before."""
        with self._sentences():
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / ".lock", timeout=_LOCK_SECONDS):
                self._refresh()
                yield

    def _image(self, key: str) -> StoredImage:
        path = self._path(key)
        try:
            with self._sentences():
                data = path.read_bytes() if path.is_file() else b""
            return from_bytes(data)
        except ValueError as error:
            self._set_aside(path)
            raise SampleError(
                f"Image {key} in {self.folder} is damaged or gone and was left out: take in its annotation "
                f"again while the picture can be read."
            ) from error

    def _set_aside(self, path: Path) -> None:
        """So that the image counts as not kept, and is encoded again the next time it comes."""
        with contextlib.suppress(OSError, SampleError), self._writing():
            try:
                from_bytes(path.read_bytes())  # somebody may have mended it by now
            except ValueError:
                path.replace(path.with_suffix(".damaged"))

    def _annotation(self, key: str, place: Place, features: Features) -> Annotation:
        try:
            with self._sentences():
                entry = self._log.read(place)
            if entry is None:
                raise ValueError("the checksum differs")
            return from_entry(entry, features.image_size, features.grid)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise SampleError(
                f"The annotation of {key} in {self._log.path} is damaged ({error}) and was left out: take in "
                f"the annotations again."
            ) from error

    def _tell(self, sentence: str) -> None:
        if sentence not in self.problems:
            self.problems.append(sentence)

    def _tell_of_others(self) -> None:
        wanted = len(self)
        annotated = sum(one.place is not None and one.facts is not None for one in self._all.values())
        if wanted < annotated:
            self._tell(
                f"{annotated - wanted} of {annotated} samples in {self.folder} were encoded by other weights "
                f"and are left out: take in their annotations again while their pictures can be read."
            )

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except Timeout as error:
            raise SampleError(
                f"Something else writes into {self.folder} for a minute already: wait for it, and try again."
            ) from error
        except OSError as error:
            if error.errno in _FULL:
                raise SampleError(
                    f"The disk is full, {self.folder} holds what was there before: make room, and go on."
                ) from error
            where = error.filename or self.folder
            raise SampleError(
                f"{where} cannot be used ({error.strerror or error}): check the disk and the permissions."
            ) from error


def _image_entry(key: str, facts: ImageFacts) -> dict[str, Any]:
    return {
        "op": "image",
        "key": key,
        "model_key": facts.model_key,
        "image_size": [int(side) for side in facts.image_size],
        "grid": [int(side) for side in facts.grid],
        "middle": facts.middle,
    }


def _annotation_entry(key: str, annotation: Annotation, source: str) -> dict[str, Any]:
    return {"op": "annotation", "key": key, "source": source, **to_entry(annotation)}
