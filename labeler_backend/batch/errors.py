"""What ends a whole run rather than one image."""

from __future__ import annotations

from labeler_backend.errors import LabelerError


class OutputError(LabelerError):
    """The output folder takes no more; this ends the run, since every further image would fail alike."""


class Interrupted(LabelerError):
    """Somebody pressed Ctrl-C; what was done is kept."""
