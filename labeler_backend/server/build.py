"""Puts a `Service` together from the settings."""

from __future__ import annotations

from labeler_backend.backbone.cache import FeatureCache
from labeler_backend.labeler import Labeler
from labeler_backend.server import acceptance_file
from labeler_backend.server.acceptance import Acceptance
from labeler_backend.server.answering import Answering
from labeler_backend.server.connections import Connections
from labeler_backend.server.journal import Journal
from labeler_backend.server.proposing import Proposing
from labeler_backend.server.service import Limits, Service
from labeler_backend.settings import ServerSettings
from labeler_backend.store import Store
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.version import model_version

GB = 1e9
_ANSWERS_GB = 1.0  # proposals and answers, about 50 kB an image
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
    secret = settings.label_studio_api_key
    connections = Connections(
        settings.data_dir / "connections.json",
        settings.label_studio_url,
        secret.get_secret_value() if secret else None,
    )
    version = model_version(settings.model, settings.size)
    journal = Journal(Acceptance(settings.data_dir / acceptance_file.FILE), connections, settings.costs)
    proposing = Proposing(load, proposals, max_pixels=settings.max_pixels, capacity=CAPACITY)
    return Service(
        model=settings.model,
        size=settings.size,
        model_version=version,
        proposing=proposing,
        answering=Answering(version, proposing, media, answers, journal),
        connections=connections,
        journal=journal,
        caches={"media": media, "features": features.store, "proposals": proposals, "answers": answers},
        limits=Limits(deadline=settings.deadline),
    )
