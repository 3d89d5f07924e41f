"""One turn of the loop: take in what people accepted, train, publish. The command and the server call it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from labeler_backend.errors import LabelerError
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.ingest import Encodes, ingest
from labeler_backend.heads.samples import SampleStore
from labeler_backend.heads.self_test import check_head
from labeler_backend.heads.training import Progress, train
from labeler_backend.heads.versions import Version, Versions
from labeler_backend.media import RGB
from labeler_backend.records import Problem, Record, Tell, VideoRecord

SAMPLES, HEADS = "samples", "heads"
"""Folders of a project."""
_READING = 0.5  # of the progress: encoding takes its time the first time, and next to none later


def learn(
    records: Iterable[Record | VideoRecord],
    open_image: Callable[[Record], RGB],
    labeler: Encodes,
    project_folder: Path,
    progress: Progress,
    tell: Tell,
    *,
    source: str = "",
    total: int | None = None,
    kind: str = "auto",
) -> Version:
    """A new version from all that people accepted; it serves where it is better than what served.

    Killed at whatever point, nothing is lost: what was taken in stays, and the head that served goes on. What
    is kept of images goes when two trainings in a row found no annotation of them.

    Args:
        records: of the whole source.
        open_image: the picture of a record, upright; asked only for what is not stored yet.
        labeler: encodes them.
        project_folder: where everything of the project stands.
        progress: told how far it is.
        tell: of what could not be taken as it is.
        source: where the records come from; without, from the project itself. What came from there before
            and is not among them counts no longer.
        total: number of records, where it is known.
        kind: as for `train`.

    Raises:
        HeadError: nothing can be learned, another training of this project runs, or the disk is full.
        LabelerError: what reading the records raises.
    """
    with _alone(project_folder):
        versions = Versions(project_folder / HEADS)
        serving = versions.serving()  # before the work, since nothing can be published where this raises
        current, learned = _served(versions, serving, tell)
        store = SampleStore(project_folder / SAMPLES, labeler.encoder.model_key)
        idle = store.idle()
        here = source or project_folder.name
        ingest(records, open_image, labeler, store, _reading(progress), tell, source=here, total=total)
        store.compact(idle)  # images come back as long as their annotation was missing only once
        try:
            trained = train(store, current, learned, _training(progress), kind=kind, shown=labeler.shown)
        except LabelerError:
            _pass_on(store, tell)  # what is damaged may be why nothing can be learned
            raise
        _pass_on(store, tell)
        test = partial(check_head, trained=trained.head, sample=next(iter(store)))
        return versions.publish(trained, test, instead_of=serving)


@contextmanager
def _alone(project_folder: Path) -> Iterator[None]:
    """One training per project, whoever asked for it."""
    try:
        project_folder.mkdir(parents=True, exist_ok=True)
        with FileLock(project_folder / ".learning.lock", timeout=0):
            yield
    except Timeout as error:
        raise HeadError(
            f"Another training of {project_folder.name} is running: wait until it is done."
        ) from error
    except OSError as error:
        raise HeadError(
            f"{project_folder} cannot be written ({error.strerror or error}): make room there, or change its "
            f"permissions; the head that served goes on serving."
        ) from error


def _served(
    versions: Versions, serving: int | None, tell: Tell
) -> tuple[Head | None, frozenset[tuple[str, str]]]:
    """What the new head is compared with, and what that one has seen.

    One that is damaged is no reason to stop: a new head is the mend.
    """
    if serving is None:
        return None, frozenset()
    try:
        return versions.load(serving), versions.learned(serving)
    except HeadError as error:
        tell(Problem(str(error), "left out"))
        return None, frozenset()


def _pass_on(store: SampleStore, tell: Tell) -> None:
    for sentence in store.problems:
        tell(Problem(sentence, "left out"))
    store.acknowledge()


def _reading(progress: Progress) -> Callable[[int, int | None], None]:
    """The first part of it; where nobody knows how many records come, only their number moves."""

    def show(done: int, total: int | None) -> None:
        of = f" of {total}" if total else ""
        progress(_READING * min(done / total, 1.0) if total else 0.0, f"record {done}{of}")

    return show


def _training(progress: Progress) -> Progress:
    """The second part of it."""
    return lambda share, what: progress(_READING + (1 - _READING) * share, what)
