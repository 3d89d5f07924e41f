"""The answers of the last seconds, which no draft has yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labeler_backend.server.remembering import UNSAVED, Remembering
from labeler_backend.store import Store

PLACE = ["1.1", 7, "image", 0]


def region(name: str, version: int = 1) -> dict[str, Any]:
    return {"id": name, "version": version}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def remembering(folder: Path, clock: Clock) -> Remembering:
    """Another one over the same folder is another replica."""
    return Remembering(Store(folder, 10**6, ".json"), clock)


def test_another_replica_knows_the_newest_of_each_region(tmp_path: Path) -> None:
    first, second = (remembering(tmp_path, Clock()) for _ in range(2))
    first.keep(PLACE, {"a"}, [region("x"), region("y")])
    second.keep(PLACE, {"b"}, [region("x", 2)])
    assert sorted(first.answers(PLACE, {"c"}), key=str) == [region("x", 2), region("y")]


def test_answers_to_a_part_of_the_prompt_do_not_count(tmp_path: Path) -> None:
    known = remembering(tmp_path, Clock())
    known.keep(PLACE, {"a"}, [region("x")])
    known.keep(PLACE, {"a", "b"}, [region("x", 2)])
    assert known.answers(PLACE, {"a", "b", "c"}) == []
    assert known.answers(PLACE, {"a", "c"}) == [region("x", 2)]


def test_places_and_time_are_told_apart(tmp_path: Path) -> None:
    clock = Clock()
    known = remembering(tmp_path, clock)
    known.keep(PLACE, {"a"}, [region("x")])
    assert known.answers([*PLACE[:3], 1], {"b"}) == []
    clock.now += UNSAVED
    assert known.answers(PLACE, {"b"}) == [region("x")]
    clock.now += 0.1
    assert known.answers(PLACE, {"b"}) == []


def test_a_damaged_entry_is_nothing(tmp_path: Path) -> None:
    known = remembering(tmp_path, Clock())
    known.keep(PLACE, {"a"}, [region("x")])
    [file] = tmp_path.rglob("*.json")
    file.write_text('[{"at": ')
    assert known.answers(PLACE, {"b"}) == []
    known.keep(PLACE, {"a"}, [region("x")])
    assert known.answers(PLACE, {"b"}) == [region("x")]
