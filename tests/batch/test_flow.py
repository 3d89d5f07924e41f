"""Order, bounds and progress of the pipeline's parts."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from labeler_backend.batch.flow import Budget, Closed, batches, ordered


def test_ordered_keeps_the_order_and_never_runs_further_ahead_than_told() -> None:
    pulled: list[int] = []

    def items() -> object:
        for i in range(60):
            pulled.append(i)
            yield i

    def work(i: int) -> int:
        time.sleep(0.002 * (i % 3))
        return i * i

    seen = []
    with ThreadPoolExecutor(4) as pool:
        for square in ordered(pool, work, items(), ahead=6):  # type: ignore[arg-type]
            seen.append(square)
            assert len(pulled) - len(seen) <= 6
    assert seen == [i * i for i in range(60)]


def test_ordered_passes_an_error_on_and_leaves_nothing_running() -> None:
    def work(i: int) -> int:
        if i == 3:
            raise ValueError("three")
        return i

    with ThreadPoolExecutor(2) as pool:
        stream = ordered(pool, work, iter(range(1000)), ahead=8)
        assert [next(stream) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="three"):
            next(stream)


@pytest.mark.parametrize(
    ("items", "size", "max_weight", "expected"),
    [
        pytest.param("aaaaa", 2, 99, ["aa", "aa", "a"], id="full-groups-then-the-rest"),
        pytest.param("abab", 2, 99, ["aa", "bb"], id="alternating-kinds-still-fill-groups"),
        pytest.param("abcdefg", 1, 99, list("abcdefg"), id="size-one-passes-through"),
        pytest.param("abcdefghij", 2, 99, list("abcdefghij"), id="nobody-waits-past-four-groups"),
        pytest.param("aaaa", 9, 2, ["aa", "aa"], id="weight-sends-a-group-off"),
        pytest.param("a-b-a", 2, 99, ["-", "-", "aa", "b"], id="items-without-key-go-at-once"),
    ],
)
def test_batches(items: str, size: int, max_weight: int, expected: list[str]) -> None:
    groups = batches(items, lambda c: None if c == "-" else c, lambda c: 1, lambda: size, max_weight)
    assert ["".join(group) for group in groups] == expected


def test_budget_serves_in_order_and_never_gives_out_more_than_it_has() -> None:
    budget, held, most, served = Budget(100), 0, 0, []
    lock = threading.Lock()

    def use(turn: int) -> None:
        nonlocal held, most
        charge = budget.charge(10 + turn * 37 % 90)
        budget.acquire(turn, charge)
        with lock:
            served.append(turn)
            held += charge
            most = max(most, held)
        time.sleep(0.001)
        with lock:
            held -= charge
        budget.release(charge)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(50)))
    assert sorted(served) == list(range(50))
    assert most <= 100


def test_budget_lets_in_what_is_larger_than_all_of_it_and_wakes_waiters_when_closed() -> None:
    budget = Budget(100)
    assert budget.charge(10**12) == 50
    budget.acquire(0, 50)
    budget.acquire(1, 50)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(budget.acquire, 2, 1)
        time.sleep(0.02)
        assert not waiting.done()
        budget.close()
        with pytest.raises(Closed):
            waiting.result(timeout=5)
