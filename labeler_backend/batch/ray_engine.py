"""The same pipeline on a Ray cluster: actors run it over blocks of jobs; the driver keeps files and state."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from labeler_backend.batch.pipeline import outcomes
from labeler_backend.batch.stages import Outcome, Tools
from labeler_backend.batch.types import Annotation, Job, MaskProposer, Options
from labeler_backend.errors import LabelerError

_BLOCK = 64  # jobs per call of an actor: enough for full batches, little to lose when a machine goes

ObjectArray = npt.NDArray[np.object_]


class _Worker:
    """An actor: one copy of the model, and the local pipeline without its writing."""

    def __init__(
        self, make_proposer: Callable[[], MaskProposer], annotate: Callable[..., Annotation], options: Options
    ) -> None:
        self._tools = Tools(make_proposer(), annotate, options)

    def __call__(self, block: dict[str, ObjectArray]) -> dict[str, list[bytes]]:
        jobs = [pickle.loads(data) for data in block["job"]]
        return {"outcome": [pickle.dumps(o) for o in outcomes(jobs, self._tools)]}


def ray_outcomes(
    jobs: Iterable[Job],
    make_proposer: Callable[[], MaskProposer],
    annotate: Callable[..., Annotation],
    options: Options,
    stopped: Callable[[], bool],
) -> Iterator[Outcome]:
    """One outcome per job, in no particular order; images must be readable from every machine of the cluster.

    A GPU each where the cluster has any, else one CPU each. `RAY_ADDRESS` names the cluster; without it one
    is started on this machine.

    Raises:
        LabelerError: Ray is not installed, or no cluster answers.
    """
    ray = _import_ray()
    try:
        ray.init(ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
    except Exception as error:
        raise LabelerError(
            f"No Ray cluster answers ({error}): check RAY_ADDRESS, or use --engine local."
        ) from error
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    dataset = ray.data.from_items([{"job": pickle.dumps(job)} for job in jobs]).map_batches(
        _Worker,
        fn_constructor_args=(make_proposer, annotate, options),
        batch_size=_BLOCK,
        concurrency=(1, max(1, gpus or int(resources.get("CPU", 1)))),
        num_gpus=1 if gpus else 0,
    )
    for row in dataset.iter_rows():
        if stopped():
            return
        yield pickle.loads(row["outcome"])


def _import_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise LabelerError("--engine ray needs Ray: pip install 'emergent-labeler[ray]'") from error
    return ray
