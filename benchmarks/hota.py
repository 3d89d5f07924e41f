"""HOTA and identity switches of tracks of masks.

Luiten et al. 2021, "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking"; identity switches as
in CLEAR MOT (Bernardin, Stiefelhagen 2008) at IoU 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from labeler_backend.masks.metrics import iou

THRESHOLDS = np.arange(0.05, 0.96, 0.05)
Labels = npt.NDArray[np.uint16]
Similarity = tuple[list[int], list[int], npt.NDArray[np.float64]]


def similarities(found: Sequence[Labels], truth: Sequence[Labels]) -> list[Similarity]:
    """Per frame: ids in the truth, ids found, and the IoU of each with each."""
    frames: list[Similarity] = []
    for ours, theirs in zip(found, truth, strict=True):
        known, guessed = ([int(one) for one in np.unique(labels) if one] for labels in (theirs, ours))
        table = [[iou(theirs == a, ours == b) for b in guessed] for a in known]
        frames.append((known, guessed, np.array(table, np.float64).reshape(len(known), len(guessed))))
    return frames


def hota(frames: Sequence[Similarity]) -> float:
    """The mean over IoU thresholds of the root of detection times association accuracy."""
    counts_known: dict[int, int] = {}
    counts_found: dict[int, int] = {}
    potential: dict[tuple[int, int], float] = {}
    for known, guessed, table in frames:
        for one in known:
            counts_known[one] = counts_known.get(one, 0) + 1
        for one in guessed:
            counts_found[one] = counts_found.get(one, 0) + 1
        sums = table.sum(0)[None] + table.sum(1)[:, None] - table
        for i, a in enumerate(known):
            for j, b in enumerate(guessed):
                part = table[i, j] / sums[i, j] if sums[i, j] > 0 else 0.0
                potential[a, b] = potential.get((a, b), 0.0) + part
    alike = {(a, b): p / (counts_known[a] + counts_found[b] - p) for (a, b), p in potential.items()}
    scores = [_at(frames, float(threshold), alike, counts_known, counts_found) for threshold in THRESHOLDS]
    return float(np.mean(scores))


def _at(
    frames: Sequence[Similarity],
    threshold: float,
    alike: dict[tuple[int, int], float],
    counts_known: dict[int, int],
    counts_found: dict[int, int],
) -> float:
    matches: dict[tuple[int, int], int] = {}
    for known, guessed, table in frames:
        if not known or not guessed:
            continue
        whole = np.array([[alike[a, b] for b in guessed] for a in known])
        for i, j in zip(*linear_sum_assignment(-(whole * table)), strict=True):
            if table[i, j] >= threshold - 1e-9:
                pair = (known[i], guessed[j])
                matches[pair] = matches.get(pair, 0) + 1
    hits = sum(matches.values())
    everything = sum(counts_known.values()) + sum(counts_found.values()) - hits
    if not hits:
        return 0.0
    together = sum(n * n / (counts_known[a] + counts_found[b] - n) for (a, b), n in matches.items())
    return float(np.sqrt(hits / everything * together / hits))


def switches(frames: Sequence[Similarity]) -> int:
    """How often an object is found under another id than the last time it was found."""
    last: dict[int, int] = {}
    count = 0
    for known, guessed, table in frames:
        if not known or not guessed:
            continue
        for i, j in zip(*linear_sum_assignment(-table), strict=True):
            if table[i, j] >= 0.5:
                count += last.get(known[i], guessed[j]) != guessed[j]
                last[known[i]] = guessed[j]
    return count
