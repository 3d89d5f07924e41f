"""What is on disk between two sessions."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeler_backend.errors import InputError
from labeler_backend.track.resuming import load, save
from labeler_backend.video.propagate import Reached, propagate
from tests.track.fakes import FIRST, quick
from tests.video.moving import encode, video


def test_a_tracker_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)
    frames, labels = video([FIRST])
    reached = Reached()
    way = propagate(frames, {0: labels[0]}, encode, reached)
    for _ in range(4):
        next(way)
    save(tmp_path / "reached", [reached])
    (again,) = load(tmp_path / "reached")
    assert again.index == 3
    rest = propagate(frames, {0: labels[0]}, encode, again)
    np.testing.assert_array_equal(next(rest).labels, next(way).labels)


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._marker),)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(b"", "damaged or of another version", id="empty"),
        pytest.param(pickle.dumps([Reached(4)])[:-9], "damaged or of another version", id="cut off"),
        pytest.param(pickle.dumps([1, 2]), "not what a run leaves", id="something else"),
        pytest.param(
            b"\x80\x04cos\nsystem\n.", "damaged or of another version", id="a function of another module"
        ),
    ],
)
def test_what_is_damaged(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "reached").write_bytes(content)
    with pytest.raises(InputError, match=f"{sentence}.*--overwrite"):
        load(tmp_path / "reached")


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    (tmp_path / "reached").write_bytes(pickle.dumps([Evil(tmp_path / "made")]))
    with pytest.raises(InputError, match="damaged"):
        load(tmp_path / "reached")
    assert not (tmp_path / "made").exists()
    pickle.loads((tmp_path / "reached").read_bytes())
    assert (tmp_path / "made").exists()  # so the test can fail
