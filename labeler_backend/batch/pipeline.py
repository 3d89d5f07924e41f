"""The stages over many images: decode threads → one model thread → threads that propose, draw and write."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labeler_backend.backbone.features import Features
from labeler_backend.batch.flow import Budget, Closed, batches, ordered
from labeler_backend.batch.inputs import read
from labeler_backend.batch.stages import (
    Outcome,
    Stages,
    Tools,
    describe,
    failure_of,
    is_out_of_memory,
    reason,
)
from labeler_backend.batch.types import Failure, Job
from labeler_backend.media import RGB, opened


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A decoded image on its way; `charge` is what it holds of the budget."""

    job: Job
    image: RGB
    grid: tuple[int, int]
    note: str
    charge: int
    seconds: dict[str, float]


_Encoded = tuple[_Loaded, Features]


def outcomes(
    jobs: Iterable[Job],
    tools: Tools,
    then: Callable[[Outcome], Outcome] = lambda outcome: outcome,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """One outcome per job, roughly in their order, whatever goes wrong with single images.

    Args:
        jobs: pulled as they are needed.
        then: done to each outcome in the last pool, say writing its files.
        stopped: asked before an image is begun or encoded; once true, what is encoded is finished and the
            rest left.

    Raises:
        Exception: only what `then` raises.
    """
    options = tools.options
    workers = options.workers or _cores()
    line = _Line(tools, then, stopped)
    with (
        ThreadPoolExecutor(workers, "decode") as decoders,
        ThreadPoolExecutor(workers, "finish") as finishers,
    ):
        try:
            turns = enumerate(_until(stopped, jobs))
            decoded = ordered(decoders, line.load, turns, ahead=workers + 4 * options.batch_size)
            ahead = 2 * max(workers, options.batch_size)
            yield from ordered(finishers, line.finish, line.encode(decoded), ahead)
        finally:
            line.budget.close()


class _Line:
    """The stages of one pipeline and the memory they share."""

    def __init__(
        self,
        tools: Tools,
        then: Callable[[Outcome], Outcome],
        stopped: Callable[[], bool],
    ) -> None:
        self.budget = Budget(tools.options.bytes_in_flight)
        self._tools, self._then, self._stopped = tools, then, stopped
        self._batch_size = tools.options.batch_size

    def load(self, turn_job: tuple[int, Job]) -> _Loaded | Failure:
        """In a decode thread: header, then memory, then pixels."""
        turn, job = turn_job
        stages = Stages()
        charge: int | None = None
        try:
            with stages.stage("decode"):
                max_pixels = self._tools.options.max_pixels
                with opened(read(job.uri), max_pixels=max_pixels, name=job.uri) as picture:
                    height, width = picture.size
                    charge = self.budget.charge(3 * height * width)
                    self.budget.acquire(turn, charge)
                    image = picture.rgb()
                grid = self._tools.proposer.grid((image.shape[0], image.shape[1]))
        except Closed:
            raise
        except Exception as error:
            if charge is None:
                self.budget.acquire(turn, 0)
            else:
                self.budget.release(charge)
            return failure_of(job, stages, error)
        return _Loaded(job, image, grid, picture.note, charge, stages.seconds)

    def encode(self, decoded: Iterable[_Loaded | Failure]) -> Iterator[_Encoded | Failure]:
        """In the consumer's thread: batches of one grid through the model."""
        half = self.budget.charge(sys.maxsize)
        for group in batches(decoded, _grid, _charge, lambda: self._batch_size, half):
            if self._stopped():
                return
            loaded = [item for item in group if isinstance(item, _Loaded)]
            yield from (item for item in group if isinstance(item, Failure))
            yield from self._encode(loaded)

    def finish(self, item: _Encoded | Failure) -> Outcome:
        """In a finish thread: everything after the model."""
        if isinstance(item, Failure):
            return self._then(item)
        loaded, features = item
        try:
            return self._then(self._describe(loaded, features))
        finally:
            self.budget.release(loaded.charge)

    def _describe(self, loaded: _Loaded, features: Features) -> Outcome:
        job, image, note = loaded.job, loaded.image, loaded.note
        stages = Stages(loaded.seconds)
        try:
            return describe(job, image, note, features, self._tools, stages)
        except Exception as error:
            return failure_of(job, stages, error)

    def _encode(self, group: list[_Loaded]) -> Iterator[_Encoded | Failure]:
        """One model call; what fails together is tried in halves, down to the image that is at fault."""
        if not group:
            return
        stages = Stages()
        try:
            with stages.stage("backbone"):
                features = self._tools.proposer.encode([item.image for item in group])
                encoded = list(zip(group, features, strict=True))
        except Exception as error:
            failed, memory = reason(error, "backbone"), is_out_of_memory(error)
        else:
            share = stages.seconds["backbone"] / len(group)
            for item, _ in encoded:
                item.seconds["backbone"] = share
            yield from encoded
            return
        # Outside of `except`: the traceback held on to the tensors that filled the device.
        if memory:
            self._batch_size = max(1, len(group) // 2)
            _empty_device_cache()
        if len(group) == 1:
            self.budget.release(group[0].charge)
            yield Failure(group[0].job, "backbone", failed)
        else:
            middle = len(group) // 2
            yield from self._encode(group[:middle])
            yield from self._encode(group[middle:])


def _charge(item: _Loaded | Failure) -> int:
    return item.charge if isinstance(item, _Loaded) else 0


def _grid(item: _Loaded | Failure) -> tuple[int, int] | None:
    return item.grid if isinstance(item, _Loaded) else None


def _until(stopped: Callable[[], bool], jobs: Iterable[Job]) -> Iterator[Job]:
    for job in jobs:
        if stopped():
            return
        yield job


def _empty_device_cache() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
