"""The model a command works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labeler_backend.labeler import Labeler


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
