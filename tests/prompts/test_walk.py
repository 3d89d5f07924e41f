"""The walk: marks spread inside edges and stop at them; the solution is that of the equations."""

from __future__ import annotations

import numpy as np

from labeler_backend.prompts.scene import Scene
from labeler_backend.prompts.types import FloatMap
from labeler_backend.prompts.walk import walk
from tests.prompts.made import LEFT, scene


def test_it_solves_its_equations() -> None:
    made = scene(pool=())
    rng = np.random.default_rng(0)
    prior = rng.uniform(0, 1, made.work).astype(np.float32)
    found = walk(made, prior, np.full(made.work, 0.3, np.float32))
    assert np.abs(_gradient(made, found, prior, 0.3)).max() < 0.02
    assert np.abs(_gradient(made, prior, prior, 0.3)).max() > 0.5


def _gradient(made: Scene, found: FloatMap, prior: FloatMap, weight: float) -> FloatMap:
    total = weight * (found - prior)
    down, right = np.diff(found, axis=0) * made.down, np.diff(found, axis=1) * made.right
    total[:-1] -= down
    total[1:] += down
    total[:, :-1] -= right
    total[:, 1:] += right
    return total


def test_a_seed_fills_its_disc_and_stops_at_the_edge() -> None:
    made = scene(pool=())
    prior, weight = np.zeros(made.work, np.float32), np.full(made.work, 1e-3, np.float32)
    y, x = 84 * made.work[0] // made.size[0], 80 * made.work[1] // made.size[1]
    prior[y, x], weight[y, x] = 1, 50
    found = walk(made, prior, weight)
    rows, columns = (
        np.linspace(0, made.size[0] - 1, made.work[0]),
        np.linspace(0, made.size[1] - 1, made.work[1]),
    )
    inside = LEFT[np.ix_(rows.astype(int), columns.astype(int))]
    assert found[inside].mean() > 3 * found[~inside].mean()
