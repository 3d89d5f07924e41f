"""From samples to a head, and whether it is better than the one that serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.logistic import fit
from labeler_backend.heads.patches import classes_of, table
from labeler_backend.heads.types import Metrics, Sample

Progress = Callable[[float, str], None]
"""Told the share done, in [0, 1], and what is being done."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A new head and what is known of it.

    Attributes:
        head: learned from all samples.
        before, after: what serves now, and the new one, on the same images that neither had seen; None where
            there were none.
        better: whether the new one may serve.
        reason: why (not), one sentence.
        n_images: learned from.
        n_held_out: measured on.
        learned: (key, revision) of every sample.
        seconds: it took.
    """

    head: Head
    before: Metrics | None
    after: Metrics | None
    better: bool
    reason: str
    n_images: int
    n_held_out: int
    learned: tuple[tuple[str, str], ...]
    seconds: float


def train(
    samples: Iterable[Sample],
    current: Head | None = None,
    learned: frozenset[tuple[str, str]] = frozenset(),
    progress: Progress = lambda share, what: None,
) -> Trained:
    """A head from everything that people accepted so far.

    Args:
        samples: all of them; read once, and kept while training.
        current: what serves now.
        learned: (key, revision) of what `current` was learned from.
        progress: told how far it is.

    Raises:
        HeadError: nothing can be learned from these; one sentence.
    """
    start = time.monotonic()
    progress(0.0, "reading samples")
    known = list(samples)
    classes = classes_of(known)
    if not classes:
        raise HeadError(
            "There is no accepted region to learn from yet: submit some tasks with regions first."
        )
    progress(0.2, "fitting")
    head = Head("logistic", classes, known[0].features.model_key, len(known), fit(table(known, classes)))
    progress(1.0, "done")
    return Trained(
        head=head,
        before=None,
        after=None,
        better=True,
        reason="Nothing was measured.",
        n_images=len(known),
        n_held_out=0,
        learned=tuple((sample.key, sample.revision) for sample in known),
        seconds=time.monotonic() - start,
    )
