"""Which of a task's annotations and predictions become labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

Entry = Mapping[str, Any]  # an annotation or a prediction, as it came


@dataclass(frozen=True, slots=True)
class Policy:
    """What becomes of a task's annotations.

    Attributes:
        annotations: where a task has several: its ground truth, else the latest; the latest; the latest of
            each annotator, in a record each; what most annotators agree on.
        skipped: take annotations that the annotator skipped.
        predictions: never; where nobody has annotated; instead of annotations.
        unlabeled: tasks nobody has annotated become records without instances. Tasks that
            were only skipped are such, and lack annotations.
        crowd_label: the label that means COCO's `iscrowd`.
        keypoints: whether only points linked to a region become its key points, or those inside it too.
        group_by: a key of the tasks' data; without, every task is a group of its own.
    """

    annotations: Literal["ground-truth", "latest", "per-annotator", "consensus"] = "ground-truth"
    skipped: bool = False
    predictions: Literal["never", "missing", "only"] = "never"
    unlabeled: bool = False
    crowd_label: str | None = None
    keypoints: Literal["linked", "inside"] = "linked"
    group_by: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Entries whose regions make up one record, or two and more for a consensus.

    Attributes:
        entries: at most one unless a consensus is wanted.
        annotator: whose record it is, where everyone gets their own.
        predicted: whether they are predictions.
    """

    entries: tuple[Entry, ...]
    annotator: str | None = None
    predicted: bool = False


def choose(annotations: Iterable[Entry], predictions: Iterable[Entry], policy: Policy) -> list[Choice]:
    """What to read of a task; nothing where nobody has annotated it and `policy` wants no such records.

    A task that was only skipped is out altogether: somebody looked at it and would not label it.
    """
    entries = list(annotations) if policy.predictions != "only" else []
    valid = [entry for entry in entries if policy.skipped or not entry.get("was_cancelled")]
    if valid:
        return _chosen(valid, policy)
    if entries:
        return []
    guesses = [] if policy.predictions == "never" else list(predictions)
    if guesses:
        return [Choice((latest(guesses),), predicted=True)]
    return [Choice(())] if policy.unlabeled else []


def _chosen(valid: Sequence[Entry], policy: Policy) -> list[Choice]:
    if policy.annotations in ("per-annotator", "consensus"):
        by_annotator: dict[str, list[Entry]] = {}
        for n, entry in enumerate(valid):  # those of nobody known are of somebody else each
            by_annotator.setdefault(annotator_of(entry) or f"annotation-{entry_id(entry) or n}", []).append(
                entry
            )
        last = {name: latest(entries) for name, entries in by_annotator.items()}
        if policy.annotations == "consensus":
            return [Choice(tuple(sorted(last.values(), key=_age)))]
        return [Choice((entry,), name) for name, entry in last.items()]
    true = [entry for entry in valid if entry.get("ground_truth") is True]
    return [Choice((latest(true if true and policy.annotations == "ground-truth" else valid),))]


def latest(entries: Sequence[Entry]) -> Entry:
    """The one that was changed last; of those, the one with the highest id."""
    return entries[0] if len(entries) == 1 else max(entries, key=_age)


def annotator_of(entry: Entry) -> str | None:
    """Who made an annotation: their address where the source says it, else their id as text."""
    who = entry.get("completed_by")
    if isinstance(who, Mapping):
        who = who.get("email") or who.get("username") or who.get("id")
    return str(who) if isinstance(who, str | int) and not isinstance(who, bool) and who != "" else None


def entry_id(entry: Entry) -> int | None:
    """Of an annotation or prediction in Label Studio."""
    found = entry.get("id")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def accepted_in_bulk(entry: Entry) -> bool:
    """Whether "Create annotations from predictions" made it, and nobody has saved it since: in Label Studio
    1.23 only those have a prediction as parent and no time spent on them."""
    return entry.get("parent_prediction") is not None and entry.get("lead_time") is None


def _age(entry: Entry) -> tuple[float, int]:
    return _moment(entry.get("updated_at")) or _moment(entry.get("created_at")), entry_id(entry) or 0


def _moment(value: object) -> float:
    """Seconds since 1970; 0 where there is no time. Label Studio leaves out microseconds that are 0."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    try:
        moment = datetime.fromisoformat(str(value).strip().replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
