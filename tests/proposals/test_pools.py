"""Pools on disk: found again, never trusted when damaged."""

from pathlib import Path

import pytest

from labeler_backend.proposals.pools import PoolCache
from labeler_backend.proposals.types import Proposal

POOL = [
    Proposal({"size": [4, 5], "counts": "04d0"}, 0.1 + 0.2, "seeds"),
    Proposal({"size": [4, 5], "counts": "d0"}, 0, "x"),
]


def test_a_pool_comes_back_for_its_picture_and_settings_only(tmp_path: Path) -> None:
    PoolCache(tmp_path, 10**6).put("ab", "v1", POOL)
    other = PoolCache(tmp_path, 10**6)
    assert other.get("ab", "v1") == POOL
    assert other.get("ab", "v2") is None
    assert other.get("cd", "v1") is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'[{"rle": {"si', id="cut off"),
        pytest.param(b'[{"mask": 1}]', id="other fields"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"3", id="no list"),
    ],
)
def test_damaged_is_a_miss_and_goes(tmp_path: Path, data: bytes) -> None:
    cache = PoolCache(tmp_path, 10**6)
    cache.put("ab", "v1", POOL)
    (path,) = tmp_path.rglob("*.json")
    path.write_bytes(data)
    assert cache.get("ab", "v1") is None
    assert not path.exists()


def test_without_room_nothing_is_kept(tmp_path: Path) -> None:
    cache = PoolCache(tmp_path, 0)
    cache.put("ab", "v1", POOL)
    assert cache.get("ab", "v1") is None
    assert not list(tmp_path.iterdir())
