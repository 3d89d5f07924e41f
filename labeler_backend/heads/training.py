"""From samples to a head, and whether it is better than the one that serves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from labeler_backend.heads import instances, maps, novelty
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.evaluation import evaluate
from labeler_backend.heads.head import Head
from labeler_backend.heads.patches import alike, classes_of
from labeler_backend.heads.promotion import Decision, decide, decide_changed
from labeler_backend.heads.types import SHOWN, Metrics, Sample
from labeler_backend.proposals.types import Proposal

FOLDS = 3
Progress = Callable[[float, str], None]
"""Told the share done, in [0, 1], and what is being done."""
Learned = frozenset[tuple[str, str]]
Shown = Callable[[Sequence[Proposal]], Sequence[Proposal]]


@dataclass(frozen=True, slots=True)
class Trained:
    """A new head and what is known of it.

    Attributes:
        head: learned from all samples.
        before, after: what serves now, and the new one, on the same images that neither had seen, or, without
            new images, whose annotation changed since what serves has seen them; None where there were none.
        better: whether the new one may serve.
        reason: why (not), one sentence; a second one where what serves could not be compared.
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
    learned: Learned = frozenset(),
    progress: Progress = lambda share, what: None,
    *,
    kind: str = "auto",
    shown: Shown = tuple,
) -> Trained:
    """A head from everything that people accepted so far.

    It is measured by cross-validation: what it is said to be worth was reached on images that the models in
    question had not seen. Compared are images that the serving head has not seen either.

    Args:
        samples: all of them; read once, and kept while training.
        current: what serves now; where it understands other features, it is not compared with.
        learned: (key, revision) of what `current` was learned from.
        progress: told how far it is.
        kind: `auto`, or the class map's: `knn`, `logistic` or `blend`.
        shown: which of the emergent proposals an annotator gets while there is no head.

    Raises:
        HeadError: nothing can be learned from these; one sentence.
    """
    start = time.monotonic()
    progress(0.0, "reading samples")
    known = alike(list(samples))
    current, learned, remark = _comparable(known, current, learned)
    seen = frozenset(key for key, _ in learned)
    # only the first of each fold are measured: those that can be compared with what serves come first
    known.sort(key=lambda sample: (sample.key in seen, (sample.key, sample.revision) in learned))
    classes = _checked(known, current, learned, kind)
    folds = split([sample.group for sample in known])
    progress(0.05, "learning what is where")
    mapped = maps.choose(known, folds, classes, kind, lambda share: progress(0.05 + 0.25 * share, "learning"))
    fitted = instances.fit(
        known,
        mapped.held_out,
        folds,
        classes,
        progress=lambda share: progress(0.3 + 0.6 * share, "learning outlines and objects"),
    )
    head = Head(
        kind=mapped.recipe.kind,
        classes=classes,
        model_key=known[0].features.model_key,
        n_images=len(known),
        map=mapped.model,
        instances=fitted.instances,
        novelty=novelty.learn([sample.features for sample in known]),
    )
    progress(0.9, "comparing")
    before, after, decision = _compared(known, fitted.held_out, head, current, learned, shown)
    progress(1.0, "done")
    return Trained(
        head=head,
        before=before,
        after=after,
        better=decision.better,
        reason=f"{decision.reason}{remark}",
        n_images=len(known),
        n_held_out=after.images if after else 0,
        learned=tuple((sample.key, sample.revision) for sample in known),
        seconds=time.monotonic() - start,
    )


def split(groups: Sequence[str], folds: int = FOLDS) -> npt.NDArray[np.int64]:
    """(n,) the fold of each sample: groups stay together, and folds get about as many samples each."""
    sizes = Counter(groups)
    filled = [0] * min(folds, len(sizes))
    chosen: dict[str, int] = {}
    for group in sorted(sizes, key=lambda g: (-sizes[g], g)):
        chosen[group] = filled.index(min(filled))
        filled[chosen[group]] += sizes[group]
    return np.array([chosen[group] for group in groups], np.int64)


def _comparable(
    known: Sequence[Sample], current: Head | None, learned: Learned
) -> tuple[Head | None, Learned, str]:
    """What serves and has learned from what; nothing, and a remark, where it understands other features."""
    if current is None or not known:
        return None, frozenset(), ""
    if current.understands(known[0].features):
        return current, learned, ""
    model_key = known[0].features.model_key
    if current.model_key == model_key:
        return (
            None,
            frozenset(),
            " The head that serves looks at middle layers, which some images were stored without: the new "
            "one was compared with what annotators see without a head.",
        )
    return (
        None,
        frozenset(),
        f" The head that serves understands features of {current.model_key}, and these are of {model_key}: "
        f"the new one was compared with what annotators see without a head.",
    )


def _checked(known: Sequence[Sample], current: Head | None, learned: Learned, kind: str) -> tuple[str, ...]:
    """The classes.

    Raises:
        HeadError: see `train`.
    """
    classes = classes_of(known)
    if not classes:
        raise HeadError(
            "There is no accepted region to learn from yet: submit some tasks with regions, and train again."
        )
    same = learned == {(sample.key, sample.revision) for sample in known}
    if current is not None and same and kind in ("auto", current.kind):
        raise HeadError(
            "Nothing was accepted or changed since the head that serves was trained: submit more tasks first."
        )
    return classes


def _compared(
    known: Sequence[Sample],
    held_out: dict[int, list[Proposal]],
    head: Head,
    current: Head | None,
    learned: Learned,
    shown: Shown,
) -> tuple[Metrics | None, Metrics | None, Decision]:
    """What serves now and the new head on images that neither had learned from."""
    seen = {key for key, _ in learned}
    unseen = [i for i in held_out if known[i].key not in seen]
    # one image says nothing of two heads, and must not keep corrections and deletions from taking effect
    if current is not None and len(unseen) < 2 and (_changed(known, learned) or not _is_more(known, learned)):
        return _compared_again(known, held_out, head, current, learned)
    if not unseen:
        return None, None, Decision(False, _nothing_held_out(len(known)))
    common = _commonest(known)
    serving = {i: _served(current, known[i], common, shown) for i in unseen}
    before = evaluate(serving, known)
    after = evaluate({i: held_out[i] for i in unseen}, known)
    return before, after, decide(before, after)


def _compared_again(
    known: Sequence[Sample],
    held_out: dict[int, list[Proposal]],
    head: Head,
    current: Head,
    learned: Learned,
) -> tuple[Metrics | None, Metrics | None, Decision]:
    """The same where what serves has seen every image but one at most: on those whose annotation changed.

    Both have seen these, so both answer as they are: out of fold, the new one would lose to any head that has
    seen a picture, and corrections would never take effect.
    """
    worth = evaluate(held_out, known) if held_out else None
    changed = _changed(known, learned)
    if changed:
        before, after = (
            evaluate({i: _served(one, known[i], "", tuple) for i in changed[: instances.JUDGED_MOST]}, known)
            for one in (current, head)
        )
        return None, worth, decide_changed(before, after)
    gone = not {key for key, _ in learned} <= {sample.key for sample in known}
    reason = (
        "Annotations that the serving head was learned from have gone since."
        if gone
        else "What serves was learned from the same annotations, so there is no image to compare the two on: "
        "`labeler heads rollback --to` lets this one serve."
    )
    return None, worth, Decision(gone, reason)


def _changed(known: Sequence[Sample], learned: Learned) -> list[int]:
    """Those that what serves has seen with another annotation."""
    seen = {key for key, _ in learned}
    return [i for i, s in enumerate(known) if s.key in seen and (s.key, s.revision) not in learned]


def _is_more(known: Sequence[Sample], learned: Learned) -> bool:
    """Whether images came, and none went."""
    return {key for key, _ in learned} < {sample.key for sample in known}


def _nothing_held_out(images: int) -> str:
    if images == 1:
        return "One image cannot be both learned from and measured on: submit another one, and train again."
    return (
        f"All {images} images are frames of one video or belong together otherwise, so none can be held "
        f"out to measure on: submit one of another, and train again."
    )


def _served(current: Head | None, sample: Sample, common: str, shown: Shown) -> Sequence[Proposal]:
    """What annotators get now. Without a head nothing is named: then it counts as the commonest class."""
    if current is not None:
        return current.answer(sample.picture, sample.features, sample.proposals).proposals
    return [replace(p, label=common, score=max(p.score, SHOWN)) for p in shown(sample.proposals)]


def _commonest(known: Sequence[Sample]) -> str:
    counts = Counter(label for sample in known for label in sample.labels)
    return min(counts, key=lambda label: (-counts[label], label))
