"""From what became of proposals to a learning curve: per model version, over time, per class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from labeler_backend.report.costs import CostModel
from labeler_backend.report.fates import OUTCOMES, Fate, Outcome, Submission

_LEAST = 5  # annotations in one point of the curve over time
_POINTS = 30


@dataclass(frozen=True, slots=True)
class Tally:
    """Some annotations summed up. Bulk-accepted ones are in none of the numbers but `bulk`.

    Attributes:
        annotations: submitted ones that somebody looked at.
        bulk: predictions that became annotations without anybody opening them.
        outcomes: how many of each.
        mean_iou: of proposals with the regions that came of them; 1 for those accepted as they were. None
            without such pairs. Rejected proposals and regions drawn by hand are no pairs: see `outcomes`.
        relabelled: proposals whose label was changed, whatever their shape.
        clicked: of the outcomes, those of proposals that answered a click.
        estimated: seconds that the cost model expects for the work that was done.
        by_hand: seconds that it expects for the same without proposals.
        measured: seconds by Label Studio's own clock, of the annotations where it is known.
        estimated_of_measured: seconds that the cost model expects for just these.
        typical: median seconds per annotation by Label Studio's clock; None where it is not known.
    """

    annotations: int = 0
    bulk: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    mean_iou: float | None = None
    relabelled: int = 0
    clicked: int = 0
    estimated: float = 0.0
    by_hand: float = 0.0
    measured: float = 0.0
    estimated_of_measured: float = 0.0
    typical: float | None = None

    @property
    def decisions(self) -> int:
        """All outcomes together."""
        return sum(self.outcomes.values())

    @property
    def saved(self) -> float:
        """Seconds; below 0 where proposals were in the way."""
        return self.by_hand - self.estimated

    def share(self, outcome: Outcome) -> float:
        """Of all decisions, in [0, 1]; 0 without any."""
        return self.outcomes[outcome] / self.decisions if self.decisions else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One point of the curve over time: some annotations in a row.

    Attributes:
        start, end: Unix time of the first and the last.
        version: that most of them began with.
        tally: of them.
    """

    start: float
    end: float
    version: str | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """How one class fares.

    Attributes:
        label: as submitted; of rejected proposals, as proposed.
        tally: of its regions and rejected proposals.
        instead: labels that proposals of its regions had instead → how many, the most first.
    """

    label: str
    tally: Tally
    instead: Mapping[str, int]


def tally(submissions: Iterable[Submission], costs: CostModel) -> Tally:
    """Sums up annotations.

    Regions of an unknown kind, as the counts of version 0.1 have them, take and save no time.
    """
    looked = bulk = 0
    outcomes = dict.fromkeys(OUTCOMES, 0)
    pairs = relabelled = clicked = 0
    iou = estimated = by_hand = of_measured = 0.0
    clock: list[float] = []
    for one in submissions:
        if one.bulk:
            bulk += one.count
            continue
        looked += one.count
        spent = 0.0
        for fate in one.fates:
            outcomes[fate.outcome] += fate.count
            relabelled += fate.count * fate.relabelled
            clicked += fate.count * fate.clicked
            if fate.iou is not None:
                pairs += fate.count
                iou += fate.count * fate.iou
            if fate.kind:
                spent += fate.count * costs.spent(fate)
                by_hand += fate.count * costs.by_hand(fate)
        estimated += spent
        if one.seconds is not None:
            clock.append(one.seconds)
            of_measured += spent
    return Tally(
        annotations=looked,
        bulk=bulk,
        outcomes=outcomes,
        mean_iou=iou / pairs if pairs else None,
        relabelled=relabelled,
        clicked=clicked,
        estimated=estimated,
        by_hand=by_hand,
        measured=sum(clock),
        estimated_of_measured=of_measured,
        typical=median(clock) if clock else None,
    )


def by_version(submissions: Iterable[Submission], costs: CostModel) -> dict[str | None, Tally]:
    """Version → its tally, in the order in which versions were first used; those of no version last."""
    found: dict[str | None, list[Submission]] = {}
    for one in sorted(submissions, key=lambda one: one.at):
        found.setdefault(one.version, []).append(one)
    named = sorted(found, key=lambda version: not version)  # stable
    return {version: tally(found[version], costs) for version in named}


def over_time(submissions: Iterable[Submission], costs: CostModel) -> list[Step]:
    """Annotations that began with a prediction, in runs of as many each, by the time they were made."""
    asked = sorted((one for one in submissions if one.version and not one.bulk), key=lambda one: one.at)
    steps = min(_POINTS, max(1, len(asked) // _LEAST)) if asked else 0
    runs = [asked[n * len(asked) // steps : (n + 1) * len(asked) // steps] for n in range(steps)]
    return [Step(run[0].at, run[-1].at, _most(run), tally(run, costs)) for run in runs]


def by_class(submissions: Iterable[Submission], costs: CostModel) -> list[ClassQuality]:
    """Each label that was submitted or proposed, the most frequent first."""
    found: dict[str, list[Fate]] = {}
    for one in submissions:
        for fate in one.fates if not one.bulk else ():
            label = fate.proposed if fate.outcome == "rejected" else fate.submitted
            if label is not None:
                found.setdefault(label, []).append(fate)
    classes = [ClassQuality(label, _of(fates, costs), _instead(fates)) for label, fates in found.items()]
    return sorted(classes, key=lambda one: (-one.tally.decisions, one.label))


def _of(fates: Sequence[Fate], costs: CostModel) -> Tally:
    return tally([Submission(None, 0.0, None, False, tuple(fates))], costs)


def _instead(fates: Iterable[Fate]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for fate in fates:
        if fate.relabelled and fate.proposed:
            counted[fate.proposed] = counted.get(fate.proposed, 0) + fate.count
    return dict(sorted(counted.items(), key=lambda item: -item[1]))


def _most(run: Sequence[Submission]) -> str | None:
    versions = [one.version for one in run]
    return max(versions, key=versions.count)
