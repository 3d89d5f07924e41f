"""Threads that take the most urgent work first, each piece of work once however many ask for it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Urgency(IntEnum):
    """Who waits: lower goes first."""

    CLICK = 0  # a labeler, for the answer to a click
    OPENED = 1  # a labeler, before a blank page
    BATCH = 2  # a program, for many tasks
    WARMING = 3  # nobody, any more


EXPRESS = Urgency.OPENED
"""Up to this one somebody is looking at the screen."""


class Full(Exception):
    """More is waiting than the pool takes."""


@dataclass(eq=False)
class _Work(Generic[T]):
    key: Hashable
    urgency: Urgency
    run: Callable[[], T]
    future: Future[T] = field(default_factory=Future)
    waiters: int = 0
    begun: bool = False


class PriorityPool:
    """Some threads for what somebody waits for at the screen (`EXPRESS`), the others for the rest.

    With threads of its own, urgent work never waits for a piece of work that has begun.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        express: int,
        capacity: int,
        begin: Callable[[bool], None] = lambda express: None,
        around: Callable[[Urgency, Callable[[], Any]], Any] = lambda urgency, run: run(),
    ) -> None:
        """Args:
        name: of the threads.
        threads: how many do what is not urgent.
        express: how many do what is.
        capacity: the most that may wait, urgent work apart.
        begin: called first in each thread; told whether it is an express one.
        around: runs a piece of work; called in the thread.
        """
        self.capacity = capacity
        self.running = 0
        self._begin, self._around = begin, around
        self._heaps: dict[bool, list[tuple[int, int, _Work[Any]]]] = {True: [], False: []}
        self._known: dict[Hashable, _Work[Any]] = {}
        self._order = itertools.count()
        self._change = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(
                target=self._serve, args=(number < express,), name=f"{name}-{number}", daemon=True
            )
            for number in range(express + threads)
        ]
        self._begun = threading.Barrier(len(self._threads) + 1)
        for thread in self._threads:
            thread.start()
        self._begun.wait()

    async def run(self, key: Hashable, urgency: Urgency, work: Callable[[], T]) -> T:
        """The result of `work`, which is done once for all who ask for the same key at the same time.

        Where the caller is cancelled and nobody else waits, work that has not begun is dropped.

        Raises:
            Full: too much is waiting.
            Exception: what `work` raises.
        """
        item = self._join(key, urgency, work)
        try:
            return await asyncio.shield(asyncio.wrap_future(item.future))
        finally:
            self._leave(item)

    def call(self, urgency: Urgency, work: Callable[[], T]) -> T:
        """The same from a thread that is not one of the pool's; nobody shares the work.

        Raises:
            Full: too much is waiting.
            CancelledError: the pool was closed before the work began.
            Exception: what `work` raises.
        """
        item = self._join(object(), urgency, work)
        try:
            return item.future.result()
        finally:
            self._leave(item)

    def waiting(self) -> Counter[Urgency]:
        """How much waits, by urgency."""
        with self._change:
            return Counter(work.urgency for work in self._known.values() if not work.begun)

    def close(self, grace: float) -> None:
        """Drops what waits and gives what runs `grace` seconds to end."""
        with self._change:
            self._closed = True
            for work in self._known.values():
                if not work.begun:
                    work.future.cancel()
            self._change.notify_all()
        end = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _join(self, key: Hashable, urgency: Urgency, work: Callable[[], T]) -> _Work[T]:
        with self._change:
            item = self._known.get(key)
            if item is None:
                if self._closed or (urgency > EXPRESS and len(self._known) >= self.capacity):
                    raise Full
                item = self._known[key] = _Work(key, urgency, work)
                self._push(item)
            elif urgency < item.urgency and not item.begun:
                item.urgency = urgency
                self._push(item)  # its older place is passed over when it comes up
            item.waiters += 1
            return item

    def _leave(self, item: _Work[Any]) -> None:
        with self._change:
            item.waiters -= 1
            if not item.waiters and not item.begun and item.future.cancel():
                self._known.pop(item.key, None)

    def _push(self, item: _Work[Any]) -> None:
        heap = self._heaps[item.urgency <= EXPRESS]
        heapq.heappush(heap, (item.urgency, next(self._order), item))
        self._change.notify_all()

    def _next(self, express: bool) -> _Work[Any] | None:
        """The most urgent work for this kind of thread, marked as begun; None when the pool is closed."""
        heap = self._heaps[express]
        with self._change:
            while not self._closed:
                while heap:
                    item = heapq.heappop(heap)[2]
                    if not item.begun and not item.future.cancelled():
                        item.begun = True
                        self.running += 1
                        return item
                self._change.wait()
        return None

    def _serve(self, express: bool) -> None:
        self._begin(express)
        self._begun.wait()
        while (item := self._next(express)) is not None:
            try:
                outcome: Any = self._around(item.urgency, item.run)
                failure = None
            except BaseException as error:
                failure = error
            with self._change:
                self.running -= 1
                self._known.pop(item.key, None)
            if failure is None:
                item.future.set_result(outcome)
            else:
                item.future.set_exception(failure)
