"""Puts a `Service` together from the settings."""

from __future__ import annotations

from pathlib import Path

from labeler_backend.backbone.cache import FeatureCache
from labeler_backend.heads.learning import HEADS
from labeler_backend.labeler import Labeler
from labeler_backend.projects import project_folder
from labeler_backend.server import acceptance_file, tally
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.answering import Answering
from labeler_backend.server.asking import Asking
from labeler_backend.server.connections import Connections
from labeler_backend.server.journal import Journal
from labeler_backend.server.live import Live
from labeler_backend.server.proposing import Proposing
from labeler_backend.server.queue import Queue
from labeler_backend.server.renewing import Renewing
from labeler_backend.server.service import Limits, Service
from labeler_backend.server.supervisor import Supervisor
from labeler_backend.server.tally import Tally
from labeler_backend.server.telling import telling
from labeler_backend.server.trainings import Trainings
from labeler_backend.settings import ServerSettings
from labeler_backend.store import Store
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.version import model_version

GB = 1e9
_ANSWERS_GB = 1.0  # proposals and answers, about 50 kB an image
_CLICKS_GB = 0.05
CAPACITY = 4096
"""Images that may wait for the model; a request has at most 32 of them in the queue at once."""


def make_service(settings: ServerSettings) -> Service:
    """The backend as the settings have it; the model is loaded when it starts.

    Raises:
        LabelerError: a model nobody knows.
    """
    cache = settings.cache_dir
    features = FeatureCache(cache / "features", int(settings.cache_gb * GB))
    proposals = Store(cache / "proposals", int(_ANSWERS_GB * GB), ".json")
    answers = Store(cache / "answers", int(_ANSWERS_GB * GB), ".json")
    clicks = Store(settings.data_dir / "clicks", int(_CLICKS_GB * GB), ".json")  # where replicas see it

    def load() -> Labeler:
        return Labeler.load(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            size=settings.size,
            cache=features,
            cache_dir=cache,
        )

    media = MediaStore.of(settings)
    connections = Connections.of_settings(settings)
    version = model_version(settings.model, settings.size)
    journal = Journal(Acceptance(settings.data_dir / acceptance_file.FILE), connections, settings.costs)
    proposing = Proposing(load, proposals, max_pixels=settings.max_pixels, capacity=CAPACITY)
    live = make_live(version, settings.data_dir, connections, proposing)
    return Service(
        model=settings.model,
        size=settings.size,
        proposing=proposing,
        answering=Answering(proposing, media, answers, clicks, journal, live),
        live=live,
        telling=telling(live, connections),
        trainings=make_trainings(settings, connections),
        renewing=Renewing(connections, version),
        connections=connections,
        journal=journal,
        caches={"media": media, "features": features.store, "proposals": proposals, "answers": answers},
        limits=Limits(deadline=settings.deadline),
    )


def make_live(base: str, data_dir: Path, connections: Connections, proposing: Proposing) -> Live:
    """Heads of the projects that `connections` knows, below `data_dir`."""

    def folder(project: str) -> Path | None:
        name = connections.name(project)
        return project_folder(data_dir, name) / HEADS if name else None

    def model_key() -> str | None:
        facts = proposing.facts
        return facts[2] if facts else None

    return Live(base, folder, model_key)


def make_trainings(settings: ServerSettings, connections: Connections) -> Trainings:
    """What asks for trainings, and the worker process that does them.

    Raises:
        LabelerError: the queue or the tally cannot be opened.
    """
    asking = Asking(
        settings.data_dir,
        connections.name,
        Queue.of(settings),
        Tally(settings.data_dir / tally.FILE),
        settings.train_every,
    )
    return Trainings(asking, Supervisor(settings))
