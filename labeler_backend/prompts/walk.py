"""A random walk on the working grid, with a prior at each pixel and the marks as seeds.

Grady: Multilabel Random Walker Image Segmentation Using Prior Models (CVPR 2005): the chance that a walker
from a pixel is absorbed on the object's side is the minimiser of Σ λ (p - prior)² + Σ w (p_i - p_j)².
"""

from __future__ import annotations

import numpy as np

from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import FloatMap

PRIOR = 0.3
"""Weight of the prior at each pixel, beside couplings of at most 1."""
SEED = 50.0
"""The same at a seed."""
STEPS = 60
"""Of conjugate gradients at most; it mostly stops earlier."""
TOLERANCE = 1e-6


def walk(scene: Scene, prior: FloatMap, weight: FloatMap) -> FloatMap:
    """Solved by conjugate gradients with the diagonal as preconditioner, from the prior on.

    Args:
        scene: with the couplings.
        prior: (h, w) in [0, 1].
        weight: (h, w) of the prior, above 0.

    Returns:
        (h, w) in [0, 1].
    """
    down, right = scene.down, scene.right
    degree = weight.copy()
    degree[:-1] += down
    degree[1:] += down
    degree[:, :-1] += right
    degree[:, 1:] += right

    def laplacian(values: FloatMap) -> FloatMap:
        out = degree * values
        out[:-1] -= down * values[1:]
        out[1:] -= down * values[:-1]
        out[:, :-1] -= right * values[:, 1:]
        out[:, 1:] -= right * values[:, :-1]
        return out

    target = weight * prior
    inverse = 1 / degree
    enough = TOLERANCE * float((target * target * inverse).sum())
    found = prior.copy()
    residual = target - laplacian(found)
    scaled = inverse * residual
    direction, length = scaled.copy(), float((residual * scaled).sum())
    for _ in range(STEPS):
        if length <= enough:
            break
        ahead = laplacian(direction)
        step = np.float32(length / float((direction * ahead).sum()))
        found += step * direction
        residual -= step * ahead
        scaled = inverse * residual
        new = float((residual * scaled).sum())
        direction = scaled + np.float32(new / length) * direction
        length = new
    return np.asarray(np.clip(found, 0, 1), np.float32)
