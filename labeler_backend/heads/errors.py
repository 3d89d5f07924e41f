"""What can go wrong with heads."""

from labeler_backend.errors import LabelerError


class HeadError(LabelerError):
    """Nothing can be learned, or a head does not fit; one sentence: what, where, the mend."""
