"""What a training job does: annotations and pictures from Label Studio, and a new head."""

from __future__ import annotations

import logging
from collections.abc import Callable

from labeler_backend.backbone.cache import FeatureCache
from labeler_backend.errors import LabelerError
from labeler_backend.heads.learning import HEADS, learn
from labeler_backend.heads.versions import Version, Versions
from labeler_backend.labeler import Labeler
from labeler_backend.media import RGB, opened
from labeler_backend.projects import project_folder
from labeler_backend.records import Problem, Record
from labeler_backend.server.connections import Connections, logged_in
from labeler_backend.server.protocol import project_id
from labeler_backend.server.running import Outcome, Progress
from labeler_backend.settings import ServerSettings
from labeler_backend.studio.client import Studio
from labeler_backend.studio.download import download, studio_tasks
from labeler_backend.studio.export_json import Policy, records
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.media.types import Access
from labeler_backend.studio.tags import read_tags

logger = logging.getLogger("labeler_backend")

_POLICY = Policy(annotations="ground-truth")
_DOWNLOADED = 0.1  # of the progress
_TOLD = 20  # problems of one training that are logged


def train_project(settings: ServerSettings, project: str, progress: Progress) -> Outcome:
    """A new head for a project from all annotations that it has in Label Studio.

    Args:
        settings: the server's.
        project: as Label Studio names it.
        progress: told how far it is.

    Raises:
        LabelerError: nothing came of it; one sentence.
    """
    connections = Connections.of_settings(settings)
    access, name = connections.access(project), connections.name(project)
    if access is None or name is None:
        raise LabelerError(
            "Where this project's Label Studio is is not known: open Settings > Model there once, or set "
            "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY."
        )
    folder, number = project_folder(settings.data_dir, name), int(project_id(project))
    with logged_in(access) as studio:
        version = _learned(settings, studio, number, access, name, progress)
    serves = Versions(folder / HEADS).serving()
    return Outcome(version.number, serves == version.number, version.reason)


def _learned(
    settings: ServerSettings, studio: Studio, number: int, access: Access, name: str, progress: Progress
) -> Version:
    def downloaded(done: int, total: int) -> None:
        progress(_DOWNLOADED * done / max(total, 1), f"reading annotations: {done} of {total} tasks")

    def learning(share: float, what: str) -> None:
        progress(_DOWNLOADED + (1 - _DOWNLOADED) * share, what)

    told = _Told()
    try:
        with download(studio, number, settings.cache_dir / "trainings", downloaded) as found:
            learning(0.0, "loading the model")
            return learn(
                records(studio_tasks(found), _POLICY, told, config=read_tags(found.config)),
                _opener(settings, access),
                _labeler(settings),
                project_folder(settings.data_dir, name),
                learning,
                told,
                total=found.tasks,
                kind=settings.train_kind,
            )
    finally:
        told.rest()


def _labeler(settings: ServerSettings) -> Labeler:
    cache = FeatureCache(settings.cache_dir / "features", int(settings.cache_gb * 1e9))
    return Labeler.load(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        size=settings.size,
        cache=cache,
        cache_dir=settings.cache_dir,
    )


def _opener(settings: ServerSettings, access: Access) -> Callable[[Record], RGB]:
    """The picture of a record, through the cache that /predict uses, too."""
    media = MediaStore.of(settings)

    def open_image(record: Record) -> RGB:
        found = media.fetch(record.uri or "", access, record.task_id)
        with opened(found.path, max_pixels=settings.max_pixels, name=found.name) as picture:
            return picture.rgb()

    return open_image


class _Told:
    """Problems, the first few of them in the log."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, problem: Problem) -> None:
        self._count += 1
        if self._count <= _TOLD:
            logger.warning("%s (%s)", problem.reason, problem.done)

    def rest(self) -> None:
        """Says how many there were besides."""
        if self._count > _TOLD:
            logger.warning("… and %d problems more.", self._count - _TOLD)
