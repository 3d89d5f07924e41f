from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labeler_backend.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", 1000, ".bin")


def _key(number: int) -> str:
    return f"{number:064d}"[::-1]


def _files(store: Store) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file())


def _age(store: Store, number: int, seconds: float) -> None:
    os.utime(store.path(_key(number)), (time.time() - seconds,) * 2)


def test_what_is_written_is_read(store: Store) -> None:
    assert store.read(_key(1)) is None
    assert store.find(_key(1)) is None
    store.write(_key(1), b"one")
    assert store.read(_key(1)) == b"one"
    assert store.find(_key(1)) == store.path(_key(1)) == store.root / "10" / "00" / f"{_key(1)}.bin"
    store.write(_key(1), b"other")
    assert store.read(_key(1)) == b"other"
    assert _files(store) == [store.path(_key(1))]


def test_what_the_status_page_shows(store: Store) -> None:
    assert (store.hits, store.misses, store.bytes) == (0, 0, 0)
    store.write(_key(1), b"x" * 300)
    store.read(_key(1))
    store.find(_key(1))
    store.read(_key(2))
    store.find(_key(3))
    assert (store.hits, store.misses, store.bytes) == (2, 2, 300)
    store.discard(_key(1))  # found, but no good
    assert (store.hits, store.misses) == (1, 3)
    assert store.read(_key(1)) is None
    assert Store(store.root, 1000, ".bin").bytes == 0


def test_bytes_of_a_store_that_another_process_filled(store: Store) -> None:
    store.write(_key(1), b"x" * 300)
    assert Store(store.root, 1000, ".bin").bytes == 300


class TestRoom:
    def test_the_least_recently_used_goes_first(self, store: Store) -> None:
        for number in range(1, 5):
            store.write(_key(number), b"x" * 220)
            _age(store, number, 1000 - number)
        store.read(_key(1))  # used again by either way of reading
        store.find(_key(2))
        store.write(_key(5), b"x" * 220)
        # 1100 > 1000, down to 900 or less: the one oldest is enough
        assert [number for number in range(1, 6) if store.path(_key(number)).exists()] == [1, 2, 4, 5]

    def test_never_above_the_cap(self, store: Store) -> None:
        for number in range(50):
            store.write(_key(number), b"x" * (30 + 17 * number % 400))
            assert sum(path.stat().st_size for path in _files(store)) <= 1000

    def test_the_newest_stays_even_where_it_nearly_fills_the_store(self, store: Store) -> None:
        store.write(_key(1), b"x" * 500)
        _age(store, 1, 10)
        store.write(_key(2), b"x" * 980)
        assert store.read(_key(2)) == b"x" * 980
        assert store.read(_key(1)) is None

    def test_larger_than_the_cap_is_not_kept_and_costs_nothing_else(self, store: Store) -> None:
        store.write(_key(1), b"x" * 500)
        store.write(_key(2), b"x" * 1001)
        assert store.read(_key(2)) is None
        assert store.read(_key(1)) is not None

    def test_of_others_it_deletes_nothing(self, store: Store) -> None:
        store.root.mkdir()
        other = store.root / "notes.txt"
        other.write_bytes(b"x" * 2000)
        store.write(_key(1), b"x" * 900)
        store.write(_key(2), b"x" * 900)
        assert other.exists()
        assert store.bytes == 900

    def test_a_cap_of_zero_keeps_and_finds_nothing(self, store: Store) -> None:
        store.write(_key(1), b"one")
        off = Store(store.root, 0, ".bin")
        off.write(_key(2), b"two")
        assert off.read(_key(1)) is None
        assert off.find(_key(1)) is None
        assert store.read(_key(2)) is None


class TestIncoming:
    def test_a_file_written_piece_by_piece_becomes_an_entry(self, store: Store) -> None:
        with store.incoming() as file:
            file.write(b"on")
            assert store.read(_key(1)) is None
            file.write(b"e")
            assert store.adopt(file, _key(1)) == store.path(_key(1))
        assert store.read(_key(1)) == b"one"
        assert _files(store) == [store.path(_key(1))]

    def test_what_is_not_adopted_is_gone(self, store: Store) -> None:
        with contextlib.suppress(RuntimeError), store.incoming() as file:
            file.write(b"half")
            assert len(_files(store)) == 1
            raise RuntimeError
        assert _files(store) == []
        assert store.bytes == 0

    def test_what_a_kill_left_is_cleared_later(self, store: Store) -> None:
        store.root.mkdir()
        old, new = store.root / ".old.part", store.root / ".new.part"
        for path in (old, new):
            path.write_bytes(b"half")
        os.utime(old, (time.time() - 7200,) * 2)
        store.write(_key(1), b"one")
        assert not old.exists()
        assert new.exists()

    def test_errors_of_the_disk_are_the_callers(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="full"), store.incoming() as file:
            store.adopt(file, _key(1))
        assert _files(store) == []


def test_after_a_failed_write_it_rests_warns_once_and_then_tries_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now, tries, real = [1000.0], [0], os.replace

    def fail(*_: object) -> None:
        tries[0] += 1
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "replace", fail)
    with caplog.at_level(logging.WARNING, "labeler_backend"):
        for now[0] in (1000.0, 1001.0, 1059.0, 1061.0):
            store.write(_key(1), b"one")
    assert tries == [2]
    assert len(caplog.records) == 1
    assert "full" in caplog.text
    assert str(store.root) in caplog.text
    monkeypatch.setattr(os, "replace", real)
    now[0] = 1200.0
    store.write(_key(1), b"one")
    assert store.read(_key(1)) == b"one"


def test_threads_share_a_store_that_keeps_deleting(tmp_path: Path) -> None:
    store = Store(tmp_path, 3000, ".bin")
    wrong: list[object] = []

    def work(start: int) -> None:
        for turn in range(200):
            number = (start + turn * 7) % 40
            data = store.read(_key(number))
            if data is None:
                store.write(_key(number), bytes([number]) * 200)
            elif data != bytes([number]) * 200:
                wrong.append((number, data))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert store.hits > 0
    assert store.hits + store.misses == 800
    assert sum(path.stat().st_size for path in _files(store)) <= 3000


@pytest.mark.parametrize(
    "looks", [lambda s: s.bytes, lambda s: s.write("c" * 64, b"new")], ids=["bytes", "write"]
)
def test_nobody_waits_while_another_looks_at_the_folder(
    looks: Callable[[Store], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 100,000 entries that takes half a minute on a slow disk."""
    store = Store(tmp_path, 1000, ".x")
    store.path("a" * 64).parent.mkdir(parents=True)
    store.path("a" * 64).write_bytes(b"old")
    looking, seen = threading.Event(), threading.Event()

    def slow(root: Path, max_bytes: int, suffix: str) -> int:
        looking.set()
        assert seen.wait(10)
        return 3

    monkeypatch.setattr("labeler_backend.store._make_room", slow)
    looker = threading.Thread(target=looks, args=(store,))
    looker.start()
    assert looking.wait(10)
    got: list[object] = []
    reader = threading.Thread(
        target=lambda: got.extend((store.read("a" * 64), store.write("b" * 64, b"new")))
    )
    reader.start()
    reader.join(3)
    try:
        assert got == [b"old", None]
    finally:
        seen.set()
        looker.join()
        reader.join()
