"""What can go wrong with heads."""

from labeler_backend.errors import LabelerError


class HeadError(LabelerError):
    """Nothing can be learned, or a head does not fit; one sentence: what, where, the mend."""


class SampleError(LabelerError):
    """The store of samples cannot be read or written, or one of its entries is no good; one sentence."""
