"""The model that label-studio-ml serves; `_wsgi.py` beside it is how."""

from labeler_backend.studio.ml_base import EmergentLabelerModel

__all__ = ["EmergentLabelerModel"]
