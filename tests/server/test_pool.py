"""Order, sharing, dropping and closing of the priority pool, with real threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from labeler_backend.server.pool import Full, PriorityPool, Urgency


@pytest.fixture
def make_pool() -> Iterator[Callable[..., PriorityPool]]:
    pools: list[PriorityPool] = []

    def make(threads: int = 1, express: int = 1, capacity: int = 100) -> PriorityPool:
        pools.append(PriorityPool("test", threads=threads, express=express, capacity=capacity))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close(5)


class Held:
    """Work that runs until it is let go."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.end.wait(10)
        return "done"


async def begun(held: Held) -> None:
    assert await asyncio.to_thread(held.begun.wait, 10)


def test_the_most_urgent_goes_first_and_equals_in_their_order(make_pool: Callable[..., PriorityPool]) -> None:
    order: list[str] = []

    async def scenario() -> None:
        pool, held = make_pool(), Held()
        first = asyncio.create_task(pool.run("held", Urgency.BATCH, held))
        await begun(held)
        rest = [
            asyncio.create_task(pool.run(name, urgency, lambda name=name: order.append(name)))  # type: ignore[misc]
            for name, urgency in [("w", Urgency.WARMING), ("b1", Urgency.BATCH), ("b2", Urgency.BATCH)]
        ]
        await asyncio.sleep(0)
        held.end.set()
        await asyncio.gather(first, *rest)

    asyncio.run(scenario())
    assert order == ["b1", "b2", "w"]


@pytest.mark.parametrize("urgency", [Urgency.CLICK, Urgency.OPENED])
def test_urgent_work_does_not_wait_for_what_runs(
    make_pool: Callable[..., PriorityPool], urgency: Urgency
) -> None:
    async def scenario() -> str:
        pool, held = make_pool(), Held()
        slow = asyncio.create_task(pool.run("slow", Urgency.BATCH, held))
        await begun(held)
        quick = await asyncio.wait_for(pool.run("quick", urgency, lambda: "quick"), 5)
        assert not slow.done()
        held.end.set()
        await slow
        return quick

    assert asyncio.run(scenario()) == "quick"


def test_one_key_is_done_once_and_rises_with_the_most_urgent(make_pool: Callable[..., PriorityPool]) -> None:
    done: list[str] = []

    async def scenario() -> None:
        pool, held = make_pool(), Held()
        slow = asyncio.create_task(pool.run("slow", Urgency.BATCH, held))
        await begun(held)
        low = asyncio.create_task(pool.run("same", Urgency.WARMING, lambda: done.append("low")))
        await asyncio.sleep(0)
        # an express thread takes it now, though the only other thread is held
        await asyncio.wait_for(pool.run("same", Urgency.OPENED, lambda: done.append("high")), 5)
        await asyncio.wait_for(low, 5)
        held.end.set()
        await slow

    asyncio.run(scenario())
    assert done == ["low"]


def test_work_nobody_waits_for_is_dropped_but_not_what_another_wants(
    make_pool: Callable[..., PriorityPool],
) -> None:
    done: list[str] = []

    async def scenario() -> None:
        pool, held = make_pool(), Held()
        slow = asyncio.create_task(pool.run("slow", Urgency.BATCH, held))
        await begun(held)
        gone = asyncio.create_task(pool.run("gone", Urgency.BATCH, lambda: done.append("gone")))
        shared = [
            asyncio.create_task(pool.run("shared", Urgency.BATCH, lambda: done.append("shared")))
            for _ in range(2)
        ]
        await asyncio.sleep(0)
        gone.cancel()
        shared[0].cancel()
        await asyncio.gather(gone, shared[0], return_exceptions=True)
        assert pool.waiting() == {Urgency.BATCH: 1}
        held.end.set()
        await asyncio.gather(slow, shared[1])

    asyncio.run(scenario())
    assert done == ["shared"]


def test_a_failure_reaches_who_asked_and_the_thread_goes_on(make_pool: Callable[..., PriorityPool]) -> None:
    def fail() -> None:
        raise ValueError("no")

    async def scenario() -> str:
        pool = make_pool()
        with pytest.raises(ValueError, match="no"):
            await pool.run("bad", Urgency.BATCH, fail)
        return await asyncio.wait_for(pool.run("good", Urgency.BATCH, lambda: "good"), 5)

    assert asyncio.run(scenario()) == "good"


def test_a_full_pool_refuses_batches_and_takes_clicks(make_pool: Callable[..., PriorityPool]) -> None:
    async def scenario() -> str:
        pool, held = make_pool(capacity=1), Held()
        slow = asyncio.create_task(pool.run("slow", Urgency.BATCH, held))
        await begun(held)
        with pytest.raises(Full):
            await pool.run("more", Urgency.BATCH, lambda: None)
        answer = await asyncio.wait_for(pool.run("click", Urgency.CLICK, lambda: "answer"), 5)
        held.end.set()
        await slow
        return answer

    assert asyncio.run(scenario()) == "answer"


def test_closing_drops_what_waits_and_lets_what_runs_end(make_pool: Callable[..., PriorityPool]) -> None:
    async def scenario() -> None:
        pool, held = make_pool(), Held()
        slow = asyncio.create_task(pool.run("slow", Urgency.BATCH, held))
        await begun(held)
        waiting = asyncio.create_task(pool.run("waiting", Urgency.BATCH, lambda: None))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(pool.close, 5))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held.end.set()
        assert await slow == "done"
        await closing
        with pytest.raises(Full):
            await pool.run("late", Urgency.CLICK, lambda: None)

    asyncio.run(scenario())


def test_closing_gives_one_piece_of_work_all_of_the_grace(make_pool: Callable[..., PriorityPool]) -> None:
    async def scenario() -> str:
        pool = make_pool(threads=8, express=1)
        held = Held()
        slow = asyncio.create_task(pool.run("slow", Urgency.BATCH, held))
        await begun(held)
        asyncio.get_running_loop().call_later(1.0, held.end.set)
        await asyncio.to_thread(pool.close, 3.0)
        assert held.end.is_set()  # it was waited for
        return await slow

    assert asyncio.run(scenario()) == "done"
