"""What commands work with: the model, the store of task media, the backend's login."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labeler_backend.labeler import Labeler
    from labeler_backend.settings import ServerSettings
    from labeler_backend.studio.connect import BasicAuth
    from labeler_backend.studio.media.store import MediaStore


def load_proposer(
    model: str | None,
    device: str | None,
    dtype: str | None,
    size: int,
    max_proposals: int,
    min_score: float,
    cached: bool = True,
) -> Labeler:
    """The product's proposer; what is None comes from the environment or the defaults."""
    from labeler_backend.backbone.cache import FeatureCache
    from labeler_backend.labeler import Labeler
    from labeler_backend.settings import load_settings

    settings = load_settings()
    return Labeler.load(
        model or settings.model,
        device=device or settings.device,
        dtype=dtype or settings.dtype,
        size=size,
        max_proposals=max_proposals,
        min_score=min_score,
        cache=FeatureCache(settings.cache_dir / "features", int(settings.cache_gb * 1e9)) if cached else None,
    )


def load_media(settings: ServerSettings) -> MediaStore:
    """The store that pictures of tasks are fetched into; the backend's own, so that both share it."""
    from labeler_backend.studio.media.store import MediaStore

    return MediaStore.of(settings)


def own_login(settings: ServerSettings) -> BasicAuth | None:
    """The login of a backend that runs with these settings."""
    from labeler_backend.studio.connect import BasicAuth

    if settings.basic_auth_user is None or settings.basic_auth_pass is None:
        return None
    return BasicAuth(settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
