"""`labeler masks`: from INPUT… to a folder of masks, overlays, annotations.json and a report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from labeler_backend import __version__
from labeler_backend.batch import clean, inputs
from labeler_backend.batch.addresses import as_text, relative_path
from labeler_backend.batch.errors import Interrupted
from labeler_backend.batch.output import ANNOTATIONS, FAILURES, REPORT, guarded
from labeler_backend.batch.pipeline import outcomes
from labeler_backend.batch.stages import STAGES, Outcome, Tools, keep
from labeler_backend.batch.state import Counts, State
from labeler_backend.batch.stopping import interruptible
from labeler_backend.batch.types import Failure, Formats, MaskProposer, Options, Summary
from labeler_backend.errors import InputError
from labeler_backend.files import replacing
from labeler_backend.report.page import ReportData, write_report

Existing = Literal["refuse", "resume", "overwrite"]
Progress = Callable[[Counts], None]


def run(
    texts: Sequence[str],
    out: Path,
    make_proposer: Callable[[], MaskProposer],
    options: Options,
    formats: Formats,
    *,
    existing: Existing = "refuse",
    engine: Literal["local", "ray"] = "local",
    progress: Progress = lambda counts: None,
) -> Summary:
    """Proposals for every image of `texts`, into `out`.

    Args:
        texts: files, folders, globs, .txt lists, URLs.
        make_proposer: called once the inputs and the output have been looked at.
        existing: what to do where `out` already holds a run.
        engine: threads here, or a Ray cluster.
        progress: told after each image.

    Raises:
        LabelerError: bad input or output; nothing that was finished is lost.
        Interrupted: Ctrl-C.
    """
    sources = inputs.check(texts, out)
    common = inputs.base(sources)
    found = inputs.walk(sources, out)
    first = next(found, None)
    if first is None:
        raise InputError(_nothing(texts))
    clean.prepare(out, existing)
    proposer = make_proposer()
    settings = {"model": proposer.fingerprint, "inputs below": as_text(common), **options.fingerprint()}
    with State(out) as state:
        if existing == "resume":
            clean.sweep(out)
        state.start(settings)
        state.add((relative_path(uri, common), uri) for uri in chain([first], found))
        before = state.counts()
        started = time.perf_counter()
        then = partial(keep, out, formats=formats)
        with interruptible() as stopped:
            if engine == "ray":
                from labeler_backend.batch.ray_engine import ray_outcomes

                made = ray_outcomes(state.pending(), make_proposer, formats.instance, options, stopped)
                done: Iterable[Outcome] = map(then, made)
            else:
                done = outcomes(state.pending(), Tools(proposer, formats.instance, options), then, stopped)
            seconds = _collect(state, done, before, progress)
        if stopped():
            raise Interrupted(_interrupted(out, state.counts()))
        wall = time.perf_counter() - started
        summary = _summary(out, state.counts(), before, wall, seconds)
        _finish(out, state, settings, summary, formats, options.categories)
    return summary


def _collect(state: State, done: Iterable[Outcome], before: Counts, progress: Progress) -> dict[str, float]:
    """Every outcome into the state; seconds per stage over all of them."""
    seconds = dict.fromkeys(STAGES, 0.0)
    counts = before
    progress(counts)
    for outcome in done:
        if isinstance(outcome, Failure):
            state.fail(outcome)
            counts = replace(counts, pending=counts.pending - 1, failed=counts.failed + 1)
        else:
            state.save(outcome)
            found = counts.proposals + len(outcome.annotations)
            counts = replace(counts, pending=counts.pending - 1, done=counts.done + 1, proposals=found)
            for stage, spent in outcome.seconds.items():
                seconds[stage] += spent
        progress(counts)
    return seconds


def _finish(
    out: Path,
    state: State,
    settings: dict[str, Any],
    summary: Summary,
    formats: Formats,
    categories: Sequence[str],
) -> None:
    """annotations.json, failures.jsonl and report.html, each whole or not at all."""
    description = f"Mask proposals by Emergent Labeler {__version__}"
    with guarded(out):
        formats.coco(out / ANNOTATIONS, state.rows(), categories, description)
        with replacing(out / FAILURES) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(_failure_line(failure) for failure in state.failures())
        write_report(out / REPORT, ReportData(out, settings, summary, state.previews(), state.failures()))


def _failure_line(failure: Failure) -> str:
    job = failure.job
    return (
        json.dumps({"path": job.path, "uri": job.uri, "stage": failure.stage, "reason": failure.reason})
        + "\n"
    )


def _summary(out: Path, counts: Counts, before: Counts, wall: float, seconds: dict[str, float]) -> Summary:
    rounded = {stage: round(spent, 6) for stage, spent in seconds.items()}
    return Summary(
        out=str(out),
        images=counts.images,
        done=counts.done,
        failed=counts.failed,
        proposals=counts.proposals,
        now=before.pending,
        wall_seconds=round(wall, 3),
        seconds=rounded,
    )


def summary_json(summary: Summary) -> dict[str, Any]:
    """What `--json` prints."""
    files = {"annotations": ANNOTATIONS, "report": REPORT, "failures": FAILURES}
    paths = {key: str(Path(summary.out) / name) for key, name in files.items()}
    return {**asdict(summary), "images_per_second": round(summary.images_per_second, 3), **paths}


def _interrupted(out: Path, counts: Counts) -> str:
    finished = counts.done + counts.failed
    return (
        f"Stopped; {finished} of {counts.images} images are finished and kept in {out}: go on with --resume."
    )


def _nothing(texts: Sequence[str]) -> str:
    named = texts[0] if len(texts) == 1 else f"{texts[0]} and {len(texts) - 1} more"
    return f"No images were found in {named}: give files, folders, quoted globs or a .txt list of images."
