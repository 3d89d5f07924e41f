"""A few scenes are kept, the last used ones."""

from __future__ import annotations

from labeler_backend.prompts.recent import Recent
from tests.prompts.made import scene


def test_the_least_recently_used_goes_first() -> None:
    made, one = [], scene(pool=())
    recent = Recent(kept=2)
    for key in "abacab":
        recent.get(key, lambda key=key: made.append(key) or one)  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
