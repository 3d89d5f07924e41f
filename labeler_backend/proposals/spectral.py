"""Normalised cut of the token graph, fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from labeler_backend.backbone.features import Features, FloatArray, unit_tokens
from labeler_backend.proposals.grouping import spherical_kmeans

TAU = 0.5
"""Tokens more alike than this are neighbours in the graph. Swept on real images: higher than TokenCut's 0.2,
since DINOv2's tokens are all rather alike."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The smoothest ways of cutting the graph in two, the constant one left out.

    Attributes:
        values: (k,) eigenvalues of the normalised affinity, falling; near 1 = a clean cut.
        vectors: (k, gh, gw) float32 eigenvectors of the generalised problem.
    """

    values: FloatArray
    vectors: FloatArray


def normalized_cut(tokens: FloatArray, *, vectors: int = 4, tau: float = TAU) -> Spectrum:
    """Normalised cut (Shi, Malik 2000) on thresholded cosine affinity (TokenCut, Wang et al. 2022).

    Solved as the largest eigenvectors of D^-1/2 A D^-1/2 by Lanczos from a fixed start, which gives the
    vector of TokenCut's dense generalised solver in a hundredth of the time, and the same bits each time.

    Args:
        tokens: (gh, gw, C).
        vectors: how many; fewer come back where the grid is tiny.
        tau: cosine above which two tokens are neighbours.
    """
    height, width, _ = tokens.shape
    unit = unit_tokens(tokens).reshape(height * width, -1)
    affinity = np.where(unit @ unit.T > tau, np.float32(1), np.float32(1e-5))
    scale = 1 / np.sqrt(affinity.sum(axis=1))
    affinity *= scale[:, None]
    affinity *= scale[None]
    wanted = min(vectors + 1, height * width - 1)
    if wanted < 2:
        return Spectrum(np.zeros(0, np.float32), np.zeros((0, height, width), np.float32))
    values, found = _largest(affinity, wanted)
    order = np.argsort(-values, kind="stable")[1:]
    maps = (found * scale[:, None])[:, order].T.reshape(-1, height, width)
    return Spectrum(values[order].astype(np.float32), maps.astype(np.float32))


def _largest(matrix: FloatArray, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    start = np.ones(len(matrix), np.float32)
    try:
        values, vectors = eigsh(matrix, k=count, which="LA", tol=1e-4, v0=start)
    except ArpackNoConvergence as error:  # nearly disconnected: what has converged is what can be cut
        values, vectors = error.eigenvalues, error.eigenvectors
        if not len(values):
            values, vectors = np.ones(1, np.float32), start[:, None]
    return np.asarray(values, np.float32), np.asarray(vectors, np.float32)


def segments(features: Features, max_segments: int = 8) -> npt.NDArray[np.int32]:
    """A flat segmentation to look at: k-means on the leading eigenvectors, k by the largest eigengap.

    (Deep Spectral Methods, Melas-Kyriazi et al. 2022.)

    Returns:
        (gh, gw) int32 labels from 0, by falling size.
    """
    spectrum = normalized_cut(features.tokens, vectors=max_segments)
    height, width = features.grid
    if len(spectrum.values) < 2:
        return np.zeros((height, width), np.int32)
    gaps = spectrum.values[:-1] - spectrum.values[1:]
    groups = int(np.argmax(gaps)) + 2
    embedded = spectrum.vectors[: groups - 1].reshape(groups - 1, -1).T
    embedded = embedded / np.maximum(np.linalg.norm(embedded, axis=0, keepdims=True), 1e-9)
    augmented = np.hstack([embedded, np.full((len(embedded), 1), 1 / np.sqrt(len(embedded)), np.float32)])
    labels, _ = spherical_kmeans(augmented.astype(np.float32), groups)
    by_size = np.argsort(-np.bincount(labels, minlength=groups), kind="stable")
    rank = np.empty(groups, np.int32)
    rank[by_size] = np.arange(groups, dtype=np.int32)
    return rank[labels].reshape(height, width)
