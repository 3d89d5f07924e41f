"""Records → samples: each image is encoded once, and its annotation kept as it is now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from labeler_backend.backbone.features import Features
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.heads.errors import SampleError
from labeler_backend.heads.marks import Marks, fit, marks_of, unknown_share
from labeler_backend.heads.pixels import working_picture
from labeler_backend.heads.samples import ImageFacts, SampleStore, coverage
from labeler_backend.heads.types import Sample
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal
from labeler_backend.records import Problem, Record, Tell, VideoRecord


class Model(Protocol):
    """Something with weights."""

    @property
    def model_key(self) -> str:
        """Identity of what it computes."""


class Encodes(Protocol):
    """What is needed of a `Labeler`."""

    @property
    def encoder(self) -> Model:
        """The backbone."""

    def grid(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) in pixels → (gh, gw) in patches."""

    def encode(self, images: Sequence[RGB]) -> list[Features]:
        """Features of upright images."""

    def pool(self, image: RGB, features: Features) -> list[Proposal]:
        """Emergent proposals, many of them, by falling score."""

    def shown(self, proposals: Sequence[Proposal]) -> Sequence[Proposal]:
        """Those of a pool that an annotator gets to see."""


KEPT_ZOOM = 2.0
"""Pictures are kept at up to so many times what the model sees: small objects need it."""
Progress = Callable[[int, int | None], None]
"""Told how many records are done, and of how many where that is known."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of the records.

    Attributes:
        images: samples that they make up now.
        new: of these, those that there were none of before.
        changed: of these, those whose annotation is another one than before.
        encoded: images for which the backbone was asked.
        vanished: of `images`, those whose picture cannot be read any more.
        gone: samples of the same source that do not count any more, as no record speaks of them.
        left_out: records that became no sample; each was told.
    """

    images: int
    new: int
    changed: int
    encoded: int
    vanished: int
    gone: int
    left_out: int


def image_key(image: RGB) -> str:
    """The same for the same pixels: 32 hexadecimal digits of the SHA-256 of (H, W, 3) uint8, upright."""
    digest = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:32]


def ingest(
    records: Iterable[Record | VideoRecord],
    open_image: Callable[[Record], RGB],
    labeler: Encodes,
    store: SampleStore,
    progress: Progress,
    tell: Tell,
    *,
    source: str = "",
    total: int | None = None,
) -> Ingested:
    """Takes in everything that people say at present, and stores it record by record.

    Killed and started again it encodes nothing twice. A picture that cannot be read any more is learned from
    as long as its features are kept and are of the labeler's weights and size. Where two records show the
    same picture and say different things, the one with the latest annotation counts, of two without one the
    last.

    Args:
        records: of images; videos are left out.
        open_image: a record's picture, upright.
        labeler: encodes what is not kept yet, or was encoded by other weights, at another size or
            without middle layers.
        store: where to.
        progress: told after each record.
        tell: hears of everything that could not be taken as it is; nothing raises for the sake of one record.
        source: where all these records come from. What came from there before and is not among them counts
            no longer; without, nothing is taken for deleted.
        total: number of records, where it is known.

    Raises:
        SampleError: the store cannot be read or written.
        LabelerError: what `records` raises; nothing is taken for deleted then.
    """
    run = _Run(open_image, labeler, store, tell, source)
    before = store.revisions()
    for done, record in enumerate(records, 1):
        run.take(record)
        progress(done, total)
    run.finish()
    gone = store.keep_only(run.taken, source) if source else 0
    return Ingested(
        images=len(run.taken),
        new=sum(key not in before for key in run.taken),
        changed=sum(before.get(key, marks.revision) != marks.revision for key, marks in run.taken.items()),
        encoded=run.encoded,
        vanished=len(run.vanished),
        gone=gone,
        left_out=run.left_out,
    )


@dataclass(slots=True)
class _Run:
    """One ingest.

    Attributes:
        taken: key → marks that count, of the images met so far.
        changes: by key, annotations that are written at the end: where those of one image contradict each
            other, the store is not to change back and forth each time they come.
        vanished: keys of images that could not be read.
    """

    open_image: Callable[[Record], RGB]
    labeler: Encodes
    store: SampleStore
    tell: Tell
    source: str
    taken: dict[str, Marks] = field(default_factory=dict)
    changes: dict[str, tuple[Marks, Callable[[], object]]] = field(default_factory=dict)
    vanished: set[str] = field(default_factory=set)
    encoded: int = 0
    left_out: int = 0

    def take(self, record: Record | VideoRecord) -> None:
        """One record, whatever is wrong with it."""
        with self._guarded(record):
            if isinstance(record, VideoRecord):
                raise InputError(
                    f"{record.file_name} is a video, which nothing is learned from yet: label frames of it "
                    f"as images."
                )
            self._take(marks_of(record, self.tell))

    def finish(self) -> None:
        """Writes what was put off."""
        for key, (marks, write) in self.changes.items():
            with self._guarded(marks.record):
                self._done(key, marks, write)

    @contextmanager
    def _guarded(self, record: Record | VideoRecord) -> Iterator[None]:
        try:
            yield
        except SampleError:
            raise
        except LabelerError as error:
            self._leave_out(record, str(error))
        except Exception as error:  # a fault of ours may cost one image, never all
            detail = " ".join(f"{type(error).__name__}: {error}".split())
            self._leave_out(record, f"{record.file_name} cannot be taken in ({detail}): please report this.")

    def _leave_out(self, record: Record | VideoRecord, reason: str) -> None:
        self.left_out += 1
        self.tell(Problem(reason, "left out", record.task_id, file_name=record.file_name))

    def _take(self, marks: Marks) -> None:
        address = _address(self.source, marks.record)
        known = self.store.key_at(address)
        if known is not None and self._is_unchanged(known, marks):
            self._settle(known, marks, lambda: None)
            return
        try:
            image = _checked(self.open_image(marks.record), marks.record)
        except (LabelerError, OSError) as error:
            self._take_stored(known, marks, address, " ".join(str(error).split()))
            return
        key = image_key(image)
        facts = self.store.facts(key)
        if facts is not None and self._fits(facts) and facts.middle:
            self._annotate(key, facts, marks, address)
        elif self._wins(key, marks):
            self._done(key, marks, lambda: self._put(key, image, marks, address))

    def _fits(self, facts: ImageFacts) -> bool:
        """Whether features are such as the labeler would compute now, but for middle layers."""
        same = facts.model_key == self.labeler.encoder.model_key
        return same and facts.grid == self.labeler.grid(facts.image_size)

    def _is_unchanged(self, key: str, marks: Marks) -> bool:
        """Then the picture need not be opened: whatever lies there now, the one that is kept was labelled.

        Without a source, equal names may be of different data sets.
        """
        facts = self.store.facts(key)
        return (
            bool(self.source)
            and facts is not None
            and self._fits(facts)
            and facts.middle
            and self.store.has(key, marks.revision)
            and marks.record.size in (None, facts.image_size)
        )

    def _take_stored(self, key: str | None, marks: Marks, address: str, why: str) -> None:
        """The picture is gone, but what was computed of it may be there."""
        name = marks.record.file_name
        facts = self.store.facts(key) if key is not None else None
        if key is None or facts is None:
            raise InputError(why)
        if not self._fits(facts):
            self.store.forget([key])
            raise InputError(
                f"{name} was encoded by other weights or at another size, and cannot be read any more "
                f"({why}): bring it back."
            )
        self._annotate(key, facts, marks, address)
        self.vanished.add(key)
        reason = f"{name} cannot be read any more ({why}): what is kept of it was used."
        self.tell(Problem(reason, "kept", marks.record.task_id, file_name=name))

    def _annotate(self, key: str, facts: ImageFacts, marks: Marks, address: str) -> None:
        fitted = fit(marks, facts.image_size, self.tell)

        def write() -> None:
            self.store.annotate(
                key,
                marks.group(key),
                fitted.labels,
                fitted.masks,
                unknown_share(fitted, facts.image_size, facts.grid),
                marks.trust,
                marks.revision,
                source=self.source,
                address=address,
            )

        self._settle(key, marks, write)

    def _settle(self, key: str, marks: Marks, write: Callable[[], object]) -> None:
        """Has `write` done at once where it replaces nothing, else at the end."""
        if not self._wins(key, marks):
            return
        self.changes.pop(key, None)
        if self.store.revision(key) in (None, marks.revision):
            self._done(key, marks, write)
        else:
            self.taken[key] = marks
            self.changes[key] = marks, write

    def _wins(self, key: str, marks: Marks) -> bool:
        """Whether these marks are those that count of an image so far."""
        other = self.taken.get(key)
        if other is not None and other.content != marks.content:
            reason = (
                f"{marks.record.file_name} and {other.record.file_name} are the same picture with different "
                f"labels: the latest annotation counts, delete what is wrong."
            )
            self.tell(Problem(reason, "kept", marks.record.task_id, file_name=marks.record.file_name))
        return other is None or other.rank <= marks.rank

    def _done(self, key: str, marks: Marks, write: Callable[[], object]) -> None:
        """Taken once it is written."""
        write()
        self.taken[key] = marks

    def _put(self, key: str, image: RGB, marks: Marks, address: str) -> None:
        size = (image.shape[0], image.shape[1])
        fitted = fit(marks, size, self.tell)
        self.encoded += 1
        (features,) = self.labeler.encode([image])
        if not (np.isfinite(features.tokens).all() and np.isfinite(features.attention).all()):
            raise InputError(f"The features of {marks.record.file_name} are not finite: try --dtype fp32.")
        sample = Sample(
            key=key,
            group=marks.group(key),
            features=features,
            picture=working_picture(image, features, KEPT_ZOOM),
            labels=fitted.labels,
            masks=fitted.masks,
            coverage=coverage(fitted.masks, size, features.grid),
            unknown=unknown_share(fitted, size, features.grid),
            trust=marks.trust,
            proposals=tuple(self.labeler.pool(image, features)),
            revision=marks.revision,
        )
        self.store.put(sample, source=self.source, address=address)


def _checked(image: RGB, record: Record) -> RGB:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"{record.file_name} is no RGB picture: convert it to JPEG or PNG.")
    return image


def _address(source: str, record: Record) -> str:
    """Where a picture lies, hashed: addresses of cloud storages may carry signatures."""
    named = f"{source}\0{record.uri or record.file_name}"
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:32]
