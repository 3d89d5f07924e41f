"""Order, bounded memory and overlap for a pipeline of generators."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def ordered(pool: Executor, work: Callable[[T], U], items: Iterable[T], ahead: int) -> Iterator[U]:
    """`work` over `items` on a pool, in order, with at most `ahead` items begun and not yet handed on.

    Items are pulled by the consumer's thread, so what makes them may do work of its own there: while the
    model runs in that thread, the pools before and after it are busy.
    """
    begun: deque[Future[U]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            while begun and (len(begun) >= ahead or begun[0].done()):
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()


def batches(
    items: Iterable[T],
    key: Callable[[T], Hashable],
    weight: Callable[[T], int],
    size: Callable[[], int],
    max_weight: int,
) -> Iterator[list[T]]:
    """Groups items of one key, up to `size()` in a group, without letting any wait long.

    At most four groups' worth of items and `max_weight` of weight wait at a time; then the group whose first
    item has waited longest goes. An item whose key is None goes at once, alone. Only the order of the items
    decides, never time, so the groups are reproducible.
    """
    waiting: dict[Hashable, list[T]] = {}
    for item in items:
        if key(item) is None:
            yield [item]
            continue
        while waiting and _over(waiting, weight, 4 * size() - 1, max_weight - weight(item)):
            yield waiting.pop(next(iter(waiting)))
        group = waiting.setdefault(key(item), [])
        group.append(item)
        if len(group) >= size():
            yield waiting.pop(key(item))
    yield from waiting.values()


def _over(waiting: dict[Hashable, list[T]], weight: Callable[[T], int], most: int, heaviest: int) -> bool:
    items = [item for group in waiting.values() for item in group]
    return len(items) > most or sum(map(weight, items)) > heaviest


class Closed(Exception):
    """The pipeline is shutting down; whoever waits for memory must give up."""


class Budget:
    """Bytes that may be held at once, given out strictly in the order of `turn` (0, 1, 2, …).

    In order, because a later image that took the last bytes could not be used before the earlier one that
    waits. One charge is at most half of the whole: an image larger than that still gets in, and whatever
    waits for its batch (also at most half) can never block it.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._turn = 0
        self._closed = False
        self._changed = threading.Condition()

    def charge(self, size: int) -> int:
        """What `size` bytes count."""
        return min(size, self._total // 2)

    def acquire(self, turn: int, charge: int) -> None:
        """Waits for this turn and for room. Every turn must be taken, with 0 bytes where nothing is held.

        Raises:
            Closed: the pipeline is shutting down.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or (self._turn == turn and self._used + charge <= self._total)
            )
            if self._closed:
                raise Closed
            self._used += charge
            self._turn += 1
            self._changed.notify_all()

    def release(self, charge: int) -> None:
        """Gives bytes back."""
        with self._changed:
            self._used -= charge
            self._changed.notify_all()

    def close(self) -> None:
        """Wakes whoever waits, with Closed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
