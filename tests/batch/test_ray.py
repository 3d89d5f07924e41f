"""The same batch on Ray, on this machine."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labeler_backend.batch.types import Summary
from labeler_backend.errors import LabelerError
from tests.batch.test_run import failures, snapshot

HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed (pip install 'emergent-labeler[ray]')")
def test_ray_writes_what_the_local_engine_writes(
    batch: Callable[..., Summary], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "0002.jpg").write_bytes(b"")
    summary = batch(pictures, engine="ray")
    assert (summary.done, summary.failed) == (6, 1)
    assert summary.seconds["proposals"] > 0
    assert "0 bytes" in failures(tmp_path / "out")[0]["reason"]
    batch(pictures, out="local")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "local")


def test_missing_ray_is_a_sentence(
    batch: Callable[..., Summary], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LabelerError, match=r"pip install 'emergent-labeler\[ray\]'"):
        batch(pictures, engine="ray")
