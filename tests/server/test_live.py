"""Which head serves: noticed when another process publishes, and what happens where it is damaged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from labeler_backend.heads.versions import CURRENT, Versions
from labeler_backend.server.live import Live
from tests.heads.made_heads import MODEL, trained

BASE = "standin-v1"


@pytest.fixture
def heads(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "heads")


def publish(heads: Versions, count: int, better: bool = True) -> None:
    for _ in range(count):
        heads.publish(trained(better), instead_of=heads.serving())


def live_of(heads: Versions, model: str | None = MODEL) -> Live:
    return Live(BASE, lambda project: heads.folder, lambda: model)


def test_without_a_head_the_base_answers(heads: Versions) -> None:
    live = live_of(heads)
    assert live.version("1.1") == BASE
    serving = live.serving("1.1")
    assert (serving.version, serving.number, serving.head, serving.key) == (BASE, None, None, "")
    assert live.state("1.1") == (None, None)
    unknown = Live(BASE, lambda project: None)
    assert (unknown.version("1.1"), unknown.serving("1.1").head) == (BASE, None)


def test_what_another_process_does_is_noticed(heads: Versions) -> None:
    live, replica = live_of(heads), live_of(heads)
    said = [live.version("1.1")]
    publish(heads, 1)
    said.append(live.version("1.1"))
    publish(heads, 1, better=False)
    said.append(live.version("1.1"))
    publish(heads, 1)
    said.append(live.serving("1.1").version)
    assert live.versions() == [BASE, f"{BASE}-h3"]
    heads.rollback(1)
    said += [live.version("1.1"), replica.serving("1.1").version]
    heads.rollback(None)
    said += [live.serving("1.1").version, replica.version("1.1")]
    assert said == [BASE, f"{BASE}-h1", f"{BASE}-h1", f"{BASE}-h3", f"{BASE}-h1", f"{BASE}-h1", BASE, BASE]


def test_a_head_is_loaded_once(heads: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(heads, 1)
    loaded: list[int] = []
    load = Versions.load
    monkeypatch.setattr(Versions, "load", lambda self, n: loaded.append(n) or load(self, n))
    live = live_of(heads)
    assert live.version("1.1") == f"{BASE}-h1"
    assert loaded == []
    assert [live.serving("1.1").number for _ in range(3)] == [1, 1, 1]
    assert loaded == [1]


def break_head(heads: Versions, number: int) -> None:
    path = heads.folder / f"{number:06d}" / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        pytest.param([], 3, id="none"),
        pytest.param([3], 2, id="the one that serves"),
        pytest.param([3, 2], 1, id="and the one before"),
        pytest.param([3, 2, 1], None, id="all"),
        pytest.param([2], 3, id="another"),
    ],
)
def test_where_a_head_is_damaged_the_one_before_it_answers(
    heads: Versions, broken: list[int], expected: int | None
) -> None:
    publish(heads, 3)
    for number in broken:
        break_head(heads, number)
    live = live_of(heads)
    serving = live.serving("1.1")
    assert serving.number == expected
    assert (serving.head is None) == (expected is None)
    assert live.version("1.1") == serving.version == (f"{BASE}-h{expected}" if expected else BASE)
    version, problem = live.state("1.1")
    assert (version.number if version else None) == expected
    assert (problem is not None) == (3 in broken)


def test_a_version_that_was_not_promoted_never_stands_in(heads: Versions) -> None:
    publish(heads, 1)
    publish(heads, 1, better=False)
    publish(heads, 1)
    break_head(heads, 3)
    assert live_of(heads).serving("1.1").number == 1


@pytest.mark.parametrize("data", [b"", b"{", b'{"number": "x"}'], ids=["empty", "cut", "other"])
def test_a_damaged_current_is_said_and_mended_by_a_rollback(heads: Versions, data: bytes) -> None:
    publish(heads, 2)
    (heads.folder / CURRENT).write_bytes(data)
    live = live_of(heads)
    assert live.serving("1.1").number is None
    assert "rollback" in (live.state("1.1")[1] or "")
    heads.rollback(2)
    assert live.serving("1.1").number == 2
    assert live.state("1.1")[1] is None


def test_a_head_of_another_model_does_not_serve(heads: Versions) -> None:
    publish(heads, 1)
    live = live_of(heads, "another")
    assert live.serving("1.1").number is None
    assert "another model" in (live.state("1.1")[1] or "")


def test_a_head_that_is_refused_gives_way_until_there_is_a_new_one(heads: Versions) -> None:
    publish(heads, 2)
    live = live_of(heads, None)
    live.refuse("1.1", live.serving("1.1"), "It is of another model.")
    assert live.version("1.1") == f"{BASE}-h2" or live.serving("1.1").number == 1
    assert live.serving("1.1").number == 1
    assert live.state("1.1")[1] == "It is of another model."
    publish(heads, 1)
    assert live.serving("1.1").number == 3


def test_a_file_that_is_replaced_within_one_tick_of_the_clock_is_noticed(heads: Versions) -> None:
    publish(heads, 2)
    live, current = live_of(heads), heads.folder / CURRENT
    assert live.serving("1.1").number == 2
    before = current.stat()
    part = current.with_name("part")
    part.write_text(json.dumps({"number": 1, "last": 2}))
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(part, current)
    assert live.serving("1.1").number == 1


def test_asking_costs_next_to_nothing(heads: Versions) -> None:
    publish(heads, 1)
    live = live_of(heads)
    live.version("1.1")
    begun = time.perf_counter()
    for _ in range(1000):
        live.version("1.1")
    assert time.perf_counter() - begun < 1.0
